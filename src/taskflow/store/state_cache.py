"""A cache of streams' states, folded from the log.

A cached state may be stale. That is safe, because every append names the versions that its decision read. A state may also
be pending: its last events were decided in this process and are not committed yet. The next command of a busy stream is
decided on the pending state, and is refused with it if those events are not stored.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from taskflow.lru import LruCache
from taskflow.store.committer import has_failed
from taskflow.store.fold import StreamFolder
from taskflow.streams import state_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from taskflow.store.append import Append
    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.snapshots import Snapshots
    from taskflow.streams import StreamType

S = TypeVar("S")


class Folded(Struct):
    """A stream's state at `version`; version 0 and state None: the stream does not exist. `pending`: the append that has to be
    stored for this state to be true."""

    version: int
    state: Any
    pending: Append | None = None


class StateCache:
    """A bounded cache of streams' states."""

    def __init__(self, log: Log, mapper: Mapper, snapshots: Snapshots, *, bytes_max: int, snapshot_every: int) -> None:
        self._folder = StreamFolder(log, mapper, snapshots, first_events_max=snapshot_every)
        self._snapshots = snapshots
        self._snapshot_every = snapshot_every
        self._folded: LruCache[UUID, Folded] = LruCache(bytes_max)
        self._loading: dict[UUID, asyncio.Task[Folded]] = {}
        self._passed: dict[UUID, int] = {}
        """For streams that are being loaded: versions that were seen in the store meanwhile, which the load may not have."""

    def known(self, kind: StreamType[S], stream_id: UUID) -> S | None:
        """The committed state that is in memory, with every event that this process has seen; None if there is none."""
        folded = self._settled(stream_id)
        if folded is None or folded.pending is not None or not isinstance(folded.state, kind.state):
            return None
        state: S = folded.state
        return state

    async def load(self, kind: StreamType[S], stream_id: UUID) -> Folded:
        """The newest state that this process has, pending or committed; else the state in the store.

        For an id of another kind of stream, it is the state of that kind: the caller has to check its type.

        Many callers for one stream share one read. Each looks into the cache again after it, because the first of them may
        have left a pending state there. A state that is too large for the cache is returned to these callers only.
        """
        folded = self._settled(stream_id)
        if folded is not None:
            return folded
        loading = self._loading.get(stream_id)
        if loading is None:
            loading = asyncio.create_task(self._load(kind, stream_id))
            self._loading[stream_id] = loading
        # Other callers may wait for the same read, so the cancellation of one must not cancel it.
        loaded = await asyncio.shield(loading)
        return self._settled(stream_id) or loaded

    async def at_version(
        self,
        kind: StreamType[S],
        stream_id: UUID,
        version: int,
        *,
        annulled: frozenset[int] | None = None,
        bytes_max: int | None = None,
    ) -> S | None:
        """The state at a version; None if the stream has fewer events. It is without the events that were annulled by
        then, or, if `annulled` is given, without the events of these versions. Raises HistoryTooLarge if more than
        `bytes_max` of events would have to be read for it."""
        folded = self._folded.get(stream_id)
        if folded is not None and folded.pending is None and folded.version == version:
            state: S = folded.state
            if annulled is None or (isinstance(state, kind.state) and annulled == kind.annulled(state)):
                return state
        found = await self._folder.fold(kind, stream_id, version, annulled=annulled, bytes_max=bytes_max)
        return found.state if found.version == version else None

    async def at_versions(self, wanted: Mapping[UUID, Collection[int]]) -> dict[tuple[UUID, int], Any]:
        """The states of several streams at some of their versions, by stream and version, with few round trips; a version
        that a stream does not have is left out."""
        states: dict[tuple[UUID, int], Any] = {}
        left: dict[UUID, list[int]] = {}
        for stream_id, versions in wanted.items():
            folded = self._folded.get(stream_id)
            known = None if folded is None or folded.pending is not None else folded.version
            if folded is not None and known in versions:
                states[stream_id, folded.version] = folded.state
            if missing := sorted(version for version in versions if version != known):
                left[stream_id] = missing
        while left:
            states |= await self._folder.fold_some(left)
        return states

    def put(self, stream_id: UUID, version: int, state: Any, pending: Append) -> None:
        """Caches the state that the stream has once `pending` is stored, for the next command of this process."""
        self._keep(stream_id, Folded(version, state, pending))

    def drop_stale(self, stream_id: UUID, version: int) -> None:
        """Forgets a committed state that is older than `version`, which was seen in the store."""
        if stream_id in self._loading:
            self._passed[stream_id] = max(version, self._passed.get(stream_id, 0))
        self.invalidate_through(stream_id, version - 1)

    def invalidate_through(self, stream_id: UUID, version: int) -> None:
        """Forgets a committed state at or before `version`, because it may be stale."""
        folded = self._settled(stream_id)
        if folded is not None and folded.pending is None and folded.version <= version:
            self._folded.drop(stream_id)

    def is_snapshot_due(self, before: int, version: int, *, annuls: bool) -> bool:
        """Whether a committed append from version `before` to `version` crossed a multiple of the interval. If it
        `annuls` an event, the stored snapshot holds that event, and another takes its place."""
        return version // self._snapshot_every > (0 if annuls else before // self._snapshot_every)

    async def write_snapshot(self, kind: StreamType[Any], stream_id: UUID, version: int, state: Any) -> None:
        """Stores a committed state as the stream's snapshot."""
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
            found = await self._folder.fold(kind, stream_id)
            while found.version < self._passed.get(stream_id, 0):
                found = await self._folder.fold(kind, stream_id)
            loaded = Folded(found.version, found.state)
            # Absence is not cached: ids that clients invent must not push states of real streams out.
            if loaded.version > 0 and stream_id not in self._folded:
                self._keep(stream_id, loaded)
            return loaded
        finally:
            del self._loading[stream_id]
            self._passed.pop(stream_id, None)
