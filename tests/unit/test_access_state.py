"""What a process knows of memberships is what the projects themselves say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.follower.access_state import ENTRY_BYTES, FACT_TYPES, AccessState
from taskflow.ids import new_id
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import EVENT_TYPES, PROJECT, Event, EventMetadata
from taskflow.streams.project import (
    DEFAULT_WORKFLOW,
    InvitationAccepted,
    MemberAdded,
    MemberRemoved,
    MemberRoleChanged,
    ProjectArchived,
    ProjectCreated,
    ProjectUnarchived,
    ProjectWorkflowSet,
)
from taskflow.streams.session import SessionEnded, SessionStarted
from taskflow.streams.user import SystemRole, UserRenamed, UserRolesSet

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PROJECTS = [UUID(int=n) for n in range(1, 4)]
USERS = [UUID(int=n) for n in range(11, 15)]

roles = st.sampled_from(["viewer", "member", "admin", "owner"])
changes = st.lists(
    st.tuples(st.sampled_from(PROJECTS), st.sampled_from(USERS), st.none() | roles, st.booleans()), max_size=40
)


def recorded(position: int, stream_id: UUID, event: Event, *, version: int = 1, at: datetime = NOW) -> RecordedEvent:
    return RecordedEvent(
        position=position,
        epoch=1,
        stream_id=stream_id,
        stream_version=version,
        shard=0,
        type=type(event).__name__,
        schema_version=1,
        event_id=new_id(),
        occurred_at=at,
        recorded_at=at,
        actor=None,
        command_id=new_id(),
        correlation_id=None,
        causation_id=None,
        data=b"",
    )


def story(wanted: list[Any]) -> list[tuple[UUID, Event]]:
    """The wanted changes as the events that projects have: each begins, nobody is added twice or removed twice."""
    events: list[tuple[UUID, Event]] = []
    members: dict[UUID, set[UUID]] = {}
    for project, user, role, accepts in wanted:
        if project not in members:
            members[project] = {user}
            events.append((project, ProjectCreated(name="P", owner_id=user, workflow=DEFAULT_WORKFLOW)))
        elif role is None:
            if user in members[project]:
                members[project].discard(user)
                events.append((project, MemberRemoved(user_id=user)))
        else:
            kind = MemberRoleChanged if user in members[project] else MemberAdded
            members[project].add(user)
            events.append((project, kind(user_id=user, role=role)))
            if accepts:
                events.append((project, InvitationAccepted(invitation_id=user, user_id=user)))
    return events


def applied(access_state: AccessState, log: list[tuple[RecordedEvent, Event]]) -> AccessState:
    for record, event in log:
        access_state.apply(record, event)
        access_state.position = max(access_state.position, record.position)
    return access_state


@given(wanted=changes, cut=st.integers(0, 40), back=st.integers(0, 40))
def test_memberships_equal_the_fold_of_the_projects(wanted: list[Any], cut: int, back: int) -> None:
    states: dict[UUID, Any] = {}
    log: list[tuple[RecordedEvent, Event]] = []
    for position, (project, event) in enumerate(story(wanted), 1):
        state = states.get(project)
        version = 1 if state is None else state.version + 1
        log.append((recorded(position, project, event, version=version), event))
        states[project] = PROJECT.evolve(state, event, EventMetadata(project, version, NOW))

    access_state = applied(AccessState(), log)
    assert access_state.members == {project: state.members for project, state in states.items()}
    for user in USERS:
        expected = {project for project, state in states.items() if user in state.members}
        assert access_state.projects_of.get(user, set()) == expected
        consenting = {project for project, state in states.items() if user in state.consenting}
        assert access_state.consented.get(user, set()) == consenting

    # Through a snapshot anywhere, and with a stretch of the log read once more.
    half = msgspec.json.decode(msgspec.json.encode(applied(AccessState(), log[:cut])), type=AccessState)
    assert applied(half, log[max(0, cut - back) :]) == access_state


def test_a_fact_that_was_applied_before_changes_nothing() -> None:
    project, user = PROJECTS[0], USERS[0]
    created = ProjectCreated(name="P", owner_id=user, workflow=DEFAULT_WORKFLOW)
    log: list[tuple[RecordedEvent, Event]] = [
        (recorded(1, project, created), created),
        (recorded(2, project, added := MemberAdded(user_id=USERS[1], role="admin")), added),
        (recorded(3, project, removed := MemberRemoved(user_id=USERS[1])), removed),
    ]
    access_state = applied(AccessState(), log)
    applied(access_state, log[:2])
    assert access_state.members == {project: {user: "owner"}}
    assert access_state.position == 3


def test_it_is_known_since_when_somebody_sees_a_project_and_until_when() -> None:
    project, owner, user = PROJECTS[0], USERS[0], USERS[1]
    events: list[Event] = [
        ProjectCreated(name="P", owner_id=owner, workflow=DEFAULT_WORKFLOW),
        MemberAdded(user_id=user, role="viewer"),
        MemberRoleChanged(user_id=user, role="admin"),
        ProjectWorkflowSet(workflow=DEFAULT_WORKFLOW),
        MemberRemoved(user_id=user),
        MemberAdded(user_id=user, role="member"),
    ]
    access_state = AccessState()
    seen: list[tuple[int | None, int | None]] = []
    for position, event in enumerate(events, 1):
        applied(access_state, [(recorded(position, project, event, version=position), event)])
        seen.append((access_state.granted[project].get(user), access_state.lost.get(user, {}).get(project)))
    assert seen == [(None, None), (2, None), (2, None), (2, None), (None, 5), (6, None)]
    assert access_state.granted[project][owner] == 1
    assert access_state.workflows == {project: 4}


def test_it_is_known_which_projects_are_archived() -> None:
    events: list[Event] = [
        ProjectCreated(name="P", owner_id=USERS[0], workflow=DEFAULT_WORKFLOW),
        ProjectArchived(),
        ProjectUnarchived(),
        ProjectArchived(),
    ]
    access_state = AccessState()
    seen = []
    for position, event in enumerate(events, 1):
        applied(access_state, [(recorded(position, PROJECTS[0], event, version=position), event)])
        seen.append(PROJECTS[0] in access_state.archived)
    assert seen == [False, True, False, True]


def test_ended_sessions_are_kept_while_a_token_of_theirs_may_live() -> None:
    ended = SessionEnded(reason="logout")
    access_state = AccessState()
    for position, minutes in enumerate((0, 20, 40), 1):
        at = NOW + timedelta(minutes=minutes)
        applied(access_state, [(recorded(position, UUID(int=minutes), ended, at=at), ended)])
    access_state.forget_sessions(NOW + timedelta(minutes=45), token_ttl_s=900)
    assert set(access_state.ended_sessions) == {UUID(int=20), UUID(int=40)}


def test_system_roles_are_the_last_that_were_set() -> None:
    access_state = AccessState()
    grants: tuple[tuple[SystemRole, ...], ...] = (("analyst",), ("admin", "analyst"), ())
    for position, granted in enumerate(grants, 1):
        event = UserRolesSet(roles=granted)
        applied(access_state, [(recorded(position, USERS[0], event), event)])
        assert access_state.system_roles[USERS[0]] == granted


def test_it_is_known_who_was_renamed_since_when() -> None:
    access_state = AccessState()
    for position, user in enumerate((0, 1, 2, 0), 1):
        event = UserRenamed(name=f"{position}")
        applied(access_state, [(recorded(position, USERS[user], event), event)])
    kept = msgspec.json.decode(msgspec.json.encode(access_state), type=AccessState)
    for known in (access_state, kept):
        assert [known.renamed_since(position) for position in (0, 2, 3, 4)] == [
            {USERS[0], USERS[1], USERS[2]}, {USERS[0], USERS[2]}, {USERS[0]}, set(),
        ]  # fmt: skip


def test_facts_are_events_and_nothing_else_is_one() -> None:
    assert set(EVENT_TYPES) >= FACT_TYPES
    started = SessionStarted(user_id=USERS[0])
    with pytest.raises(AssertionError, match="no fact"):
        AccessState().apply(recorded(1, UUID(int=1), started), started)


@given(wanted=changes, entries_max=st.integers(1, 8))
def test_the_oldest_removals_are_dropped_and_what_is_kept_is_whole(wanted: list[Any], entries_max: int) -> None:
    log = [(recorded(position, project, event), event) for position, (project, event) in enumerate(story(wanted), 1)]
    renamed = UserRenamed(name="New")
    log += [(recorded(len(log) + 1 + at, user, renamed), renamed) for at, user in enumerate(USERS)]
    whole, bounded = applied(AccessState(), log), applied(AccessState(), log)
    bounded.forget_oldest(entries_max * ENTRY_BYTES)
    count = len(bounded.renamed) + sum(map(len, bounded.lost.values()))
    assert count <= entries_max
    since = bounded.known_since
    assert bounded.renamed == {user: at for user, at in whole.renamed.items() if at > since}
    for user in USERS:
        lost = whole.lost.get(user, {}).items()
        assert bounded.lost.get(user, {}) == {project: at for project, at in lost if at > since}
    if len(whole.renamed) + sum(map(len, whole.lost.values())) <= entries_max:
        assert since == 0
    assert (bounded.members, bounded.projects_of) == (whole.members, whole.projects_of)
