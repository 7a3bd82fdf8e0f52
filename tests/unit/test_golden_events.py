"""Every event version ever stored can be read for ever: one golden file a version.

A golden file is what the store held, written by the real type when the version was new. With
TASKFLOW_WRITE_GOLDEN=1 missing files are written; existing ones are never touched.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from taskflow.errors import UnknownEventType
from taskflow.privacy.sealing import KEY_BYTES
from taskflow.store.mapper import Mapper, encode
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import EVENT_TYPES, Event
from taskflow.streams.claim import AddressClaimed, AddressReleased
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    InvitationAccepted,
    InvitationRevoked,
    LabelRemoved,
    LabelSet,
    MemberAdded,
    MemberInvited,
    MemberRemoved,
    MemberRoleChanged,
    ProjectArchived,
    ProjectCreated,
    ProjectDescribed,
    ProjectRenamed,
    ProjectUnarchived,
    ProjectWorkflowSet,
    Transition,
    Workflow,
)
from taskflow.streams.saved_view import ViewDeleted, ViewQueryChanged, ViewRenamed, ViewSaved
from taskflow.streams.schedule import Series, TaskDueSet, TaskRecurred, TaskRecurrenceSet
from taskflow.streams.session import SessionEnded, SessionRefreshed, SessionStarted
from taskflow.streams.task import (
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRanked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    CommentRestored,
    RelationAdded,
    RelationRemoved,
    TaskAssigned,
    TaskChangeImported,
    TaskCreated,
    TaskDescribed,
    TaskEventAnnulled,
    TaskLabelled,
    TaskMoved,
    TaskParentSet,
    TaskPrioritised,
    TaskPurged,
    TaskRanked,
    TaskRestored,
    TaskRetitled,
    TaskStatusChanged,
    TaskTrashed,
)
from taskflow.streams.upcasters import UPCASTERS
from taskflow.streams.user import (
    UserAvatarSet,
    UserCalendarOpened,
    UserClaimMoved,
    UserImported,
    UserPasswordChanged,
    UserRegistered,
    UserRenamed,
    UserRolesSet,
    UserSettingsChanged,
)

GOLDEN = Path(__file__).parent / "golden"
KEY = b"k" * KEY_BYTES
A, B = UUID("01900000-0000-7000-8000-00000000000a"), UUID("01900000-0000-7000-8000-00000000000b")
AT = datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)
DAY = date(2026, 2, 28)

TODAY: tuple[Event, ...] = (
    AddressClaimed(user_id=A),
    AddressReleased(),
    ChecklistItemAdded(item_id=A, text="T", rank="m", done=True),
    ChecklistItemChecked(item_id=A, done=True),
    ChecklistItemRanked(item_id=A, rank="m"),
    ChecklistItemRemoved(item_id=A),
    ChecklistItemReworded(item_id=A, text="T"),
    CommentAdded(comment_id=A, body="B"),
    CommentDeleted(comment_id=A),
    CommentEdited(comment_id=A, body="B"),
    CommentRestored(comment_id=A, body="B", author_id=B, created_at=AT, edited_at=AT),
    InvitationAccepted(invitation_id=A, user_id=B),
    InvitationRevoked(invitation_id=A),
    LabelRemoved(name="L"),
    LabelSet(name="L", colour="#a0b1c2"),
    MemberAdded(user_id=A, role="viewer"),
    MemberInvited(invitation_id=A, email="ada@example.com", role="member", expires_at=AT),
    MemberRemoved(user_id=A),
    MemberRoleChanged(user_id=A, role="admin"),
    ProjectArchived(),
    ProjectCreated(
        name="Ünïcode",
        owner_id=A,
        workflow=Workflow(DEFAULT_WORKFLOW.statuses, (Transition("todo", "done"),)),
        description="D",
        inbox=True,
    ),
    ProjectDescribed(description="D"),
    ProjectRenamed(name="N"),
    ProjectUnarchived(),
    ProjectWorkflowSet(
        workflow=Workflow(DEFAULT_WORKFLOW.statuses, (Transition("todo", "done"),)), mapped={"review": "done"}
    ),
    RelationAdded(relation="blocks", task_id=B),
    RelationRemoved(relation="duplicates", task_id=B),
    SessionEnded(reason="logout"),
    SessionRefreshed(generation=2),
    SessionStarted(user_id=A, address="192.0.2.7", agent="curl"),
    TaskAssigned(assignee_id=A),
    TaskChangeImported(
        status="done", category="done", priority="high", added=("a",), removed=("b",), assignee_id=A, source={"k": "v"}
    ),
    TaskCreated(
        project_id=B,
        title="T",
        status="todo",
        category="todo",
        rank="00064d2a5e3c00",
        description="D",
        priority="urgent",
        labels=("a", "b"),
        assignee_id=A,
        parent_id=B,
        recurrence="FREQ=DAILY",
        external_id="1-2",
        source={"k": "v"},
        due_on=DAY,
        day_ends_at=AT,
        time_zone="Europe/Berlin",
        series=Series(AT, AT, days=True),
    ),
    TaskDescribed(description="D"),
    TaskDueSet(due_at=None, due_on=DAY, day_ends_at=AT, time_zone=None, series=Series(AT, AT), restarts=True),
    TaskLabelled(added=("a",), removed=("b",)),
    TaskMoved(from_project_id=A, project_id=B, status="todo", category="todo", rank="m", assignee_id=A, parent_id=B),
    TaskParentSet(parent_id=A),
    TaskPrioritised(priority="low"),
    TaskPurged(),
    TaskEventAnnulled(version=4, reason="Imported twice"),
    TaskRanked(rank="m"),
    TaskRecurred(
        occurrence_at=None,
        due_at=None,
        status="todo",
        category="todo",
        occurrence_on=DAY,
        due_on=DAY,
        day_ends_at=AT,
        unticked=(A, B),
    ),
    TaskRecurrenceSet(recurrence="FREQ=WEEKLY;BYDAY=MO", time_zone="Europe/Berlin", series=Series(AT, AT)),
    TaskRestored(),
    TaskRetitled(title="T"),
    TaskStatusChanged(from_status="todo", status="done", category="done"),
    TaskTrashed(),
    UserCalendarOpened(generation=2),
    UserClaimMoved(claim_id=A),
    UserAvatarSet(avatar_url="https://example.com/a.png"),
    UserImported(name="Frederic"),
    UserPasswordChanged(password_hash="$argon2id$x"),
    UserRegistered(email="ada@example.com", name="Ada", password_hash="$argon2id$x", claim_id=A, inbox_id=B),
    UserRenamed(name="Ada"),
    UserRolesSet(roles=("admin", "analyst")),
    UserSettingsChanged(settings={"theme": "dark", "gone": None}),
    ViewDeleted(),
    ViewQueryChanged(query={"label": ("a", "b"), "trashed": True}),
    ViewRenamed(name="N"),
    ViewSaved(name="Mine", query={"assignee": "me", "status": ("todo",), "sort": "-due_at"}, owner_id=A, project_id=B),
)

READ_AS: dict[str, Event] = {f"{type(event).__name__}.v{event.schema_version}": event for event in TODAY} | {
    "TaskCreated.v1": TaskCreated(
        project_id=B,
        title="T",
        status="todo",
        category="todo",
        rank="00064d2a5e3c00",
        description="D",
        priority="urgent",
        due_at=AT,
        labels=("a", "b"),
        assignee_id=A,
        parent_id=B,
        external_id="1-2",
        source={"k": "v"},
        time_zone="UTC",
    ),
    "TaskDueSet.v1": TaskDueSet(due_at=AT, time_zone="UTC", restarts=True),
    "TaskDueSet.v2": TaskDueSet(due_at=AT, time_zone="UTC", restarts=True),
    "TaskRecurred.v1": TaskRecurred(occurrence_at=AT, due_at=AT, status="todo", category="todo"),
    "TaskRecurrenceSet.v1": TaskRecurrenceSet(recurrence="FREQ=WEEKLY;BYDAY=MO", time_zone="UTC"),
    "UserSettingsChanged.v1": next(event for event in TODAY if isinstance(event, UserSettingsChanged)),
}


class OneKey:
    """Every person's key is KEY: what a golden file was sealed with."""

    async def fetch(self, persons: object) -> dict[UUID, bytes]:
        return {A: KEY, B: KEY}


def recorded(name: str, data: bytes) -> RecordedEvent:
    type_name, _, version = name.partition(".v")
    return RecordedEvent(
        position=1,
        epoch=1,
        stream_id=A,
        stream_version=1,
        shard=0,
        type=type_name,
        schema_version=int(version),
        event_id=B,
        occurred_at=AT,
        recorded_at=AT,
        actor=None,
        command_id=B,
        correlation_id=None,
        causation_id=None,
        data=data,
    )


def test_there_is_an_example_of_every_type() -> None:
    assert {type(event).__name__ for event in TODAY} == set(EVENT_TYPES)


@pytest.mark.parametrize("event", TODAY, ids=lambda event: type(event).__name__)
def test_todays_version_has_a_golden_file(event: Event) -> None:
    path = GOLDEN / f"{type(event).__name__}.v{event.schema_version}.json"
    if not path.exists() and os.environ.get("TASKFLOW_WRITE_GOLDEN"):
        path.write_bytes(encode(event, event_id=B, key=KEY) + b"\n")
    assert path.exists(), f"{path.name} is missing; TASKFLOW_WRITE_GOLDEN=1 writes it from the type"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
async def test_what_was_ever_stored_reads_as_today(path: Path) -> None:
    mapper = Mapper(OneKey())  # type: ignore[arg-type]  # a key ring without a store behind it
    (event,) = await mapper.decode([recorded(path.stem, path.read_bytes().strip())])
    assert event == READ_AS[path.stem]


def test_every_older_version_has_an_upcaster_and_a_golden_file() -> None:
    for name, event in EVENT_TYPES.items():
        for version in range(1, event.schema_version):
            assert (name, version) in UPCASTERS
            assert (GOLDEN / f"{name}.v{version}.json").exists()


async def test_an_event_from_the_future_is_refused_by_name() -> None:
    mapper = Mapper(OneKey())  # type: ignore[arg-type]  # as above
    with pytest.raises(UnknownEventType, match="TaskRetitled version 9; this release knows up to version 1"):
        await mapper.decode([recorded("TaskRetitled.v9", msgspec.json.encode({"title": "T"}))])
    with pytest.raises(UnknownEventType, match="none of that name"):
        await mapper.decode([recorded("TaskTeleported.v1", b"{}")])
