"""Signing in, staying signed in, signing out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands.claims import ClaimedAddress, holders, settle_claim
from taskflow.errors import Unauthenticated
from taskflow.streams import SESSION, Event
from taskflow.streams.session import SessionEnded, SessionRefreshed, SessionStarted, SessionState

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.user import UserState

GRACE_S: Final = 10
"""How long the direct predecessor of a refresh token still gets the same successor as answer."""
IDLE_DAYS_MAX: Final = 30
"""A session that was not refreshed for this long has ended."""


class NewSession(Struct, frozen=True, kw_only=True):
    """A session about to start. `address` and `agent` are the person's data: where they signed in."""

    session_id: UUID
    address: str | None
    agent: str | None


# --- decide --------------------------------------------------------------------------------------


def start(user_id: UUID, session: NewSession) -> list[Event]:
    return [SessionStarted(user_id=user_id, address=session.address, agent=session.agent)]


def refresh(session: SessionState, generation: int, at: datetime) -> list[Event]:
    """The event for a presented refresh token: the next generation for the current token; nothing for its direct
    predecessor within `GRACE_S`; the end of the session for any other. Raises Unauthenticated for a session that
    ended."""
    if session.ended_at is not None or at - session.refreshed_at > timedelta(days=IDLE_DAYS_MAX):
        raise Unauthenticated("the session has ended; sign in again")
    if generation == session.generation:
        return [SessionRefreshed(generation=generation + 1)]
    if generation == session.generation - 1 and at - session.refreshed_at <= timedelta(seconds=GRACE_S):
        return []
    return [SessionEnded(reason="reuse")]


def end(session: SessionState) -> list[Event]:
    return [] if session.ended_at is not None else [SessionEnded(reason="logout")]


# --- handlers ------------------------------------------------------------------------------------


async def start_session(
    unit: UnitOfWork, claim_secret: bytes, address: ClaimedAddress, checked: UserState, session: NewSession
) -> UUID:
    """Starts a session of the person whose password was `checked`, and moves a claim of the earlier form. Raises
    Unauthenticated if the address or the password is no longer theirs."""
    user_id = checked.id
    user = next((one for one in await holders(unit.read, address) if one.id == user_id), None)
    if user is None or user.password_hash != checked.password_hash:
        raise Unauthenticated("wrong address or password")
    await settle_claim(unit, claim_secret, user)
    await unit.read(SESSION, session.session_id)
    unit.append(SESSION, session.session_id, *start(user_id, session), actor=user_id)
    return session.session_id


async def refresh_session(unit: UnitOfWork, session_id: UUID, generation: int) -> UUID:
    session = await unit.read(SESSION, session_id)
    if session is None:
        raise Unauthenticated("the refresh token is not valid")
    unit.append(SESSION, session_id, *refresh(session, generation, unit.at), actor=session.user_id)
    return session_id


async def end_session(unit: UnitOfWork, session_id: UUID) -> UUID:
    session = await unit.get(SESSION, session_id)
    unit.append(SESSION, session_id, *end(session))
    return session_id
