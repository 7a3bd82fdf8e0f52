"""States of streams, folded from the log and kept in memory.

A cached state may be stale: nothing rests on it, because every append names the versions it read.
A state may also be pending: decided in this process and not committed yet. The next command of a hot
stream is decided on it and falls with it if it loses.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from taskflow.errors import HistoryTooLarge
from taskflow.lru import LruCache
from taskflow.store.committer import has_failed
from taskflow.store.log import CHUNK_BYTES_MAX, VERSION_END
from taskflow.streams import STREAM_TYPE_OF_EVENT, EventMetadata, state_bytes
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from taskflow.store.append import Append
    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent
    from taskflow.store.snapshots import Snapshots
    from taskflow.streams import StreamType

S = TypeVar("S")


class Folded(Struct):
    """A stream's state at `version` (0 and None: no such stream). `pending`: what must commit first."""

    version: int
    state: Any
    pending: Append | None = None


class StateCache:
    """A bounded cache of folds over the log."""

    def __init__(self, log: Log, mapper: Mapper, snapshots: Snapshots, *, bytes_max: int, snapshot_every: int) -> None:
        self._log = log
        self._mapper = mapper
        self._snapshots = snapshots
        self._snapshot_every = snapshot_every
        self._folded: LruCache[UUID, Folded] = LruCache(bytes_max)
        self._loading: dict[UUID, asyncio.Task[Folded]] = {}
        self._passed: dict[UUID, int] = {}
        """Versions that were seen in the store of streams that are being loaded: the load may be older."""

    def known(self, kind: StreamType[S], stream_id: UUID) -> S | None:
        """A committed state that is in memory: every event that this process has seen is in it."""
        folded = self._settled(stream_id)
        if folded is None or folded.pending is not None or not isinstance(folded.state, kind.state):
            return None
        state: S = folded.state
        return state

    async def load(self, kind: StreamType[S], stream_id: UUID) -> Folded:
        """The newest state this process knows of, pending or committed; else the store's.

        What an id of another kind of stream answers is a state of that kind: look before use.

        Many callers for one stream share one read, and each looks again after it: the first of them may
        have left a pending state by then. What is too large to be kept is there for them alone.
        """
        folded = self._settled(stream_id)
        if folded is not None:
            return folded
        loading = self._loading.get(stream_id)
        if loading is None:
            loading = asyncio.create_task(self._load(kind, stream_id))
            self._loading[stream_id] = loading
        # Shared, so one caller that is cancelled must not cancel it for the others.
        loaded = await asyncio.shield(loading)
        return self._settled(stream_id) or loaded

    async def at_version(
        self, kind: StreamType[S], stream_id: UUID, version: int, *, bytes_max: int | None = None
    ) -> S | None:
        """The state as it was at a version; None where the stream never got there. Raises HistoryTooLarge where more
        than `bytes_max` of history would have to be read for it."""
        folded = self._folded.get(stream_id)
        if folded is not None and folded.pending is None and folded.version == version:
            state: S = folded.state
            return state
        found = await self._fold(kind, stream_id, version, bytes_max=bytes_max)
        return found.state if found.version == version else None

    def put(self, stream_id: UUID, version: int, state: Any, pending: Append) -> None:
        """Leaves the state that `pending` will have made, for the next command of this process."""
        self._keep(stream_id, Folded(version, state, pending))

    def presume_absent(self, stream_id: UUID) -> None:
        """Spares the look at a stream that is about to begin under an id that nobody else has had.

        Nothing rests on it: where the stream is there after all, the append loses and the next look is real.
        """
        if stream_id not in self._folded:
            self._keep(stream_id, Folded(0, None))

    def drop_stale(self, stream_id: UUID, version: int) -> None:
        """Forgets a committed state older than `version`, which somebody has seen in the store."""
        if stream_id in self._loading:
            self._passed[stream_id] = max(version, self._passed.get(stream_id, 0))
        self.invalidate_through(stream_id, version - 1)

    def invalidate_through(self, stream_id: UUID, version: int) -> None:
        """Forgets a committed state at or before `version`: it may be stale."""
        folded = self._settled(stream_id)
        if folded is not None and folded.pending is None and folded.version <= version:
            self._folded.drop(stream_id)

    async def snapshot_if_due(
        self, kind: StreamType[Any], stream_id: UUID, before: int, version: int, state: Any
    ) -> None:
        """Writes a snapshot where a committed append crossed a multiple of the interval."""
        if version // self._snapshot_every > before // self._snapshot_every:
            await self._snapshots.write(kind, stream_id, version, state)

    def _settled(self, stream_id: UUID) -> Folded | None:
        folded = self._folded.get(stream_id)
        if folded is None:
            return None
        if folded.pending is not None and folded.pending.done.done():
            if has_failed(folded.pending):
                self._folded.drop(stream_id)
                return None
            folded.pending = None
        return folded

    def _keep(self, stream_id: UUID, folded: Folded) -> None:
        self._folded.put(stream_id, folded, state_bytes(folded.state))

    async def _load(self, kind: StreamType[Any], stream_id: UUID) -> Folded:
        try:
            loaded = await self._fold(kind, stream_id, None)
            while loaded.version < self._passed.get(stream_id, 0):
                loaded = await self._fold(kind, stream_id, None)
            # Absence is not cached: what a client names and nobody made must not push real states out.
            if loaded.version > 0 and stream_id not in self._folded:
                self._keep(stream_id, loaded)
            return loaded
        finally:
            del self._loading[stream_id]
            self._passed.pop(stream_id, None)

    async def _fold(
        self, kind: StreamType[Any], stream_id: UUID, to: int | None, *, bytes_max: int | None = None
    ) -> Folded:
        events = await self._log.stream(stream_id, to=to, limit=self._snapshot_every, bytes_max=CHUNK_BYTES_MAX)
        if not events:
            return Folded(0, None)
        kind = STREAM_TYPE_OF_EVENT.get(events[0].type, kind)
        folded, first = Folded(0, None), events
        if len(first) == self._snapshot_every or sum(len(event.data) for event in first) >= CHUNK_BYTES_MAX:
            # A long stream: its snapshot, if there is one, and what came after.
            found = await self._snapshots.read(kind, stream_id, VERSION_END if to is None else to)
            if found is not None:
                folded, first = Folded(*found), []
            if bytes_max is not None and to is not None:
                await self._require_bounded(stream_id, folded.version, to, bytes_max)
            await self._step(kind, stream_id, folded, first)
            async for chunk in self._log.chunks(stream_id, after=folded.version, to=to):
                await self._step(kind, stream_id, folded, chunk)
        else:
            await self._step(kind, stream_id, folded, first)
        return folded

    async def _require_bounded(self, stream_id: UUID, after: int, to: int, bytes_max: int) -> None:
        found = await self._log.bytes_of(stream_id, after=after, to=to)
        if found > bytes_max:
            raise HistoryTooLarge(f"version {to} of {stream_id}", found=found, bytes_max=bytes_max)

    async def _step(
        self, kind: StreamType[Any], stream_id: UUID, folded: Folded, events: Sequence[RecordedEvent]
    ) -> None:
        await turn()
        for recorded, event in zip(events, await self._mapper.decode(events), strict=True):
            metadata = EventMetadata(stream_id, recorded.stream_version, recorded.occurred_at, recorded.actor)
            folded.state = kind.evolve(folded.state, event, metadata)
            folded.version = recorded.stream_version
