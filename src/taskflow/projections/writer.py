"""What one worker holds of a view, and how it is written: documents and checkpoints in one transaction.

    events ─▶ decode ─▶ fold ─▶ transaction: checkpoints by compare-and-set, parked, documents, sums
                                   │
                                   ▼
              invalidate Redis; what is not acknowledged stays with the checkpoint

States in memory are those that the checkpoints in memory stand for: both are forgotten together. One
session reads and writes them, so that no read is older than what was read or written before.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
from bson.raw_bson import RawBSONDocument
from msgspec.structs import replace
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from taskflow.errors import StoreError
from taskflow.lru import LruCache
from taskflow.off_loop import run_off_loop
from taskflow.projections.batch import Changes, FoldedState, apply
from taskflow.projections.checkpoints import Checkpoint, Checkpoints
from taskflow.projections.invalidation_versions import marked
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import STREAM_TYPE_OF_EVENT, state_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from taskflow.cache.cache import Cache
    from taskflow.kafka.topics import Generation
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection
    from taskflow.settings import Settings
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import Event

log = logging.getLogger(__name__)

_DUPLICATE: Final = 11000
EVERYTHING: Final = "*"
"""Stands in a checkpoint for more invalidations than it may hold: the whole cache is old."""


class _Halted(Exception):
    """A partition cannot go past a position."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class Writer:
    """The checkpoints and states of one view on one worker. For one task: nothing here may interleave."""

    def __init__(
        self,
        view: Projection,
        database: Database,
        mapper: Mapper,
        cache: Cache,
        generation: Generation,
        settings: Settings,
    ) -> None:
        self._view = view
        self._database = database
        self._session = database.client.start_session()
        self._mapper = mapper
        self._cache = cache
        self._settings = settings
        self._checkpoints = Checkpoints(database, view, generation)
        self._documents = database[view.collection]
        self._read: dict[int, Checkpoint] = {}
        self._ahead: dict[int, Checkpoint] = {}
        """Past events that are nothing to this view: saved with the next batch that is, or after a while."""
        self._saved_at: dict[int, float] = {}
        self._held: LruCache[UUID, FoldedState] = LruCache(settings.projector_states_bytes_max)
        self._cautious = False
        """Documents were found that are older than their checkpoint, which somebody deleted: no stream that
        begins is believed to have none."""
        self.applied = 0

    async def prepare(self) -> None:
        """Makes the view's indexes."""
        if self._view.indexes:
            await self._documents.create_indexes(list(self._view.indexes))
        if self._view.sums:
            await self._database[self._view.sums_collection].create_index(
                [("project_id", 1), ("status", 1), ("count", 1)]
            )

    async def checkpoint(self, partition: int) -> Checkpoint:
        """How far a partition is, its checkpoint being read where this worker does not hold it."""
        if partition in self._ahead:
            return self._ahead[partition]
        if partition not in self._read:
            checkpoint = await self._checkpoints.take(partition, self._session)
            if checkpoint.position == 0:
                # The view is new here, or was dropped, and its indexes with it.
                await self.prepare()
            self._read[partition] = checkpoint
        return self._read[partition]

    async def standing_still(self, silence_s: float) -> list[int]:
        """The partitions that no worker has saved for that long, halted ones aside."""
        return await self._checkpoints.standing_still(silence_s)

    async def forget(self) -> None:
        """What is in memory may not be what is stored."""
        self._held.clear()
        self._read.clear()
        self._ahead.clear()
        self._saved_at.clear()
        # A failure may have left the session in any state.
        session, self._session = self._session, self._database.client.start_session()
        await session.end_session()

    async def write(self, events: Mapping[int, Sequence[RecordedEvent]], targets: Mapping[int, Checkpoint]) -> None:
        """Applies events that follow the checkpoints in memory and saves the targets.

        A partition that meets what it must not pass is saved as halted before it. On any failure nothing
        that is in memory may be relied on.
        """
        if not self._due(events, targets):
            self._ahead |= targets
            return
        targets = self._ahead | dict(targets)
        folded: dict[int, Changes] = {}
        saved: dict[int, Checkpoint] = {}
        for partition, target in targets.items():
            folded[partition], saved[partition] = await self._fold(partition, events.get(partition, ()), target)
        old = [self._read[partition] for partition in saved]
        new = list(saved.values())
        changes = list(folded.values())
        # Not tried again here: after a conflict or an unknown outcome the checkpoints are read again first.
        async with await self._session.start_transaction():
            await self._save(changes, old, new)
        self._tell(old, new, changes)
        for one in changes:
            for stream_id, held in one.held.items():
                self._held.put(stream_id, held, state_bytes(held.state))
        self._read |= saved
        self._ahead.clear()
        self._saved_at |= dict.fromkeys(saved, time.monotonic())
        self.applied += sum(len(batch) for batch in events.values())
        await self.invalidate(saved)

    def _due(self, events: Mapping[int, Sequence[RecordedEvent]], targets: Mapping[int, Checkpoint]) -> bool:
        """Whether anything here is worth a transaction of its own."""
        long_ago = time.monotonic() - self._settings.checkpoint_interval_ms / 1000
        return any(
            STREAM_TYPE_OF_EVENT.get(event.type) in {self._view.kind, None}
            for batch in events.values()
            for event in batch
        ) or any(
            target.invalidations or target.halted or self._saved_at.get(partition, 0.0) < long_ago
            for partition, target in targets.items()
        )

    def _tell(self, old: Iterable[Checkpoint], new: Iterable[Checkpoint], changes: Iterable[Changes]) -> None:
        for was, now in zip(old, new, strict=True):
            if now.halted is not None and was.halted is None:
                about = {"projection": self._view.name, "partition": now.partition, "reason": now.halted}
                log.critical("a partition stands still", extra=about)
        for parked in (parked for one in changes for parked in one.parked):
            about = {"projection": self._view.name, **msgspec.to_builtins(parked)}
            log.error("a stream is parked", extra=about)

    async def _save(self, changes: Sequence[Changes], old: Sequence[Checkpoint], new: Sequence[Checkpoint]) -> None:
        session = self._session
        # The checkpoints first: a worker that is no longer the owner learns it before it writes anything.
        await self._checkpoints.save(old, new, session)
        await self._checkpoints.park([parked for one in changes for parked in one.parked], session)
        # The driver sends raw BSON as it is; its types know one kind of document for a collection.
        documents: list[Any] = [
            InsertOne(RawBSONDocument(document))
            if stream_id in one.begun
            else ReplaceOne({"_id": stream_id}, RawBSONDocument(document), upsert=True)
            for one in changes
            for stream_id, document in one.documents.items()
        ]
        try:
            if documents:
                await self._documents.bulk_write(documents, ordered=False, session=session)
        except BulkWriteError as error:
            self._cautious |= any(one["code"] == _DUPLICATE for one in error.details["writeErrors"])
            raise
        sums = [
            UpdateOne(
                {"_id": {"project_id": key.project_id, "shard": key.shard, "status": key.status}},
                {
                    "$inc": {"count": count},
                    "$setOnInsert": {"project_id": key.project_id, "status": key.status},
                },
                upsert=True,
            )
            for one in changes
            for key, count in one.sums.items()
        ]
        if sums:
            await self._database[self._view.sums_collection].bulk_write(sums, ordered=False, session=session)

    # --- folding

    async def _fold(
        self, partition: int, batch: Sequence[RecordedEvent], target: Checkpoint
    ) -> tuple[Changes, Checkpoint]:
        """What a partition's events change, and the checkpoint that it then has."""
        checkpoint = self._read[partition]
        changes = Changes()
        try:
            await self._apply(checkpoint, batch, changes)
        except _Halted as halted:
            target = replace(target, position=halted.at, halted=str(halted))
        parked = checkpoint.parked | {one.stream_id for one in changes.parked}
        if len(parked) > self._settings.parked_streams_max:
            # Nothing of this batch is kept: a release that can fold it goes on as if this one had not been.
            reason = f"{len(parked)} streams would be parked after position {checkpoint.position}: no stream's fault"
            return Changes(), replace(checkpoint, halted=reason)
        pending = checkpoint.invalidations | changes.invalidated
        if len(pending) > self._settings.invalidations_pending_max:
            pending = {EVERYTHING}
        marks = checkpoint.marks
        if self._view.marks and changes.invalidated:
            marks = marked(marks, changes.invalidated, target.position)
        return changes, replace(target, parked=parked, invalidations=pending, marks=marks)

    async def _apply(self, checkpoint: Checkpoint, batch: Sequence[RecordedEvent], changes: Changes) -> None:
        """Applies events in order. Raises _Halted at one that this release does not know or cannot open."""
        mine: list[RecordedEvent] = []
        halt: _Halted | None = None
        for recorded in batch:
            kind = STREAM_TYPE_OF_EVENT.get(recorded.type)
            if kind is None:
                reason = f"position {recorded.position} holds {recorded.type}, unknown to this release"
                halt = _Halted(recorded.position - 1, reason)
                break
            if kind is self._view.kind and recorded.stream_id not in checkpoint.parked:
                mine.append(recorded)
        decoded = await self._decode(mine)
        changes.begun, read, read_bytes = await self._hold(mine, checkpoint)
        # What is folded and what documents are made of: the words of large texts alone take long to find.
        size = read_bytes + sum(len(recorded.data) for recorded in mine)
        size += sum(self._held.weight_of(stream_id) for stream_id in {recorded.stream_id for recorded in mine})
        unreadable = next((at for at, event in enumerate(decoded) if isinstance(event, StoreError)), len(mine))
        last = {recorded.stream_id: recorded.position for recorded in mine[:unreadable]}
        found = await run_off_loop(size, self._apply_all, changes, read, mine, decoded, checkpoint.partition, last)
        if changes.parked:
            # A stream goes as far as its documents can be stored: here each of them has to be seen.
            changes.forget()
            found = await run_off_loop(size, self._apply_all, changes, read, mine, decoded, checkpoint.partition, None)
        halt = found or halt
        if halt is not None:
            raise halt

    def _apply_all(
        self,
        changes: Changes,
        read: Mapping[UUID, FoldedState],
        events: Sequence[RecordedEvent],
        decoded: Sequence[Event | Exception],
        partition: int,
        last: Mapping[UUID, int] | None,
    ) -> _Halted | None:
        """Applies events up to the first that cannot be read. Only the `last` event of each stream makes a document
        of it, where these are given: what would be written over in the same transaction is not made."""
        parked: set[UUID] = set()
        for recorded, event in zip(events, decoded, strict=True):
            if recorded.stream_id in parked:
                continue
            if isinstance(event, StoreError):
                return _Halted(recorded.position - 1, str(event))
            stream_id = recorded.stream_id
            held = changes.held.get(stream_id) or read.get(stream_id) or self._held.get(stream_id)
            kept = last is None or last.get(recorded.stream_id) == recorded.position
            apply(self._view, changes, held, recorded, event, partition, document=kept)
            parked.update(one.stream_id for one in changes.parked[len(parked) :])
        return None

    async def _decode(self, events: Sequence[RecordedEvent]) -> list[Event | Exception]:
        """Typed events; in place of one that cannot be read, the error: of the data (parked) or of the
        store (the partition stands still). Raises what a store that is away raises."""
        try:
            return list(await self._mapper.decode(events))
        except TRANSIENT_ERRORS:
            raise
        except Exception:  # noqa: BLE001 - whichever event it is, it is found below
            decoded: list[Event | Exception] = []
            for recorded in events:
                try:
                    decoded += await self._mapper.decode([recorded])
                except TRANSIENT_ERRORS:
                    raise
                except Exception as error:  # noqa: BLE001 - upcasting and opening are pure: the data's fault
                    decoded.append(error)
            return decoded

    async def _hold(
        self, events: Sequence[RecordedEvent], checkpoint: Checkpoint
    ) -> tuple[set[UUID], dict[UUID, FoldedState], int]:
        """Of streams that are not in memory, those that begin here, the documents of the others, and how many bytes
        of these were read."""
        first: dict[UUID, int] = {}
        for recorded in events:
            first.setdefault(recorded.stream_id, recorded.stream_version)
        missing = [stream_id for stream_id in first if stream_id not in self._held]
        begun = set() if self._cautious else {stream_id for stream_id in missing if first[stream_id] == 1}
        missing = [stream_id for stream_id in missing if stream_id not in begun]
        read: dict[UUID, FoldedState] = {}
        read_bytes = 0
        if not missing:
            return begun, read, read_bytes
        fields = {"position": 1, "version": 1, "state": 1}
        found = self._documents.find({"_id": {"$in": missing}}, fields, session=self._session)
        async for document in found:
            read_bytes += len(document["state"])
            try:
                state = msgspec.json.decode(document["state"], type=self._view.kind.state)
            except msgspec.MsgspecError as error:
                reason = f"{self._view.collection} {document['_id']} holds a state of another shape: {error}"
                raise _Halted(checkpoint.position, reason) from error
            read[document["_id"]] = FoldedState(document["position"], document["version"], state)
        return begun, read, read_bytes

    # --- the cache

    async def invalidate(self, partitions: Iterable[int]) -> None:
        """Sends what is pending; the next save of the checkpoint forgets what Redis acknowledged."""
        pending = [partition for partition in partitions if self._read[partition].invalidations]
        keys: set[str] = set().union(*[self._read[partition].invalidations for partition in pending])
        if not keys:
            return
        if await (self._cache.clear() if EVERYTHING in keys else self._cache.invalidate(sorted(keys))):
            for partition in pending:
                self._read[partition] = replace(self._read[partition], invalidations=set())
