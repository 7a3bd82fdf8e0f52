"""A batch of events, folded into what has to be written. Pure: no I/O, no clock."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import bson
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from msgspec import Struct, field

from taskflow.projections.projection import Projection, Sums
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import Event, EventMetadata

DOCUMENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""MongoDB's own limit."""
WORDS_KEPT_MAX: Final = 1_024
"""Lists of words whose encoding is remembered."""
_CODEC: Final = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)


class FoldedState(Struct):
    """A stream's state in a view, and the version and position it was folded to, by which repeats are told: states do not
    know their position."""

    position: int
    version: int
    state: Any


class Parked(Struct, frozen=True):
    """A stream whose events a view cannot apply: from `version` on they wait in the log."""

    stream_id: UUID
    version: int
    position: int
    partition: int
    reason: str


class Changes(Struct):
    """What a batch of one partition writes. `held` and `documents` (as BSON) are by stream; those in `begun`
    have no document yet."""

    held: dict[UUID, FoldedState] = field(default_factory=dict)
    documents: dict[UUID, bytes] = field(default_factory=dict)
    sums: Sums = field(default_factory=dict)
    invalidated: set[str] = field(default_factory=set)
    parked: list[Parked] = field(default_factory=list)
    begun: set[UUID] = field(default_factory=set)

    def forget(self) -> None:
        """Everything but which streams begin: to apply the same events once more."""
        self.held, self.documents, self.sums, self.invalidated, self.parked = {}, {}, {}, set(), []


def apply(
    view: Projection,
    changes: Changes,
    held: FoldedState | None,
    recorded: RecordedEvent,
    event: Event | Exception,
    partition: int,
    *,
    document: bool = True,
) -> None:
    """Applies one event to the state that its stream has so far, into `changes`; with or without its document.

    An event at or before the state's position was applied before. A fold that fails, a version that
    does not follow, a document that cannot be stored, and data that could not be decoded (`event` is
    then the error) park the stream.
    """
    if held is not None and recorded.position <= held.position:
        return
    before = None if held is None else held.state
    try:
        if isinstance(event, Exception):
            raise event
        expected = 1 if held is None else held.version + 1
        if recorded.stream_version != expected:
            raise AssertionError(f"expected version {expected}, found {recorded.stream_version}")
        metadata = EventMetadata(recorded.stream_id, recorded.stream_version, recorded.occurred_at, recorded.actor)
        after = FoldedState(recorded.position, recorded.stream_version, view.kind.evolve(before, event, metadata))
        sums = view.sums(before, after.state, recorded.shard) if view.sums else {}
        invalidated = view.invalidates(before, after.state)
        encoded = _document(view, recorded.stream_id, after) if document else None
    except Exception as error:  # noqa: BLE001 - whatever a pure fold raises is the stream's fault, not the worker's
        changes.parked.append(
            Parked(recorded.stream_id, recorded.stream_version, recorded.position, partition, repr(error)[:500])
        )
        return
    changes.held[recorded.stream_id] = after
    if encoded is not None:
        changes.documents[recorded.stream_id] = encoded
    for key, count in sums.items():
        total = changes.sums.get(key, 0) + count
        if total:
            changes.sums[key] = total
        else:
            changes.sums.pop(key, None)  # what cancels out within a batch is nothing to write
    changes.invalidated.update(invalidated)


def _document(view: Projection, stream_id: UUID, held: FoldedState) -> bytes:
    """The document as it is stored: encoded here, so that one that cannot be is its stream's fault."""
    fields = view.document(held.state)
    words = _words(tuple(fields.pop("words"))) if "words" in fields else b""
    rest = bson.encode(
        {
            "_id": stream_id,
            "position": held.position,
            "version": held.version,
            **fields,
            "state": msgspec.json.encode(view.redact(held.state)),
        },
        codec_options=_CODEC,
    )
    document = b"%b%b%b\0" % ((len(rest) + len(words)).to_bytes(4, "little"), rest[4:-1], words)
    if len(document) > DOCUMENT_BYTES_MAX:
        raise AssertionError(f"a document holds at most {DOCUMENT_BYTES_MAX} bytes, found {len(document)}")
    return document


@lru_cache(maxsize=WORDS_KEPT_MAX)
def _words(words: tuple[str, ...]) -> bytes:
    """The field `words` as it stands in a document. They are many and seldom others: encoded once, not at each event."""
    return bson.encode({"words": words})[4:-1]
