"""People: the only documents that hold a person's data in clear. Other views join them when read."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace
from pymongo import ASCENDING, IndexModel

from taskflow.projections.view import Document, View
from taskflow.streams import USER
from taskflow.streams.user import UserState


def document(user: UserState) -> Document:
    return {"email": None if user.email is None else user.email.casefold(), "name": user.name}


def redact(user: UserState) -> UserState:
    """Nobody reads a password's hash from a view."""
    return replace(user, password_hash=None)


def cached(_: UserState | None, after: UserState) -> tuple[str, ...]:
    return (f"user:{after.id}",)


USERS: Final = View(
    name="users",
    version=1,
    kind=USER,
    document=document,
    indexes=(IndexModel([("email", ASCENDING)], sparse=True),),
    redact=redact,
    invalidates=cached,
)
