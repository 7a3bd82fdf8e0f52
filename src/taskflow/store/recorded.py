"""An event as the store holds it: the envelope of the design, with `data` still sealed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class RecordedEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One row of `events`, the same in the store, in a message and in a projector. `data` is JSON; personal fields in it
    are ciphertext, and only who decodes it needs the key: so it is not the typed event."""

    position: int
    epoch: int
    stream_id: UUID
    stream_version: int
    shard: int
    type: str
    schema_version: int
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    actor: UUID | None
    """The user who caused it; None is the system."""
    command_id: UUID
    correlation_id: str | None
    causation_id: UUID | None
    data: bytes
