"""Encodes bodies of answers as JSON, and derives their ETags.

A resource's ETag begins with its version; the rest is a digest of the whole body.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

ENCODER: Final = msgspec.json.Encoder()


class Listing(Struct, frozen=True):
    """A page of a list as it is sent, with its opaque ETag."""

    body: bytes
    etag: str
    next_cursor: str | None


def listing(items: Sequence[Any], next_cursor: str | None) -> Listing:
    body = ENCODER.encode({"items": items, "next_cursor": next_cursor})
    return Listing(body, f'"{digest(body)}"', next_cursor)


def digest(body: bytes) -> str:
    """A digest of the body, 16 characters."""
    return blake2b(body, digest_size=8).hexdigest()


def resource_etag(version: int, body: bytes) -> str:
    return f'"{version}-{digest(body)}"'


def with_position(body: bytes, position: int) -> bytes:
    """A resource's JSON with the field `position` added, as answers to writes have it."""
    return b'%b,"position":%d}' % (body[:-1], position)
