"""What a task of a source, a change of it and a comment do to each state: given, when, then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.commands import task_import
from taskflow.commands.task_import import ImportedComment, ImportTask, ImportTaskChange, Named, change, comment
from taskflow.errors import Invalid, Rejected
from taskflow.streams import PROJECT, TASK, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    ProjectArchived,
    ProjectCreated,
    ProjectState,
    Status,
    Transition,
    Workflow,
)
from taskflow.streams.task import (
    CommentRestored,
    TaskAssigned,
    TaskChangeImported,
    TaskCreated,
    TaskLabelled,
    TaskState,
    TaskStatusChanged,
    TaskTrashed,
)

OWNER, ANNE, BOB = UUID(int=1), UUID(int=2), UUID(int=3)
PROJECT_ID, TASK_ID = UUID(int=10), UUID(int=11)
AT = datetime(2012, 5, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
# The workflow allows no change at all: an import is not bound by it.
WORKFLOW = Workflow((Status("open", "Open", "todo"), Status("shut", "Shut", "done")), (Transition("shut", "shut"),))
ROW = ImportTask(
    source="s",
    key="1-1",
    external_id="1-1",
    at=AT,
    title="Incident 1-1",
    status="open",
    priority="high",
    labels=("team:a", "product:x"),
    prefixes=("team:", "product:"),
    assignee_id=ANNE,
    columns={"Country": "fr"},
)


def fold(kind: Any, stream_id: UUID, *events: Event, state: Any = None) -> Any:
    for event in events:
        version = 1 if state is None else state.version + 1
        state = kind.evolve(state, event, EventMetadata(stream_id, version, AT, OWNER))
    return state


def project(*events: Event, workflow: Workflow = WORKFLOW) -> ProjectState:
    state: ProjectState = fold(PROJECT, PROJECT_ID, ProjectCreated("P", OWNER, workflow), *events)
    return state


def create(project: ProjectState, row: ImportTask, **named: Any) -> list[tuple[datetime, Event]]:
    return task_import.create(project, TASK_ID, row, Named(assignee_id=row.assignee_id, **named), NOW, "UTC")


def changed(task: TaskState, project: ProjectState, row: ImportTask | ImportTaskChange) -> list[Event]:
    return change(task, project, row, row.assignee_id, NOW)


def a_task(*events: Event) -> TaskState:
    state: TaskState = fold(TASK, TASK_ID, *[event for _, event in create(project(), ROW)], *events)
    return state


def row(**changes: Any) -> ImportTask:
    return replace(ROW, at=AT + timedelta(hours=1), **changes)


class TestTheFirstRow:
    def test_makes_the_task_as_it_was_then(self) -> None:
        [(at, event)] = create(project(), ROW)
        assert at == AT
        assert event == TaskCreated(
            project_id=PROJECT_ID,
            title="Incident 1-1",
            status="open",
            category="todo",
            rank=f"{int(AT.timestamp() * 1_000_000):014x}",
            priority="high",
            labels=("team:a", "product:x"),
            assignee_id=ANNE,
            external_id="1-1",
            source={"Country": "fr"},
        )

    def test_without_a_priority_is_of_the_middle_one(self) -> None:
        [(_, event)] = create(project(), replace(ROW, priority=None))
        assert isinstance(event, TaskCreated)
        assert event.priority == "medium"


class TestALaterRow:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"status": "shut"}, {"status": "shut", "category": "done"}),
            ({"priority": "urgent"}, {"priority": "urgent"}),
            ({"assignee_id": BOB}, {"assignee_id": BOB}),
            ({"labels": ("team:b", "product:x")}, {"added": ("team:b",), "removed": ("team:a",)}),
            ({"labels": ("product:x",)}, {"removed": ("team:a",)}),
            (
                {"status": "shut", "assignee_id": BOB, "priority": "low"},
                {"status": "shut", "category": "done", "assignee_id": BOB, "priority": "low"},
            ),
        ],
    )
    def test_is_one_event_with_what_it_changed(self, changes: Any, expected: Any) -> None:
        assert changed(a_task(), project(), row(**changes)) == [
            TaskChangeImported(source={"Country": "fr"}, **expected)
        ]

    @pytest.mark.parametrize(
        "changes", [{}, {"priority": None}, {"assignee_id": None}, {"columns": None}, {"title": "Other"}]
    )
    def test_that_says_nothing_new_changes_nothing(self, changes: Any) -> None:
        assert changed(a_task(), project(), row(**changes)) == []

    def test_that_says_nobody_takes_the_assignee_away(self) -> None:
        alone = {"assignee_id": None, "nobody": True, "columns": None}
        assert changed(a_task(), project(), row(**alone)) == [TaskAssigned(None)]
        assert changed(a_task(), project(), row(**alone | {"status": "shut"})) == [
            TaskChangeImported(status="shut", category="done"),
            TaskAssigned(None),
        ]
        assert changed(a_task(), project(), row(assignee_id=None, nobody=True)) == [
            TaskChangeImported(source={"Country": "fr"}),
            TaskAssigned(None),
        ]
        assert changed(a_task(TaskAssigned(None)), project(), row(assignee_id=None, nobody=True)) == []

    def test_leaves_labels_that_no_column_owns(self) -> None:
        task = a_task(TaskLabelled(added=("mine",)))
        (event,) = changed(task, project(), row(labels=("team:b",)))
        assert isinstance(event, TaskChangeImported)
        assert event.removed == ("team:a", "product:x")

    def test_leaves_all_labels_where_no_column_is_mapped(self) -> None:
        assert changed(a_task(), project(), row(labels=(), prefixes=())) == []

    def test_at_the_same_time_is_later(self) -> None:
        assert changed(a_task(), project(), replace(ROW, status="shut"))

    @pytest.mark.parametrize(
        ("task", "changes", "code"),
        [
            (a_task(), {"at": AT - timedelta(microseconds=1)}, "goes-back"),
            (a_task(), {"at": NOW + timedelta(microseconds=1)}, "future"),
            (a_task(), {"status": "nowhere"}, "no-such-status"),
            (a_task(TaskTrashed()), {}, "trashed"),
            (replace(a_task(), project_id=UUID(int=99)), {}, "moved"),
        ],
    )
    def test_that_cannot_be_is_refused(self, task: TaskState, changes: Any, code: str) -> None:
        with pytest.raises(Rejected) as raised:
            changed(task, project(), replace(ROW, **changes))
        assert raised.value.code == code


def test_an_archived_project_takes_no_rows() -> None:
    deciders: tuple[Callable[[ProjectState], object], ...] = (
        lambda p: create(p, ROW),
        lambda p: changed(a_task(), p, row()),
    )
    for decide in deciders:
        with pytest.raises(Rejected) as raised:
            decide(project(ProjectArchived()))
        assert raised.value.code == "project-archived"


rows = st.builds(
    row,
    status=st.sampled_from(["open", "shut"]),
    priority=st.sampled_from([None, "low", "urgent"]),
    labels=st.lists(st.sampled_from(["team:a", "team:b", "product:x"]), unique=True).map(tuple),
    assignee_id=st.sampled_from([None, ANNE, BOB]),
    columns=st.sampled_from([None, {"Country": "fr"}]),
) | st.builds(row, assignee_id=st.none(), nobody=st.just(value=True))


@given(st.lists(rows, max_size=8))
def test_a_row_once_applied_says_nothing_new(sequence: list[ImportTask]) -> None:
    task = a_task()
    for one in sequence:
        events = changed(task, project(), one)
        assert len(events) <= 1 + one.nobody
        task = fold(TASK, TASK_ID, *events, state=task)
        assert task.status == one.status
        assert set(task.labels) == set(one.labels)
        assert one.assignee_id in {None, task.assignee_id}
        assert task.assignee_id is None or not one.nobody
        assert changed(task, project(), one) == []


# --- a task as it was


BROUGHT = ImportTask(
    source="s",
    key="7",
    external_id="7",
    at=AT,
    title="T",
    description="D",
    category="todo",
    priority="high",
    due_at=AT,
    time_zone="UTC",
    recurrence="FREQ=DAILY",
    labels=("a",),
    assignee_id=ANNE,
    parent="6",
    rank="m",
    columns={"DURATION": "30"},
)
SAID = ImportTaskChange(
    source="s", key="7", at=AT - timedelta(days=1), comment=ImportedComment(key="n", body="said", author="ada")
)
NOTE_ID, PARENT_ID = UUID(int=12), UUID(int=13)


def brought(workflow: Workflow = DEFAULT_WORKFLOW, **changes: Any) -> list[tuple[datetime, Event]]:
    return create(project(workflow=workflow), replace(BROUGHT, **changes), parent_id=PARENT_ID)


class TestATask:
    def test_is_made_as_it_is(self) -> None:
        [(at, event)] = brought()
        assert at == AT
        assert event == TaskCreated(
            project_id=PROJECT_ID, title="T", status="todo", category="todo", rank="m", description="D",
            priority="high", due_at=AT, time_zone="UTC", labels=("a",), assignee_id=ANNE, parent_id=PARENT_ID,
            recurrence="FREQ=DAILY", external_id="7", source={"DURATION": "30"},
        )  # fmt: skip

    def test_that_is_done_is_made_in_the_first_status_for_that(self) -> None:
        [(_, event)] = brought(category="done")
        assert isinstance(event, TaskCreated)
        assert (event.status, event.category) == ("done", "done")

    def test_that_was_done_at_a_known_time_became_so_then(self) -> None:
        later = AT + timedelta(days=2)
        [(_, made), (at, event)] = brought(category="done", completed_at=later, updated_at=later)
        assert isinstance(made, TaskCreated)
        assert (made.status, at) == ("todo", later)
        assert event == TaskStatusChanged("todo", "done", "done")

    def test_keeps_a_status_that_its_project_no_longer_has_where_it_says_the_category(self) -> None:
        [(_, event)] = brought(status="gone", category="waiting")
        assert isinstance(event, TaskCreated)
        assert (event.status, event.category) == ("gone", "waiting")
        with pytest.raises(Rejected, match="no status 'gone'"):
            brought(status="gone", category=None)

    def test_is_refused_where_nothing_is_ever_done(self) -> None:
        only = Workflow((Status("open", "Open", "todo"),))
        assert len(brought(only)) == 1
        with pytest.raises(Rejected, match="no status of the category done"):
            brought(only, category="done")

    @pytest.mark.parametrize(
        "changes",
        [
            {"recurrence": "FREQ=SECONDLY"},
            {"due_on": AT.date()},
            {"updated_at": AT - timedelta(days=1)},
            {"at": datetime(1969, 12, 31, tzinfo=UTC)},
            {"description": "\u00e4" * 50_001},
        ],
    )
    def test_that_no_task_can_be_is_refused(self, changes: Any) -> None:
        with pytest.raises(Invalid):
            brought(**changes)


class TestAComment:
    def test_is_of_its_author_and_its_time(self) -> None:
        assert comment(a_task(), project(), SAID, NOTE_ID, ANNE) == [CommentRestored(NOTE_ID, "said", ANNE, SAID.at)]

    def test_may_be_of_nobody_who_is_known(self) -> None:
        [event] = comment(a_task(), project(), SAID, NOTE_ID, None)
        assert isinstance(event, CommentRestored)
        assert event.author_id is None

    def test_is_made_once(self) -> None:
        task = a_task(CommentRestored(NOTE_ID, "said", ANNE, SAID.at))
        assert comment(task, project(), SAID, NOTE_ID, ANNE) == []

    def test_is_refused_on_what_went_elsewhere_or_into_the_trash(self) -> None:
        with pytest.raises(Rejected, match="in another project now"):
            comment(replace(a_task(), project_id=UUID(int=99)), project(), SAID, NOTE_ID, ANNE)
        with pytest.raises(Rejected, match="in the trash"):
            comment(a_task(TaskTrashed()), project(), SAID, NOTE_ID, ANNE)
