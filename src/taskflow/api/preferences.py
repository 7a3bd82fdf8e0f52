"""`Prefer` (RFC 7240): what a client would rather have. Whatever else it names is ignored, as the standard says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskflow.commands.execute import Accepted

APPLIED: Final = {"Preference-Applied": "return=minimal"}


class MinimalBody(Struct, frozen=True):
    """What a write answers under `Prefer: return=minimal`."""

    id: UUID
    version: int
    position: int


class _Named(Struct, frozen=True):
    id: UUID | None = None


def prefers_minimal(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the answer to a write need not show what was written. `fields`: all header fields of the request, as the
    server gives them. The first `return` counts."""
    for name, value in fields:
        if name != b"prefer":
            continue
        for preference in value.decode("latin-1").split(","):
            kind, _, wanted = preference.partition(";")[0].partition("=")
            if kind.strip().lower() == "return":
                return wanted.strip().strip('"').lower() == "minimal"
    return False


def minimal(body: bytes, accepted: Accepted) -> bytes:
    """Of the resource that a write would have answered with: which it is, and as of when."""
    named = msgspec.json.decode(body, type=_Named).id
    receipt = accepted.receipt
    return msgspec.json.encode(MinimalBody(named or receipt.stream_id, receipt.version, receipt.position))
