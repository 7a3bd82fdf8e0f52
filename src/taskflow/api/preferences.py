"""`Prefer` (RFC 7240): what a client would rather have. Whatever else it names is ignored, as the standard says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from litestar.datastructures import Headers

    from taskflow.commands.execute import Accepted

APPLIED: Final = {"Preference-Applied": "return=minimal"}


class MinimalBody(Struct, frozen=True):
    """What a write answers under `Prefer: return=minimal`."""

    id: UUID
    version: int
    position: int


class _Named(Struct, frozen=True):
    id: UUID | None = None


def prefers_minimal(headers: Headers) -> bool:
    """Whether the answer to a write need not show what was written. The first `return` counts."""
    for field in headers.getall("prefer", []):
        for preference in field.split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            if name.strip().lower() == "return":
                return value.strip().strip('"').lower() == "minimal"
    return False


def minimal(body: bytes, accepted: Accepted) -> bytes:
    """Of the resource that a write would have answered with: which it is, and as of when."""
    named = msgspec.json.decode(body, type=_Named).id
    receipt = accepted.receipt
    return msgspec.json.encode(MinimalBody(named or receipt.stream_id, receipt.version, receipt.position))
