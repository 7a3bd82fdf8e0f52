"""What every kind of stream is made of: events, a state, and `evolve` from one state to the next."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Callable

STATE_BYTES: Final = 1_500
"""What a state weighs in memory beside its texts, about: its fields are objects."""
_encode: Final = msgspec.msgpack.Encoder().encode

PERSONAL: Final = Meta(extra={"personal": True})
"""Marks a field that is encrypted with its person's key before it leaves the process.

Such a field's type admits `None`: that is what it reads as once the person is erased.
"""


class Event(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A fact, in the past tense. The class's name is the storage format: never rename one.
    Defaults are not stored and so are part of the format too: never change one.

    `schema_version` rises when the stored shape changes; `taskflow.streams.upcasters` then lifts
    the old shape. `person_field` names the field with the id of the person whose key seals the
    fields marked PERSONAL; empty: the stream itself is the person. Before the version `sealed_since` they were not
    personal, and stand in clear. `part_field` names the field with the id of the part of the stream that the event
    begins, a comment say; empty: it begins none.
    """

    schema_version: ClassVar[int] = 1
    person_field: ClassVar[str] = ""
    sealed_since: ClassVar[int] = 1
    part_field: ClassVar[str] = ""


class EventMetadata(Struct, frozen=True):
    """The circumstances of an event that `evolve` may look at: everything else is the event's own. The write side folds
    events that are not recorded yet, so it cannot be a RecordedEvent."""

    stream_id: UUID
    version: int
    occurred_at: datetime
    actor: UUID | None = None


S = TypeVar("S")


class StreamType(Struct, Generic[S], frozen=True, eq=False):
    """A kind of stream: its name in the store, its state's type and the fold's single step."""

    name: str
    state: type[S]
    events: tuple[type[Event], ...]
    evolve: Callable[[S | None, Any, EventMetadata], S]
    state_version: int = 1
    """Raised when the state's shape changes: older snapshots are then ignored."""
    person_field: str = ""
    """As `Event.person_field`, for the personal fields of the state."""


def state_bytes(state: object) -> int:
    """What a stream's state weighs in memory, about."""
    return STATE_BYTES + len(_encode(state))
