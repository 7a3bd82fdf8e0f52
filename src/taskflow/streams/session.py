"""The session stream: one sign-in and the refresh tokens issued for it, one after the other.

No token is stored. Token n of a session is an HMAC of (session, n), so a repeated refresh request returns the same
next token. The stream only records the current n.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.streams.stream_type import PERSONAL, Event, EventMetadata, StreamType

EndReason = Literal["logout", "reuse"]

# --- events --------------------------------------------------------------------------------------


class SessionStarted(Event, frozen=True):
    person_field = "user_id"
    user_id: UUID
    address: Annotated[str | None, PERSONAL] = None
    agent: Annotated[str | None, PERSONAL] = None


class SessionRefreshed(Event, frozen=True):
    generation: int
    """The number of the refresh token that is now current; the first is 1."""


class SessionEnded(Event, frozen=True):
    reason: EndReason


# --- state ---------------------------------------------------------------------------------------


class SessionState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    user_id: UUID
    address: Annotated[str | None, PERSONAL]
    agent: Annotated[str | None, PERSONAL]
    generation: int
    refreshed_at: datetime
    started_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None
    updated_at: datetime
    version: int


def evolve(state: SessionState | None, event: Event, metadata: EventMetadata) -> SessionState:
    at = metadata.occurred_at
    if isinstance(event, SessionStarted):
        return SessionState(
            id=metadata.stream_id,
            user_id=event.user_id,
            address=event.address,
            agent=event.agent,
            generation=1,
            refreshed_at=at,
            started_at=at,
            ended_at=None,
            end_reason=None,
            updated_at=at,
            version=metadata.version,
        )
    if state is None:
        raise AssertionError(f"stream {metadata.stream_id} does not begin with SessionStarted")
    version = metadata.version
    match event:
        case SessionRefreshed(generation=generation):
            return replace(state, generation=generation, refreshed_at=at, updated_at=at, version=version)
        case SessionEnded(reason=reason):
            return replace(state, ended_at=at, end_reason=reason, updated_at=at, version=version)
        case _:
            raise AssertionError(f"a session has no {type(event).__name__}")


SESSION: Final = StreamType(
    name="session",
    state=SessionState,
    events=(SessionStarted, SessionRefreshed, SessionEnded),
    evolve=evolve,
    person_field="user_id",
)
