"""The past of streams that a unit of work has read: their events and their earlier states, staged events included.

The log does not show an append that is still on its way into the store, so every method first waits for those that the
unit has read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct

from taskflow.errors import HistoryTooLarge, NotFound, Rejected, StaleDecision
from taskflow.streams import Event, EventMetadata
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import StreamType

S = TypeVar("S")

EVENTS_PER_TURN_MAX: Final = 1_000
"""Events of a history that are looked at in one turn."""


class PastEvent(Struct, frozen=True):
    """An event that a stream has, without what it says: for a handler that looks back."""

    metadata: EventMetadata
    event_id: UUID
    command: UUID | int
    """Its id; of an event that was staged by this very unit, the turn."""
    causation_id: UUID | None


class HistoryBounds(Struct, frozen=True):
    """How much of a stream's past a handler may look at."""

    events_max: int
    bytes_max: int


class UnitHistory:
    """The past of the streams of one unit of work."""

    def __init__(self, unit: UnitOfWork, store: EventStore, bounds: HistoryBounds) -> None:
        self._unit = unit
        self._store = store
        self._bounds = bounds

    async def streams_of(self, caller: UUID | None, command: UUID | int, type_: type[Event]) -> list[UUID]:
        """The streams to which somebody's command appended an event of this type: by its id, or of this unit by its
        turn."""
        if isinstance(command, int):
            staged = [one for one in self._unit.staged if one.turn == command and isinstance(one.event, type_)]
            return [one.metadata.stream_id for one in staged]
        return [] if caller is None else await self._store.streams_of(caller, command, type_.__name__)

    async def of(self, stream_id: UUID) -> list[PastEvent]:
        """Everything that has happened to a stream that was read, oldest first, staged events included.

        What is still on its way into the store is waited for: until then the log does not tell it. Raises
        StaleDecision where it did not arrive, and Rejected where there is more than the bounds allow.
        """
        await self._unit.dependencies_stored()
        read_version = self._unit.streams[stream_id].read_version
        if read_version > self._bounds.events_max:
            raise Rejected(
                "history-too-large",
                f"expected at most {self._bounds.events_max} events in the history, found {read_version}",
            )
        headers = await self._store.headers.up_to(stream_id, read_version)
        if len(headers) < read_version:
            raise StaleDecision(f"expected {read_version} events of {stream_id}, found {len(headers)}")
        past: list[PastEvent] = []
        for first in range(0, len(headers), EVENTS_PER_TURN_MAX):
            await turn()
            past += [
                PastEvent(
                    EventMetadata(stream_id, one.version, one.occurred_at, one.actor),
                    one.event_id,
                    one.command_id,
                    one.causation_id,
                )
                for one in headers[first : first + EVENTS_PER_TURN_MAX]
            ]
        return past + [
            PastEvent(staged.metadata, staged.event_id, staged.turn, staged.causation_id)
            for staged in self._unit.staged
            if staged.metadata.stream_id == stream_id
        ]

    async def at_version(self, kind: StreamType[S], stream_id: UUID, version: int, *, annulled: frozenset[int]) -> S:
        """A stream that was read as it was at a version that it has had, staged events included, and without the events
        of the versions `annulled`. Raises Rejected where that is folded from more than the bounds allow, and
        StaleDecision where the state stands on an append that was lost."""
        stored = min(version, self._unit.streams[stream_id].read_version)
        await self._unit.dependencies_stored()
        try:
            state = await self._store.state_cache.at_version(
                kind, stream_id, stored, annulled=annulled, bytes_max=self._bounds.bytes_max
            )
        except HistoryTooLarge as error:
            raise Rejected("history-too-large", str(error)) from None
        for staged in self._unit.staged:
            at = staged.metadata
            if at.stream_id == stream_id and at.version <= version and at.version not in annulled:
                state = kind.evolve(state, staged.event, staged.metadata)
        if state is None:
            raise NotFound(kind.name, stream_id)
        return state

    async def events(self, stream_id: UUID, versions: Collection[int]) -> list[Event]:
        """The events of a stream that was read, at these versions of it: what its state does not hold.

        Raises StaleDecision where the state stands on an append that was lost.
        """
        stream = self._unit.streams[stream_id]
        stored = [version for version in versions if version <= stream.read_version]
        await self._unit.dependencies_stored()
        recorded = await self._store.log.versions(stream_id, stored)
        if len(recorded) != len(set(stored)):
            raise StaleDecision(f"expected {len(set(stored))} events of {stream_id}, found {len(recorded)}")
        here = [
            staged.event
            for staged in self._unit.staged
            if staged.metadata.stream_id == stream_id and staged.metadata.version in versions
        ]
        return [*await self._store.mapper.decode(recorded), *here]

    async def event_at(self, position: int) -> RecordedEvent | None:
        """The event at a position of the log; None where there is none yet. An event never changes, so it needs no
        guard."""
        found = await self._store.log.read(position - 1, limit=1, to=position)
        return found[0] if found else None
