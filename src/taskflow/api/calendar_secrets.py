"""The secret in the address of a calendar feed: the signed id of the user and generation of the secret. Not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.signed_tokens import sign, verify

if TYPE_CHECKING:
    from taskflow.settings import Settings

_PURPOSE: Final = b"taskflow/calendar"
_MAC_BYTES: Final = 16
_GENERATION_BYTES: Final = 4
_ID_BYTES: Final = 16


def calendar_secret(settings: Settings, user_id: UUID, generation: int) -> str:
    content = user_id.bytes + generation.to_bytes(_GENERATION_BYTES, "big")
    return sign(settings.token_secret_bytes, _PURPOSE, content, mac_bytes=_MAC_BYTES)


def read_calendar_secret(settings: Settings, secret: str) -> tuple[UUID, int] | None:
    """The user and the generation of a secret; None if its signature is not valid."""
    content = verify(settings.token_secret_bytes, _PURPOSE, secret, mac_bytes=_MAC_BYTES)
    if content is None:
        return None
    return UUID(bytes=content[:_ID_BYTES]), int.from_bytes(content[_ID_BYTES:], "big")
