"""Refresh tokens: rotation, the grace of ten seconds, and the end of a family."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from taskflow.commands import session as commands
from taskflow.errors import Unauthenticated
from taskflow.streams import SESSION, Event, EventMetadata
from taskflow.streams.session import SessionEnded, SessionRefreshed, SessionStarted, SessionState

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SESSION_ID = UUID(int=20)


def session(*events: Event) -> SessionState:
    state: SessionState | None = None
    for version, event in enumerate([SessionStarted(user_id=UUID(int=1)), *events], 1):
        state = SESSION.evolve(state, event, EventMetadata(SESSION_ID, version, NOW))
    assert state is not None
    return state


TWICE = (SessionRefreshed(generation=2), SessionRefreshed(generation=3))


@pytest.mark.parametrize(
    ("history", "generation", "after_s", "expected"),
    [
        ((), 1, 100, [SessionRefreshed(generation=2)]),
        (TWICE, 3, 100, [SessionRefreshed(generation=4)]),
        (TWICE, 2, 9, []),
        (TWICE, 2, 10, []),
        (TWICE, 2, 11, [SessionEnded(reason="reuse")]),
        (TWICE, 1, 1, [SessionEnded(reason="reuse")]),
        (TWICE, 4, 1, [SessionEnded(reason="reuse")]),
    ],
)
def test_what_a_refresh_token_does(
    history: tuple[Event, ...], generation: int, after_s: int, expected: list[Event]
) -> None:
    assert commands.refresh(session(*history), generation, NOW + timedelta(seconds=after_s)) == expected


def test_an_ended_or_forgotten_session_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        commands.refresh(session(SessionEnded(reason="logout")), 1, NOW)
    with pytest.raises(Unauthenticated):
        commands.refresh(session(), 1, NOW + timedelta(days=31))


def test_ending_twice_is_ending_once() -> None:
    assert commands.end(session()) == [SessionEnded(reason="logout")]
    assert commands.end(session(SessionEnded(reason="logout"))) == []
