"""Identifiers: UUIDv7 for new things, derived ids where the same input must give the same id."""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from typing import TYPE_CHECKING, Final
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7

if TYPE_CHECKING:
    from datetime import datetime

SHARDS: Final = 1024
"""Frozen: `events.shard` is stored, and topics and views are cut along it."""

UUID_PATTERN: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""The only accepted form of an id; `uuid.UUID` also accepts braces, digits of other scripts, and blanks."""

_UUID: Final = re.compile(UUID_PATTERN)
_KEY_NAMESPACE: Final = b"taskflow/idempotency-key"


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid7()


def new_id_text() -> str:
    """The text of a fresh UUIDv7; faster than that of `new_id`."""
    return str(uuid_utils.uuid7())


def is_id(text: object) -> bool:
    """Whether a value is the text of an id: 8-4-4-4-12 hexadecimal digits."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def parse_id(text: str) -> UUID:
    """Parses an id. Raises ValueError for any form but 8-4-4-4-12 hexadecimal digits."""
    if not is_id(text):
        raise ValueError("expected a UUID, 8-4-4-4-12 hexadecimal digits")
    return UUID(text)


def shard_of(stream_id: UUID) -> int:
    """Returns the shard of a stream, 0 to 1023: CRC-32 of the id's 16 bytes, modulo 1024. Frozen."""
    return zlib.crc32(stream_id.bytes) % SHARDS


def derived_id(secret: bytes, *parts: str, at: datetime | None = None) -> UUID:
    """Derives an id from the parts: the same parts always give the same id, which does not reveal them.

    The id is an HMAC-SHA-256 under `secret`, cut to a UUIDv8; with `at`, it is laid out as a UUIDv7 of that
    millisecond, so that derived streams sort by age like others.
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
    """Returns the correlation id that events store for a request id: the id itself if it is a UUID, else a derived id.

    Other texts are not stored, because a client may send anything, even a person's name, and events are kept for ever.
    """
    if _UUID.fullmatch(request_id):
        return request_id.lower()
    return str(derived_id(secret, "request-id", request_id))


def command_id_of_key(secret: bytes, caller: UUID, idempotency_key: str) -> UUID:
    """Returns the command id of a caller's `Idempotency-Key`: the key itself if it is a UUID, else a derived id. The
    derived id does not reveal the key, and differs between callers."""
    if is_id(idempotency_key):
        return UUID(idempotency_key)
    return derived_id(secret, "idempotency-key", str(caller), idempotency_key)


def earlier_command_id_of_key(idempotency_key: str) -> UUID:
    """Returns the command id that earlier releases used for a key that is not a UUID: a hash without a secret, from
    which a short key can be guessed. Frozen: old receipts are stored under this id."""
    digest = hashlib.sha256(_KEY_NAMESPACE + idempotency_key.encode()).digest()
    return UUID(bytes=digest[:16], version=5)
