"""The projection of users: the only documents that hold personal data in clear. Reads join other views with these."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from taskflow.projections.projection import Document, Projection
from taskflow.streams import USER
from taskflow.streams.user import UserState
from taskflow.text.addresses import BadAddress, canonical_address, earlier_form


def document(user: UserState) -> Document:
    return {"email": None if user.email is None else _compared(user.email), "name": user.name}


def _compared(email: str) -> str:
    """Returns the canonical form of an address, for lookups; the earlier form if it has no canonical form."""
    try:
        return canonical_address(email)
    except BadAddress:
        return earlier_form(email)


def redact(user: UserState) -> UserState:
    """Removes the password hash, which no reader of the view needs."""
    return replace(user, password_hash=None)


def cached(_: UserState | None, after: UserState) -> tuple[str, ...]:
    return (f"user:{after.id}",)


USERS: Final = Projection(
    name="users",
    version=2,
    kind=USER,
    document=document,
    former_indexes=("email_1",),
    redact=redact,
    invalidates=cached,
)
