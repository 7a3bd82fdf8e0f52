"""Conversion between typed events and stored ones: encryption, upcasting, decoding."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from taskflow.errors import UnknownEventType
from taskflow.privacy.sealing import open_fields, personal_fields, says_of_person, seal_fields
from taskflow.streams import EVENT_TYPES, Event
from taskflow.streams.upcasters import UPCASTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.privacy.keyring import KeyRing
    from taskflow.store.recorded import RecordedEvent

_ENCODER: Final = msgspec.json.Encoder()


@cache
def _decoder(event: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(event)


def _event_type(recorded: RecordedEvent) -> type[Event]:
    event = EVENT_TYPES.get(recorded.type)
    if event is None or recorded.schema_version > event.schema_version:
        known = "none of that name" if event is None else f"up to version {event.schema_version}"
        raise UnknownEventType(
            f"position {recorded.position} holds {recorded.type} version {recorded.schema_version}; "
            f"this release knows {known}"
        )
    return event


def person_of(event: type[Event], stream_id: UUID, data: dict[str, Any]) -> UUID | None:
    """The person whose key encrypts an event's personal fields; None for an event type without any."""
    if not personal_fields(event):
        return None
    return UUID(data[event.person_field]) if event.person_field else stream_id


def encode(event: Event, *, event_id: UUID, key: bytes | None) -> bytes:
    """An event's `data`. `key` is the person's; it is needed if any personal field has a value."""
    if not says_of_person(event):
        return _ENCODER.encode(event)
    if key is None:
        raise AssertionError(f"{type(event).__name__} holds personal data and no key was given")
    return seal_fields(event, key, event_id.bytes)


class Mapper:
    """Decodes stored events, of every schema version ever written."""

    def __init__(self, keyring: KeyRing) -> None:
        self.keyring = keyring

    async def decode(self, events: Sequence[RecordedEvent]) -> list[Event]:
        """Typed events in the same order; the keys of all their persons are fetched in one round trip. A field whose key
        was destroyed is None.

        Raises UnknownEventType, KeyMissing, and msgspec.ValidationError for data of another shape.
        """
        decoded: list[Event | None] = []
        sealed: list[tuple[int, type[Event], dict[str, Any], UUID]] = []
        for index, recorded in enumerate(events):
            event = _event_type(recorded)
            if recorded.schema_version == event.schema_version and not personal_fields(event):
                decoded.append(_decoder(event).decode(recorded.data))
                continue
            data = upcast(recorded, event)
            person = person_of(event, recorded.stream_id, data)
            if person is None:
                decoded.append(msgspec.convert(data, event))
            else:
                decoded.append(None)
                sealed.append((index, event, data, person))
        if sealed:
            keys = await self.keyring.fetch(person for *_, person in sealed)
            for index, event, data, person in sealed:
                one = events[index]
                in_clear = one.schema_version < event.sealed_since
                open_fields(event, data, keys.get(person), one.event_id.bytes, in_clear=in_clear)
                decoded[index] = msgspec.convert(data, event)
        return [event for event in decoded if event is not None]


def upcast(recorded: RecordedEvent, event: type[Event]) -> dict[str, Any]:
    """The event's JSON object in today's schema version, personal fields still encrypted."""
    data: dict[str, Any] = msgspec.json.decode(recorded.data)
    for version in range(recorded.schema_version, event.schema_version):
        data = UPCASTERS[recorded.type, version](data)
    return data
