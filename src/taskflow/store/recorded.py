"""A stored event: its envelope, and its data with personal fields encrypted."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class RecordedEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A row of `events`, the same in the store, in a message and in a projector. `data` is JSON in which personal fields are
    encrypted; it is not decoded into the typed event, because decoding needs the key."""

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
    """The user who caused the event; None: the system."""
    command_id: UUID
    correlation_id: str | None
    causation_id: UUID | None
    data: bytes
