"""The secret of a calendar's address: whose feed it is and under which of their secrets. It is kept nowhere."""

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
    """Whose it is and which generation; None for what was not made here."""
    content = verify(settings.token_secret_bytes, _PURPOSE, secret, mac_bytes=_MAC_BYTES)
    if content is None:
        return None
    return UUID(bytes=content[:_ID_BYTES]), int.from_bytes(content[_ID_BYTES:], "big")
