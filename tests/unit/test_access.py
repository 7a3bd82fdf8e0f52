"""What this process has written counts before it is followed, and nothing that is known of a stream ever goes back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_access_state import PROJECTS, USERS, changes, recorded, story

from taskflow.follower.access import Access
from taskflow.streams import PROJECT, SESSION, USER, Event, EventMetadata
from taskflow.streams.project import ProjectArchived, ProjectUnarchived
from taskflow.streams.session import SessionEnded, SessionStarted
from taskflow.streams.user import UserImported, UserRolesSet

NOW = datetime(2026, 3, 1, tzinfo=UTC)

who_and_when = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=200, max_size=200)
"""For each event of a log: whether this process is the one that wrote it, and by how many events it then follows."""


def with_archives(wanted: list[Any]) -> list[tuple[UUID, Event]]:
    """Each project is archived after its third event, and unarchived after the next."""
    events: list[tuple[UUID, Event]] = []
    seen: Counter[UUID] = Counter()
    for project, event in story(wanted):
        events.append((project, event))
        seen[project] += 1
        if seen[project] in {3, 4}:
            events.append((project, ProjectArchived() if seen[project] == 3 else ProjectUnarchived()))
    return events


@given(wanted=changes, turns=who_and_when)
def test_what_is_known_is_the_newest_that_was_followed_or_written(
    wanted: list[Any], turns: list[tuple[bool, int]]
) -> None:
    log: list[Any] = []
    states: dict[UUID, Any] = {}
    at: list[dict[UUID, Any]] = [{}]
    for position, (project, event) in enumerate(with_archives(wanted), 1):
        state = states.get(project)
        version = 1 if state is None else state.version + 1
        states[project] = PROJECT.evolve(state, event, EventMetadata(project, version, NOW))
        log.append((recorded(position, project, event, version=version), event))
        at.append(dict(states))

    access = Access()
    known: dict[UUID, Any] = {}
    for position, (own, steps) in zip(range(1, len(log) + 1), turns, strict=False):
        project = log[position - 1][0].stream_id
        if own:
            access.note_commit([at[position][project]], position)
            access.note_commit(
                [at[access.access_state.position].get(project)], access.access_state.position
            )  # an old one once more
            known[project] = at[position][project]
        for record, event in log[access.access_state.position : min(position, access.access_state.position + steps)]:
            access.access_state.apply(record, event)
            access.access_state.position = record.position
            access.followed()
        for one, state in at[access.access_state.position].items():
            if one not in known or known[one].version < state.version:
                known[one] = state
        assert_known(access, known)
    for record, event in log[access.access_state.position :]:
        access.access_state.apply(record, event)
        access.access_state.position = record.position
        access.followed()
    assert_known(access, states)
    assert not access._projects, "nothing is held that was followed"


def assert_known(access: Access, states: dict[UUID, Any]) -> None:
    assert access.archived() == {one for one, state in states.items() if state.archived_at is not None}
    for user in USERS:
        roles = {one: state.members[user] for one, state in states.items() if user in state.members}
        assert access.projects_of(user) == roles
        assert {one: role for one in PROJECTS if (role := access.role(one, user)) is not None} == roles
        assert access.consented(user) == {one for one, state in states.items() if user in state.consenting}


def test_a_session_that_was_ended_here_has_ended() -> None:
    session, user = UUID(int=1), USERS[0]
    started = SESSION.evolve(None, SessionStarted(user_id=user), EventMetadata(session, 1, NOW))
    ended = SESSION.evolve(started, SessionEnded(reason="logout"), EventMetadata(session, 2, NOW))
    access = Access()
    access.note_commit([started], 5)
    assert not access.session_ended(session)
    access.note_commit([ended], 6)
    access.note_commit([started], 7)
    assert access.session_ended(session)
    event = SessionEnded(reason="logout")
    access.access_state.apply(recorded(6, session, event), event)
    access.access_state.position = 6
    access.followed()
    assert access.session_ended(session)
    assert not access._ended_sessions


def test_a_system_role_that_was_taken_here_is_none() -> None:
    user = USERS[0]
    state = USER.evolve(None, UserImported(name="Ada"), EventMetadata(user, 1, NOW))
    given_ = USER.evolve(state, UserRolesSet(roles=("analyst",)), EventMetadata(user, 2, NOW))
    taken = USER.evolve(given_, UserRolesSet(roles=()), EventMetadata(user, 3, NOW))
    access = Access()
    access.note_commit([given_], 2)
    assert access.system_roles(user) == ("analyst",)
    access.note_commit([taken], 3)
    access.note_commit([given_], 2)
    assert access.system_roles(user) == ()
    event = UserRolesSet(roles=("analyst",))
    access.access_state.apply(recorded(2, user, event), event)
    access.access_state.position = 2
    access.followed()
    assert access.system_roles(user) == (), "the facts are older"
