"""The parts of a stream type: events, a state, and `evolve`, which applies an event to a state."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Callable

STATE_BYTES: Final = 1_500
"""Approximate size in memory of a state's objects, in bytes, in addition to its encoded content."""
_encode: Final = msgspec.msgpack.Encoder().encode

PERSONAL: Final = Meta(extra={"personal": True})
"""Marks a field that is encrypted with the key of its person before the event leaves the process.

The type of such a field includes `None`, which is the value after the person's erasure.
"""


class Event(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Base class of events. The class name is part of the storage format: never rename an event class.
    Default values are not stored, so they are part of the format too: never change one.

    `schema_version`: raised when the stored shape changes; `taskflow.streams.upcasters` converts older shapes.
    `person_field`: the field with the id of the person whose key seals the PERSONAL fields; empty if the stream id is
    that person's id. `sealed_since`: the first schema version with sealed PERSONAL fields; older versions stored the
    fields in clear. `part_field`: the field with the id of the part of the stream (for example a comment) that the
    event creates; empty if the event creates no part. `annuls`: whether the event annuls an earlier one of its stream,
    so that the state after it comes from another fold, and not from the state before it.
    """

    schema_version: ClassVar[int] = 1
    person_field: ClassVar[str] = ""
    sealed_since: ClassVar[int] = 1
    part_field: ClassVar[str] = ""
    annuls: ClassVar[bool] = False


class EventMetadata(Struct, frozen=True):
    """The metadata of an event that `evolve` may use. Not a RecordedEvent, because the write side also folds events
    that are not recorded yet."""

    stream_id: UUID
    version: int
    occurred_at: datetime
    actor: UUID | None = None


class Annulment(Struct, frozen=True, gc=False):
    """An event of a stream was annulled: every fold to version `by` or later skips the event of `version`."""

    version: int
    by: int
    """The version of the event that annuls it."""


S = TypeVar("S")


def _no_annulments(_: Any) -> tuple[Annulment, ...]:
    return ()


class StreamType(Struct, Generic[S], frozen=True, eq=False):
    """A stream type: its name in the store, its event classes, its state class and `evolve`, one step of the fold."""

    name: str
    state: type[S]
    events: tuple[type[Event], ...]
    evolve: Callable[[S | None, Any, EventMetadata], S]
    state_version: int = 1
    """Increased when the state's shape changes: older snapshots are then ignored."""
    person_field: str = ""
    """The same as `Event.person_field`, for the PERSONAL fields of the state."""
    annulments: Callable[[S], tuple[Annulment, ...]] = _no_annulments
    """What was annulled in a state's stream up to the version of the state."""

    def annulled(self, state: S | None) -> frozenset[int]:
        """Returns the versions of a stream that were annulled at or before the version of its state."""
        return frozenset() if state is None else frozenset([one.version for one in self.annulments(state)])


def state_bytes(state: object) -> int:
    """Returns the approximate size of a stream's state in memory, in bytes."""
    return STATE_BYTES + len(_encode(state))
