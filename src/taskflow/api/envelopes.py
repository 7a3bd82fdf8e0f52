"""Events as the API shows them: the data in the current schema version, with personal fields only if the reader may see
them.

A personal field is `null` unless reader and person are both members of some project by their own consent. It is `null`
too for an erased person, and always for a secret (the hash of a password) and for a field encrypted with a key of its
own (the address of an invitation).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from taskflow.dates.timestamps import Timestamp, timestamp
from taskflow.privacy.sealing import open_fields, personal_fields
from taskflow.store.mapper import person_of, upcast
from taskflow.streams import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent

SHOWN: Final = frozenset(("name", "email", "avatar_url", "address", "agent"))
"""Personal fields that other people may ever read. Fields that are not listed here are never shown."""


log = logging.getLogger(__name__)

_ENCODER: Final = msgspec.json.Encoder()
_NO_DATA: Final = Raw(b"null")


class Envelope(Struct, frozen=True, kw_only=True):
    """An event as the API shows it."""

    position: int
    event_id: UUID
    stream_id: UUID
    stream_version: int
    type: str
    schema_version: int
    occurred_at: Timestamp
    recorded_at: Timestamp
    actor: str
    """A user's id, or `system`."""
    command_id: UUID
    correlation_id: str | None
    causation_id: UUID | None
    data: Raw


class EnvelopePage(Struct, frozen=True):
    items: list[Envelope]
    next_cursor: str | None


def nobody(_: UUID) -> bool:
    """The default for `sees`: the reader may see nobody's personal fields."""
    return False


async def envelopes(
    mapper: Mapper, events: Sequence[RecordedEvent], sees: Callable[[UUID], bool] = nobody
) -> list[Envelope]:
    """The envelopes of events, in the same order. `sees`: whether the reader may see a person's data. The keys of
    exactly these people are fetched, all at once."""
    plain: dict[int, dict[str, Any]] = {}
    persons: dict[int, UUID] = {}
    for event in events:
        kind = EVENT_TYPES[event.type]
        if event.schema_version != kind.schema_version or personal_fields(kind):
            data = plain[event.position] = upcast(event, kind)
            person = person_of(kind, event.stream_id, data)
            if person is not None and sees(person):
                persons[event.position] = person
    keys = await mapper.keyring.fetch(persons.values()) if persons else {}
    for event in events:
        if event.position in plain:
            kind, data = EVENT_TYPES[event.type], plain[event.position]
            for field in set(personal_fields(kind)) - SHOWN:
                data[field] = None
            person = persons.get(event.position)
            key = None if person is None else keys.get(person)
            in_clear = event.schema_version < kind.sealed_since
            open_fields(kind, data, key, event.event_id.bytes, in_clear=in_clear)
    return [_envelope(event, plain.get(event.position)) for event in events]


async def live_envelopes(mapper: Mapper, events: Sequence[RecordedEvent]) -> list[Envelope]:
    """As `envelopes` without personal fields, for `/stream`. An event that cannot be decoded has `data: null`: a stream
    that ended there would end there again after every reconnection."""
    try:
        return await envelopes(mapper, events)
    except Exception:  # noqa: BLE001 - nobody's data are fetched, so an event is at fault: the loop below finds it
        found: list[Envelope] = []
        for event in events:
            try:
                found += await envelopes(mapper, [event])
            except Exception:
                about = {"position": event.position, "type": event.type, "schema_version": event.schema_version}
                log.exception("an event cannot be decoded, and is sent without its data", extra=about)
                found.append(replace(_envelope(event, None), schema_version=event.schema_version, data=_NO_DATA))
        return found


def as_sent_live(mapper: Mapper) -> Callable[[Sequence[RecordedEvent]], Awaitable[list[bytes]]]:
    """A function that gives each event as one text for all listeners, without personal fields."""

    async def render(events: Sequence[RecordedEvent]) -> list[bytes]:
        return [as_sent(envelope) for envelope in await live_envelopes(mapper, events)]

    return render


def as_sent(envelope: Envelope) -> bytes:
    """An event of a `text/event-stream`. Its JSON contains no line breaks."""
    data = _ENCODER.encode(envelope)
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (envelope.position, envelope.type.encode(), data)


def _envelope(event: RecordedEvent, data: dict[str, Any] | None) -> Envelope:
    """The envelope with these data, in today's schema version; None: the data are stored in it."""
    return Envelope(
        position=event.position,
        event_id=event.event_id,
        stream_id=event.stream_id,
        stream_version=event.stream_version,
        type=event.type,
        schema_version=EVENT_TYPES[event.type].schema_version,
        occurred_at=timestamp(event.occurred_at),
        recorded_at=timestamp(event.recorded_at),
        actor=str(event.actor or "system"),
        command_id=event.command_id,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        data=Raw(event.data if data is None else msgspec.json.encode(data)),
    )
