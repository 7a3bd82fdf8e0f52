"""People: the only documents that hold a person's data in clear. Other views join them when read."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from pymongo import ASCENDING, IndexModel

from taskflow.addresses import BadAddress, canonical_address, earlier_form
from taskflow.projections.projection import Document, Projection
from taskflow.streams import USER
from taskflow.streams.user import UserState


def document(user: UserState) -> Document:
    return {"email": None if user.email is None else _compared(user.email), "name": user.name}


def _compared(email: str) -> str:
    """The form by which somebody is looked for; of an address that has none, what was looked for before."""
    try:
        return canonical_address(email)
    except BadAddress:
        return earlier_form(email)


def redact(user: UserState) -> UserState:
    """Nobody reads a password's hash from a view."""
    return replace(user, password_hash=None)


def cached(_: UserState | None, after: UserState) -> tuple[str, ...]:
    return (f"user:{after.id}",)


USERS: Final = Projection(
    name="users",
    version=2,
    kind=USER,
    document=document,
    indexes=(IndexModel([("email", ASCENDING)], sparse=True),),
    redact=redact,
    invalidates=cached,
)
