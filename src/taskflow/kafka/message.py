"""Events and watermarks as CloudEvents 1.0 messages in Kafka's binary mode.

    key     the stream's id; none for a watermark
    value   the event's JSON as stored, personal fields encrypted; empty for a watermark
    headers the attributes, each `ce_` and a lower-case name; an attribute without a value has no header

Readers trust the chain of `position` and `prev`, not offsets: a reader at checkpoint c drops messages with position ≤ c,
applies those with prev ≤ c, and otherwise first reads (c, prev] of the partition's shards from the store. A watermark says
the same without an event: up to `position`, the partition's last event is the one at `prev`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.errors import BadMessage
from taskflow.store.recorded import RecordedEvent

WATERMARK: Final = "taskflow.watermark"
"""`ce_type` of watermarks. Event types are class names, so none is equal to it."""
SOURCE: Final = b"/taskflow/events"
POSITION_MAX: Final = 2**62

_SYSTEM: Final = b"system"
_JSON: Final = ("content-type", b"application/json")
_SPEC: Final = ("ce_specversion", b"1.0")

Headers = list[tuple[str, bytes]]


class Encoded(Struct, frozen=True):
    """A message as a producer sends it: what `mac` signs, and Kafka stores."""

    key: bytes | None
    value: bytes
    headers: Headers


class Message(Struct, frozen=True, kw_only=True):
    """A message as a consumer reads it: an event, with the position of the event before it on its partition, which the log
    does not hold. `event` and `shard` are None for a watermark; `event` is None for an event type that the reader skips."""

    position: int
    """Position of the event; of a watermark, how far the log was read."""
    prev: int
    """Position of the event before it on the partition; of a watermark, of the partition's last event; 0: none."""
    epoch: int
    generation: int
    event: RecordedEvent | None
    shard: int | None = None


def to_message(event: RecordedEvent, *, prev: int, generation: int) -> Encoded:
    """Encodes an event that follows the event at `prev` on its partition."""
    stream = str(event.stream_id).encode()
    headers: Headers = [
        _SPEC,
        ("ce_id", str(event.event_id).encode()),
        ("ce_type", event.type.encode()),
        ("ce_source", SOURCE),
        ("ce_subject", stream),
        ("ce_time", _time(event.occurred_at)),
        _JSON,
        ("ce_position", b"%d" % event.position),
        ("ce_prev", b"%d" % prev),
        ("ce_epoch", b"%d" % event.epoch),
        ("ce_generation", b"%d" % generation),
        ("ce_shard", b"%d" % event.shard),
        ("ce_streamversion", b"%d" % event.stream_version),
        ("ce_schemaversion", b"%d" % event.schema_version),
        ("ce_recordedtime", _time(event.recorded_at)),
        ("ce_actor", _SYSTEM if event.actor is None else str(event.actor).encode()),
        ("ce_commandid", str(event.command_id).encode()),
    ]
    if event.correlation_id is not None:
        headers.append(("ce_correlationid", event.correlation_id.encode()))
    if event.causation_id is not None:
        headers.append(("ce_causationid", str(event.causation_id).encode()))
    return Encoded(stream, event.data, headers)


def to_watermark(*, position: int, prev: int, epoch: int, generation: int, partition: int) -> Encoded:
    """Encodes a watermark: the log was read up to `position`, and the partition's last event up to there is at `prev`."""
    return Encoded(
        None,
        b"",
        [
            _SPEC,
            # The same id for a repeated watermark, for consumers that drop repeats by id.
            ("ce_id", b"%d.%d.%d.%d" % (generation, epoch, partition, position)),
            ("ce_type", WATERMARK.encode()),
            ("ce_source", SOURCE),
            ("ce_position", b"%d" % position),
            ("ce_prev", b"%d" % prev),
            ("ce_epoch", b"%d" % epoch),
            ("ce_generation", b"%d" % generation),
        ],
    )


def from_message(
    value: bytes | None,
    headers: Mapping[str, Any] | Sequence[tuple[str, Any]],
    *,
    passes: Collection[str] = frozenset(),
) -> Message:
    """Decodes a message of the topic after its MAC was verified (mac.py). The data of event types in `passes`, which the
    reader skips, are not decoded. Raises BadMessage for a message that the relay cannot have written."""
    attributes = dict(headers)
    try:
        return _message(value or b"", attributes, passes)
    except (KeyError, ValueError, TypeError, AttributeError) as error:  # the last two: a header without a value
        found = {name: text and text[:100] for name, text in attributes.items()}
        raise BadMessage(f"expected a CloudEvents message of the relay, found {found}: {error!r}") from error


def _message(value: bytes, attributes: Mapping[str, bytes], passes: Collection[str]) -> Message:
    position, prev = int(attributes["ce_position"]), int(attributes["ce_prev"])
    if not 0 <= prev <= position <= POSITION_MAX:
        raise ValueError(f"expected 0 ≤ prev ≤ position, found {prev} and {position}")
    epoch = int(attributes["ce_epoch"])
    kind = attributes["ce_type"].decode()
    event = None
    shard = None if kind == WATERMARK else int(attributes["ce_shard"])
    if shard is not None and kind not in passes:
        actor = attributes["ce_actor"]
        correlation = attributes.get("ce_correlationid")
        causation = attributes.get("ce_causationid")
        event = RecordedEvent(
            position=position,
            epoch=epoch,
            stream_id=UUID(attributes["ce_subject"].decode()),
            stream_version=int(attributes["ce_streamversion"]),
            shard=shard,
            type=kind,
            schema_version=int(attributes["ce_schemaversion"]),
            event_id=UUID(attributes["ce_id"].decode()),
            occurred_at=datetime.fromisoformat(attributes["ce_time"].decode()),
            recorded_at=datetime.fromisoformat(attributes["ce_recordedtime"].decode()),
            actor=None if actor == _SYSTEM else UUID(actor.decode()),
            command_id=UUID(attributes["ce_commandid"].decode()),
            correlation_id=None if correlation is None else correlation.decode(),
            causation_id=None if causation is None else UUID(causation.decode()),
            data=value,
        )
    return Message(
        position=position,
        prev=prev,
        epoch=epoch,
        generation=int(attributes["ce_generation"]),
        event=event,
        shard=shard,
    )


def _time(moment: datetime) -> bytes:
    """RFC 3339 in UTC, with microseconds."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z".encode()
