"""Folds a batch of events into the changes to write. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import bson
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from msgspec import Struct, field

from taskflow.lru import SharedLruCache
from taskflow.projections.projection import Projection, Sums
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import Event, EventMetadata
from taskflow.text.search_tokens import words_bytes

DOCUMENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""MongoDB's limit."""
WORDS_BYTES_MAX: Final = 4_194_304
"""Size of the lists of words that are cached in encoded form."""
_CODEC: Final = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)


class FoldedState(Struct):
    """The state of a stream in a view, with the version and the position of the last event folded into it.

    Repeated events are recognised by the position, which the state itself does not contain.
    """

    position: int
    version: int
    state: Any


class Parked(Struct, frozen=True):
    """A stream that a view has stopped at: the event of `version` could not be applied, and later events wait in the
    log."""

    stream_id: UUID
    version: int
    position: int
    partition: int
    reason: str


class Changes(Struct):
    """The changes that a batch of one partition writes. `held` and `documents` (BSON) are keyed by stream. Streams in
    `begun` have no stored document yet."""

    held: dict[UUID, FoldedState] = field(default_factory=dict)
    documents: dict[UUID, bytes] = field(default_factory=dict)
    sums: Sums = field(default_factory=dict)
    invalidated: set[str] = field(default_factory=set)
    parked: list[Parked] = field(default_factory=list)
    begun: set[UUID] = field(default_factory=set)

    def forget(self) -> None:
        """Clears everything except `begun`, so that the same events can be applied again."""
        self.held, self.documents, self.sums, self.invalidated, self.parked = {}, {}, {}, set(), []


def apply(
    view: Projection,
    changes: Changes,
    held: FoldedState | None,
    recorded: RecordedEvent,
    event: Event | Exception,
    partition: int,
    *,
    folded: Any = None,
    document: bool = True,
) -> None:
    """Applies one event to the stream's state `held` and adds the result to `changes`, with a document if `document`.
    For an event that annuls another, `folded` is the state after it, folded anew from the log.

    An event at or before the state's position is a repeat and is ignored. The stream is parked if the fold fails, if
    the version is not the next one, if the document cannot be stored, or if the event could not be decoded (`event`
    is then the error).
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
        state = view.kind.evolve(before, event, metadata) if folded is None else folded
        after = FoldedState(recorded.position, recorded.stream_version, state)
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
            changes.sums.pop(key, None)  # nothing to write: the changes of this batch cancel out
    changes.invalidated.update(invalidated)


def _document(view: Projection, stream_id: UUID, held: FoldedState) -> bytes:
    """Encodes the document as stored. Encoded here, so that an encoding error parks the stream."""
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


_encoded_words: Final[SharedLruCache[tuple[str, ...], bytes]] = SharedLruCache(WORDS_BYTES_MAX)


def _words(words: tuple[str, ...]) -> bytes:
    """Encodes the field `words` of a document. Cached: the list is long and most events do not change it."""
    encoded = _encoded_words.get(words)
    if encoded is None:
        encoded = bson.encode({"words": words})[4:-1]
        _encoded_words.put(words, encoded, len(encoded) + words_bytes(words))
    return encoded
