"""Folds a stream from the log, to any of its versions: the one fold of the write side and of a projector.

A fold to version v skips the events that were annulled at or before v. Annulments are rare and are only found while the
stream is read, so a stream is first folded as it stands; its state then tells what was annulled, and a stream with new
annulments is folded once more without the annulled events. A stream without annulments costs nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from taskflow.errors import HistoryTooLarge
from taskflow.store.log import CHUNK_BYTES_MAX, CHUNK_EVENTS_MAX, VERSION_END
from taskflow.streams import EVENT_TYPES, STREAM_TYPE_OF_EVENT, TASK, EventMetadata
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent
    from taskflow.store.snapshots import Snapshots
    from taskflow.streams import StreamType

_NOTHING: Final[frozenset[int]] = frozenset()


class StreamState(Struct, frozen=True):
    """A stream's state at a version; version 0 and state None: the stream does not exist."""

    version: int
    state: Any


class _Read(Struct, frozen=True):
    """A stream that is folded: its first events, and whether there may be more. `to` and `bytes_max` as in `fold`."""

    kind: StreamType[Any]
    stream_id: UUID
    first: Sequence[RecordedEvent]
    more: bool
    to: int | None
    bytes_max: int | None


class StreamFolder:
    """Folds streams. With `snapshots`, a stream of more than `first_events_max` events is folded from its snapshot."""

    def __init__(
        self,
        log: Log,
        mapper: Mapper,
        snapshots: Snapshots | None = None,
        *,
        first_events_max: int = CHUNK_EVENTS_MAX,
    ) -> None:
        self._log = log
        self._mapper = mapper
        self._snapshots = snapshots
        self._first_events_max = first_events_max

    async def fold(
        self,
        kind: StreamType[Any],
        stream_id: UUID,
        to: int | None = None,
        *,
        annulled: frozenset[int] | None = None,
        bytes_max: int | None = None,
    ) -> StreamState:
        """The state at version `to`, or the newest one. For an id of another kind of stream, it is a state of that kind.

        `annulled`: the versions to skip instead of those that were annulled at or before `to`. Raises HistoryTooLarge if
        more than `bytes_max` of events would have to be read.
        """
        first = await self._log.stream(stream_id, to=to, limit=self._first_events_max, bytes_max=CHUNK_BYTES_MAX)
        if not first:
            return StreamState(0, None)
        kind = STREAM_TYPE_OF_EVENT.get(first[0].type, kind)
        more = len(first) == self._first_events_max or sum(len(event.data) for event in first) >= CHUNK_BYTES_MAX
        read = _Read(kind, stream_id, first, more, to, bytes_max)
        snapshot = await self._snapshot(read)
        if annulled is not None:
            return await self._run(read, _start(kind, snapshot, annulled), annulled)
        found = await self._run(read, snapshot, _NOTHING)
        annulled = kind.annulled(found.state)
        if annulled == (_NOTHING if snapshot is None else kind.annulled(snapshot.state)):
            return found
        read = _Read(kind, stream_id, first, more, found.version, bytes_max)
        return await self._run(read, _start(kind, snapshot, annulled), annulled)

    async def fold_some(self, left: dict[UUID, list[int]]) -> dict[tuple[UUID, int], Any]:
        """States of several streams by stream and version, of as many as are read in one round trip. `left` holds the
        versions that are wanted, in their order; those that are done are taken from it, the first stream in any case.
        A version that a stream does not have is left out."""
        states: dict[tuple[UUID, int], Any] = {}
        last = {stream_id: versions[-1] for stream_id, versions in left.items()}
        found = await self._log.streams(last, events_max=self._first_events_max, bytes_max=CHUNK_BYTES_MAX)
        first = next(iter(left))
        whole = {one: read for one, read in found.items() if read[-1].stream_version == last[one] and not _annuls(read)}
        decoded = iter(await self._mapper.decode([event for read in whole.values() for event in read]))
        for stream_id, read in whole.items():
            await turn()
            kind = STREAM_TYPE_OF_EVENT[read[0].type]
            state, versions = None, left.pop(stream_id)
            for one, event in zip(read, decoded):  # noqa: B905 - the iterator goes on with the next stream's
                metadata = EventMetadata(stream_id, one.stream_version, one.occurred_at, one.actor)
                state = kind.evolve(state, event, metadata)
                if one.stream_version in versions:
                    states[stream_id, one.stream_version] = state
        # Longer than one page, shorter than was asked for, or without events that were annulled: folded by itself.
        apart = [one for one in left if one == first or self._is_apart(found.get(one, ()), last[one])]
        for stream_id in apart:
            for version in left.pop(stream_id):
                folded = await self.fold(TASK, stream_id, version)
                if folded.version == version:
                    states[stream_id, version] = folded.state
        return states

    def _is_apart(self, read: Sequence[RecordedEvent], last: int) -> bool:
        return bool(read) and (len(read) == self._first_events_max or read[-1].stream_version == last)

    async def _snapshot(self, read: _Read) -> StreamState | None:
        if not read.more or self._snapshots is None:
            return None
        found = await self._snapshots.read(read.kind, read.stream_id, VERSION_END if read.to is None else read.to)
        return None if found is None else StreamState(*found)

    async def _run(self, read: _Read, start: StreamState | None, annulled: frozenset[int]) -> StreamState:
        """Folds once, from `start` on (None: from the stream's beginning), without the events of `annulled`."""
        at = StreamState(0, None) if start is None else start
        if read.more and read.bytes_max is not None and read.to is not None:
            found = await self._log.bytes_of(read.stream_id, after=at.version, to=read.to)
            if found > read.bytes_max:
                what = f"version {read.to} of {read.stream_id}"
                raise HistoryTooLarge(what, found=found, bytes_max=read.bytes_max)
        if start is None:
            at = await self._step(read, at, read.first, annulled)
        if read.more:
            async for chunk in self._log.chunks(read.stream_id, after=at.version, to=read.to):
                at = await self._step(read, at, chunk, annulled)
        return at

    async def _step(
        self, read: _Read, at: StreamState, events: Sequence[RecordedEvent], annulled: frozenset[int]
    ) -> StreamState:
        await turn()
        state = at.state
        kept = [one for one in events if one.stream_version not in annulled] if annulled else events
        for recorded, event in zip(kept, await self._mapper.decode(kept), strict=True):
            metadata = EventMetadata(read.stream_id, recorded.stream_version, recorded.occurred_at, recorded.actor)
            state = read.kind.evolve(state, event, metadata)
        return StreamState(events[-1].stream_version, state)


def _annuls(events: Sequence[RecordedEvent]) -> bool:
    return any(EVENT_TYPES[one.type].annuls for one in events if one.type in EVENT_TYPES)


def _start(kind: StreamType[Any], snapshot: StreamState | None, annulled: frozenset[int]) -> StreamState | None:
    """The snapshot, if it skipped exactly those of its events that are annulled."""
    if snapshot is None or {one for one in annulled if one <= snapshot.version} != kind.annulled(snapshot.state):
        return None
    return snapshot
