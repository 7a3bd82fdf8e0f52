"""What the clients were told: written down at once, judged later."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct, field


class Acknowledged(Struct, frozen=True, kw_only=True):
    """A write that was answered with 200 or 201."""

    caller: UUID
    command_id: UUID
    command: str
    stream_id: UUID
    version: int
    position: int
    title: str | None = None
    """A title that no other command sets; None: the command sets none, and may have changed nothing."""


class Read(Struct, frozen=True, kw_only=True):
    """An answered read that named a position: `found` has to be at least `wanted`."""

    what: str
    position: int
    wanted: int
    found: int | None
    """None: what was asked for is not there."""


class Journal(Struct):
    """Of all clients together."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    refused: int = 0
    """Reads that said that they are behind, or that a part is down."""
    retries: int = 0
    """Sendings without an acknowledgement: each was sent again under its key."""
    lost_answers: int = 0
    """Writes that had taken effect, as the answer to a repeat said, when the first answer did not come."""
    odd: list[str] = field(default_factory=list)
    """Answers that no fault explains."""
