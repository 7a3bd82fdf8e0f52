"""Secrets in URLs that nothing has to remember: made of ids under the token secret, and checked by making them again."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Final
from uuid import UUID

if TYPE_CHECKING:
    from taskflow.settings import Settings

_MAC_BYTES: Final = 16
_GENERATION_BYTES: Final = 4
_ID_BYTES: Final = 16


def calendar_secret(settings: Settings, user_id: UUID, generation: int) -> str:
    """Whose feed, under which of their secrets, and the proof that it was made here."""
    content = user_id.bytes + generation.to_bytes(_GENERATION_BYTES, "big")
    return urlsafe_b64encode(content + _mac(settings, content)).decode()


def read_calendar_secret(settings: Settings, secret: str) -> tuple[UUID, int] | None:
    """Whose it is and which generation; None for what was not made here."""
    try:
        raw = urlsafe_b64decode(secret)
    except ValueError:
        return None
    content, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(content) != _ID_BYTES + _GENERATION_BYTES or not hmac.compare_digest(mac, _mac(settings, content)):
        return None
    return UUID(bytes=content[:_ID_BYTES]), int.from_bytes(content[_ID_BYTES:], "big")


def _mac(settings: Settings, content: bytes) -> bytes:
    return hmac.digest(settings.token_secret_bytes, b"taskflow/calendar\x1f" + content, "sha256")[:_MAC_BYTES]
