"""Identifiers: UUIDv7 for what is new, derived ones for what must come out the same twice."""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from typing import TYPE_CHECKING, Final
from uuid import UUID

from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from datetime import datetime

SHARDS: Final = 1024
"""Frozen: `events.shard` is stored, and topics and views are cut along it."""

UUID_PATTERN: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""The only form of an id that is read; `uuid.UUID` alone takes braces, other scripts' digits and blanks too."""

_UUID: Final = re.compile(UUID_PATTERN)
_KEY_NAMESPACE: Final = b"taskflow/idempotency-key"


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid7()


def is_id(text: object) -> bool:
    """Whether a value is an id as it is written: 8-4-4-4-12 hexadecimal digits."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def parse_id(text: str) -> UUID:
    """Raises ValueError for any other form than 8-4-4-4-12 hexadecimal digits."""
    if not is_id(text):
        raise ValueError("expected a UUID, 8-4-4-4-12 hexadecimal digits")
    return UUID(text)


def shard_of(stream_id: UUID) -> int:
    """The shard of a stream, 0 to 1023: CRC-32 of the id's 16 bytes, modulo 1024. Frozen."""
    return zlib.crc32(stream_id.bytes) % SHARDS


def derived_id(secret: bytes, *parts: str, at: datetime | None = None) -> UUID:
    """An id that the same parts always give and that tells nobody what they were.

    An HMAC-SHA-256 under `secret`, cut to a UUIDv8; with `at` laid out as a UUIDv7 of that
    millisecond, so that derived streams sort by age like any other.
    """
    digest = hmac.digest(secret, "\x1f".join(parts).encode(), "sha256")
    value = int.from_bytes(digest[:16], "big")
    version = 8
    if at is not None:
        millis = int(at.timestamp() * 1000)
        value = (millis << 80) | (value & ((1 << 80) - 1))
        version = 7
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return UUID(int=value | (version << 76) | (0x2 << 62))


def correlation_id_of(secret: bytes, request_id: str) -> str:
    """What stands in events for a request's id: itself if a UUID, else one that the same text always gives.

    A client may say anything by its id, a name too, and events are kept for ever.
    """
    if _UUID.fullmatch(request_id):
        return request_id.lower()
    return str(derived_id(secret, "request-id", request_id))


def command_id_of_key(secret: bytes, caller: UUID, idempotency_key: str) -> UUID:
    """The command id that a caller's `Idempotency-Key` stands for: itself if a UUID, else one that tells nobody the
    key, and that nobody else's key can be compared with."""
    if is_id(idempotency_key):
        return UUID(idempotency_key)
    return derived_id(secret, "idempotency-key", str(caller), idempotency_key)


def earlier_command_id_of_key(idempotency_key: str) -> UUID:
    """What a key that is no UUID stood for before: a hash without a secret, by which a short key can be guessed.
    Frozen: receipts are found under it."""
    digest = hashlib.sha256(_KEY_NAMESPACE + idempotency_key.encode()).digest()
    return UUID(bytes=digest[:16], version=5)
