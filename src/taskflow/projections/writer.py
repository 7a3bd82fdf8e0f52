"""Writes one view on one worker: documents and checkpoints in one transaction.

    events ─▶ decode ─▶ fold ─▶ transaction: checkpoints by compare-and-set, parked, documents, sums
                                   │
                                   ▼
              invalidate Redis; unacknowledged keys stay in the checkpoint

States in memory match the checkpoints in memory, so both are cleared together. One MongoDB session reads and writes,
so that reads are causally consistent with earlier reads and writes.
"""

from __future__ import annotations

import logging
import time
from os import getpid
from secrets import token_hex
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final

import msgspec
from bson.raw_bson import RawBSONDocument
from msgspec import Struct
from msgspec.structs import replace
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from taskflow.errors import StoreError
from taskflow.lru import LruCache
from taskflow.off_loop import run_off_loop
from taskflow.projections.batch import Changes, FoldedState, apply
from taskflow.projections.checkpoints import Checkpoint, Checkpoints
from taskflow.projections.invalidation_versions import after_invalidations
from taskflow.store.fold import StreamFolder
from taskflow.store.pool import DATABASE_ERRORS, TRANSIENT_ERRORS
from taskflow.streams import STREAM_TYPE_OF_EVENT, state_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from uuid import UUID

    from taskflow.cache.cache import Cache
    from taskflow.kafka.topics import Generation
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection
    from taskflow.settings import Settings
    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import Event

log = logging.getLogger(__name__)

_DUPLICATE: Final = 11000
_INDEX_NOT_FOUND: Final = 27
FIRST_READ_MAX: Final = 16
"""States read from MongoDB before their size is known; as large as documents can be, they would be 256 MiB."""
ALL_KEYS: Final = "*"
"""Replaces the invalidations of a checkpoint when there are too many: the whole cache is invalidated."""


class _Halted(Exception):
    """The partition cannot advance past the position `at`."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class _Room(Struct):
    """How many bytes of events and states fit into the rest of a transaction."""

    left: int


class Writer:
    """The checkpoints and states of one view on one worker. Not safe for concurrent tasks."""

    def __init__(
        self,
        view: Projection,
        database: Database,
        events: Log,
        mapper: Mapper,
        cache: Cache,
        generation: Generation,
        settings: Settings,
    ) -> None:
        self._view = view
        self._database = database
        self._session = database.client.start_session()
        self._mapper = mapper
        self._folder = StreamFolder(events, mapper)
        self._cache = cache
        self._settings = settings
        self._checkpoints = Checkpoints(database, view, generation)
        self._documents = database[view.collection]
        self.owner = f"{gethostname()}:{getpid()}:{token_hex(4)}"
        """This worker among the owners of partitions, and how an operator finds it."""
        self._owned: frozenset[int] = frozenset()
        self._read: dict[int, Checkpoint] = {}
        self._ahead: dict[int, Checkpoint] = {}
        """Checkpoints advanced past events of other stream types: saved with the next batch of this view's events, or
        after `checkpoint_interval_ms`."""
        self._saved_at: dict[int, float] = {}
        self._held: LruCache[UUID, FoldedState] = LruCache(settings.projector_states_bytes_max)
        self._look_up_all = False
        """Whether a document already existed for a stream's first event (somebody deleted the checkpoints). Documents
        are then looked up for all streams."""

    async def prepare(self) -> None:
        """Creates the view's indexes, and drops those of earlier releases."""
        if self._view.former_indexes:
            await self._drop_former_indexes()
        if self._view.indexes:
            await self._documents.create_indexes(list(self._view.indexes))
        if self._view.sums:
            await self._database[self._view.sums_collection].create_index(
                [("project_id", 1), ("status", 1), ("count", 1)]
            )

    async def _drop_former_indexes(self) -> None:
        existing = await self._documents.index_information()
        for name in existing.keys() & set(self._view.former_indexes):
            try:
                await self._documents.drop_index(name)
            except OperationFailure as error:
                # Another worker may drop it at the same time.
                if error.code != _INDEX_NOT_FOUND:
                    raise

    def own(self, partitions: Iterable[int]) -> None:
        """Sets the partitions whose checkpoints this worker takes over as their owner, in place of those before."""
        self._owned = frozenset(partitions)

    async def owned_by_others(self) -> set[int]:
        """Returns those partitions that another worker has taken over since."""
        return await self._checkpoints.owned_by_others(self._owned, self.owner)

    async def release(self) -> None:
        """Gives all partitions up, for the worker's end."""
        await self._checkpoints.release(self.owner)

    async def checkpoint(self, partition: int) -> Checkpoint:
        """Returns the checkpoint of a partition; reads it from MongoDB if it is not in memory."""
        if partition in self._ahead:
            return self._ahead[partition]
        if partition not in self._read:
            owner = self.owner if partition in self._owned else None
            checkpoint = await self._checkpoints.take(partition, self._session, owner)
            if checkpoint.position == 0:
                # The view is new, or was dropped together with its indexes.
                await self.prepare()
            self._read[partition] = checkpoint
        return self._read[partition]

    async def stalled_partitions(self, stalled_s: float) -> list[int]:
        """Returns the partitions that are not halted and that no worker has saved for `stalled_s`, or that their owner
        has released."""
        return await self._checkpoints.stalled_partitions(stalled_s)

    async def forget(self) -> None:
        """Clears the states and checkpoints in memory, because the stored ones may differ."""
        self._held.clear()
        self._read.clear()
        self._ahead.clear()
        self._saved_at.clear()
        # A failure may have left the session in any state.
        session, self._session = self._session, self._database.client.start_session()
        await session.end_session()

    async def write(self, events: Mapping[int, Sequence[RecordedEvent]], targets: Mapping[int, Checkpoint]) -> None:
        """Applies events that follow the checkpoints in memory, and saves the targets as new checkpoints: in one
        transaction, or in several where events and states are larger than `projector_batch_bytes_max`.

        A partition with an event that it must not skip is saved as halted before that event. After any exception, call
        `forget`: the memory may differ from what is stored.
        """
        if not self._due(events, targets):
            self._ahead |= targets
            return
        left = self._ahead | dict(targets)
        self._ahead.clear()
        while left:
            left = await self._write(events, left)

    async def _write(
        self, events: Mapping[int, Sequence[RecordedEvent]], targets: Mapping[int, Checkpoint]
    ) -> dict[int, Checkpoint]:
        """Writes one transaction. Returns the targets of partitions of which some events did not fit."""
        room = _Room(self._settings.projector_batch_bytes_max)
        folded: dict[int, Changes] = {}
        saved: dict[int, Checkpoint] = {}
        left: dict[int, Checkpoint] = {}
        for partition, target in targets.items():
            if room.left <= 0:
                left[partition] = target
                continue
            checkpoint = self._read[partition]
            batch = [event for event in events.get(partition, ()) if event.position > checkpoint.position]
            folded[partition], saved[partition] = await self._fold(checkpoint, batch, target, room)
            if saved[partition].position < target.position and saved[partition].halted is None:
                left[partition] = target
        old = [self._read[partition] for partition in saved]
        new = list(saved.values())
        changes = list(folded.values())
        # Not retried here: after a conflict or an unknown outcome, the checkpoints must be read again first.
        async with await self._session.start_transaction():
            await self._save(changes, old, new)
        self._log_halted_and_parked(old, new, changes)
        for one in changes:
            for stream_id, held in one.held.items():
                self._held.put(stream_id, held, state_bytes(held.state))
        self._read |= saved
        self._saved_at |= dict.fromkeys(saved, time.monotonic())
        await self.invalidate(saved)
        return left

    def _due(self, events: Mapping[int, Sequence[RecordedEvent]], targets: Mapping[int, Checkpoint]) -> bool:
        """Whether there is anything that must be saved now."""
        long_ago = time.monotonic() - self._settings.checkpoint_interval_ms / 1000
        return any(
            STREAM_TYPE_OF_EVENT.get(event.type) in {self._view.kind, None}
            for batch in events.values()
            for event in batch
        ) or any(
            target.invalidations or target.halted or self._saved_at.get(partition, 0.0) < long_ago
            for partition, target in targets.items()
        )

    def _log_halted_and_parked(
        self, old: Iterable[Checkpoint], new: Iterable[Checkpoint], changes: Iterable[Changes]
    ) -> None:
        for was, now in zip(old, new, strict=True):
            if now.halted is not None and was.halted is None:
                about = {"projection": self._view.name, "partition": now.partition, "reason": now.halted}
                log.critical("a partition is halted", extra=about)
        for parked in (parked for one in changes for parked in one.parked):
            about = {"projection": self._view.name, **msgspec.to_builtins(parked)}
            log.error("a stream is parked", extra=about)

    async def _save(self, changes: Sequence[Changes], old: Sequence[Checkpoint], new: Sequence[Checkpoint]) -> None:
        session = self._session
        # Checkpoints first: a worker that no longer owns the partitions fails before it writes anything.
        await self._checkpoints.save(old, new, session)
        await self._checkpoints.park([parked for one in changes for parked in one.parked], session)
        # The driver sends raw BSON unchanged; Any, because its types allow one kind of document per collection.
        documents: list[Any] = [
            InsertOne(RawBSONDocument(document))
            if stream_id in one.begun
            else ReplaceOne({"_id": stream_id}, RawBSONDocument(document), upsert=True)
            for one in changes
            for stream_id, document in one.documents.items()
        ]
        # Ordered: the first error ends the transaction, and the driver must not hide it behind the errors of what comes
        # after it. Inserts first, because operations of one kind in a row are one command.
        documents.sort(key=lambda one: isinstance(one, ReplaceOne))
        try:
            if documents:
                await self._documents.bulk_write(documents, session=session)
        except BulkWriteError as error:
            self._look_up_all |= any(one["code"] == _DUPLICATE for one in error.details["writeErrors"])
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
            await self._database[self._view.sums_collection].bulk_write(sums, session=session)

    # --- folding

    async def _fold(
        self, checkpoint: Checkpoint, batch: Sequence[RecordedEvent], target: Checkpoint, room: _Room
    ) -> tuple[Changes, Checkpoint]:
        """Returns the changes made by a partition's events, as many as there is room for, and the checkpoint after
        them."""
        changes = Changes()
        try:
            cut = await self._apply(checkpoint, batch, changes, room)
            if cut is not None:
                target = replace(target, position=cut, offset=checkpoint.offset)
        except _Halted as halted:
            target = replace(target, position=halted.at, halted=str(halted))
        parked = checkpoint.parked | {one.stream_id for one in changes.parked}
        if len(parked) > self._settings.parked_streams_max:
            # The batch is discarded, so that a release that can fold it continues from the old checkpoint.
            reason = f"{len(parked)} streams would be parked after position {checkpoint.position}: no stream's fault"
            return Changes(), replace(checkpoint, halted=reason)
        pending = checkpoint.invalidations | changes.invalidated
        if len(pending) > self._settings.invalidations_pending_max:
            pending = {ALL_KEYS}
        bucket_versions = checkpoint.bucket_versions
        if self._view.bucket_versions and changes.invalidated:
            bucket_versions = after_invalidations(bucket_versions, changes.invalidated, target.position)
        return changes, replace(target, parked=parked, invalidations=pending, bucket_versions=bucket_versions)

    async def _apply(
        self, checkpoint: Checkpoint, batch: Sequence[RecordedEvent], changes: Changes, room: _Room
    ) -> int | None:
        """Applies events in order. Returns the position of the last one for which there was room; None if there was for
        all. Raises _Halted at an event of an unknown type, or one that cannot be opened."""
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
        before = room.left
        changes.begun, read, unread = await self._hold(mine, checkpoint, room)
        fitting = self._fitting(mine, unread, room)
        cut = mine[fitting - 1].position if fitting < len(mine) else None
        mine = mine[:fitting]
        decoded = await self._decode(mine)
        folded = await self._fold_annulled(mine, decoded)
        # Bytes to fold and to turn into documents: finding the words of large texts takes long.
        size = before - room.left
        unreadable = next((at for at, event in enumerate(decoded) if isinstance(event, StoreError)), len(mine))
        last = {recorded.stream_id: recorded.position for recorded in mine[:unreadable]}
        found = await run_off_loop(
            size, self._apply_all, changes, read, mine, decoded, folded, checkpoint.partition, last
        )
        if changes.parked:
            # A parked stream keeps its last storable document, so this time every event makes a document.
            changes.forget()
            found = await run_off_loop(
                size, self._apply_all, changes, read, mine, decoded, folded, checkpoint.partition, None
            )
        if found is not None:
            raise found
        if halt is not None and cut is None:
            raise halt
        return cut

    def _fitting(self, events: Sequence[RecordedEvent], unread: Collection[UUID], room: _Room) -> int:
        """Returns how many of the events, and of their streams' states, there is room for; at least one."""
        seen: set[UUID] = set()
        for at, recorded in enumerate(events):
            if recorded.stream_id in unread or (at > 0 and room.left <= 0):
                return at
            room.left -= len(recorded.data)
            if recorded.stream_id not in seen:
                seen.add(recorded.stream_id)
                room.left -= self._held.weight_of(recorded.stream_id)
        return len(events)

    def _apply_all(
        self,
        changes: Changes,
        read: Mapping[UUID, FoldedState],
        events: Sequence[RecordedEvent],
        decoded: Sequence[Event | Exception],
        folded: Mapping[int, Any],
        partition: int,
        last: Mapping[UUID, int] | None,
    ) -> _Halted | None:
        """Applies events up to the first that cannot be read. If `last` is given, only the last event of each stream
        makes a document: earlier ones would be overwritten in the same transaction."""
        parked: set[UUID] = set()
        for recorded, event in zip(events, decoded, strict=True):
            if recorded.stream_id in parked:
                continue
            if isinstance(event, StoreError):
                return _Halted(recorded.position - 1, str(event))
            stream_id = recorded.stream_id
            held = changes.held.get(stream_id) or read.get(stream_id) or self._held.get(stream_id)
            kept = last is None or last.get(recorded.stream_id) == recorded.position
            state = folded.get(recorded.position)
            apply(self._view, changes, held, recorded, event, partition, folded=state, document=kept)
            parked.update(one.stream_id for one in changes.parked[len(parked) :])
        return None

    async def _decode(self, events: Sequence[RecordedEvent]) -> list[Event | Exception]:
        """Decodes events. In place of an event that cannot be decoded, returns the error: a StoreError halts the
        partition, any other error parks the stream. Raises TRANSIENT_ERRORS if the store is unavailable."""
        try:
            return list(await self._mapper.decode(events))
        except TRANSIENT_ERRORS:
            raise
        except Exception:  # noqa: BLE001 - the loop below finds the event that failed
            decoded: list[Event | Exception] = []
            for recorded in events:
                try:
                    decoded += await self._mapper.decode([recorded])
                except TRANSIENT_ERRORS:
                    raise
                except Exception as error:  # noqa: BLE001 - upcasting and opening are pure, so the data is at fault
                    decoded.append(error)
            return decoded

    async def _fold_annulled(self, events: Sequence[RecordedEvent], decoded: list[Event | Exception]) -> dict[int, Any]:
        """Folds anew from the log the streams in which an event was annulled. Returns the states after the annulling
        events, by position. An error in the data takes the event's place in `decoded`, as in `_decode`. Raises
        DATABASE_ERRORS, so that no stream is parked because the log could not be read."""
        folded: dict[int, Any] = {}
        for at, (recorded, event) in enumerate(zip(events, decoded, strict=True)):
            if isinstance(event, Exception) or not event.annuls:
                continue
            version = recorded.stream_version
            try:
                found = await self._folder.fold(self._view.kind, recorded.stream_id, version)
            except DATABASE_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - the fold is pure, so the data is at fault
                decoded[at] = error
                continue
            if found.version != version:
                what = f"expected version {version} of {recorded.stream_id} in the log, found {found.version}"
                decoded[at] = StoreError(what)
                continue
            folded[recorded.position] = found.state
        return folded

    async def _hold(
        self, events: Sequence[RecordedEvent], checkpoint: Checkpoint, room: _Room
    ) -> tuple[set[UUID], dict[UUID, FoldedState], set[UUID]]:
        """Loads the states of streams that are not in memory, in the order of their events, while there is room.
        Returns the streams that begin in this batch, the states read for the others, and the streams without room."""
        first: dict[UUID, int] = {}
        for recorded in events:
            first.setdefault(recorded.stream_id, recorded.stream_version)
        missing = [stream_id for stream_id in first if stream_id not in self._held]
        begun = set() if self._look_up_all else {stream_id for stream_id in missing if first[stream_id] == 1}
        missing = [stream_id for stream_id in missing if stream_id not in begun]
        read: dict[UUID, FoldedState] = {}
        asked = read_bytes = 0
        while asked < len(missing) and room.left > 0:
            # As many as there is room for if they are like those before; few at first, whose size nobody knows.
            mean = max(1, read_bytes // max(1, asked))
            count = FIRST_READ_MAX if asked == 0 else max(1, room.left // mean)
            states = await self._read_states(missing[asked : asked + count], checkpoint)
            for stream_id, (held, state_size) in states.items():
                read[stream_id] = held
                read_bytes += state_size
                room.left -= state_size
            asked += count
        return begun, read, set(missing[asked:])

    async def _read_states(
        self, streams: Sequence[UUID], checkpoint: Checkpoint
    ) -> dict[UUID, tuple[FoldedState, int]]:
        """Returns the stored states of streams with their sizes in bytes, without streams that have no document."""
        found: dict[UUID, tuple[FoldedState, int]] = {}
        fields = {"position": 1, "version": 1, "state": 1}
        async for document in self._documents.find({"_id": {"$in": streams}}, fields, session=self._session):
            try:
                state = msgspec.json.decode(document["state"], type=self._view.kind.state)
            except msgspec.MsgspecError as error:
                reason = f"{self._view.collection} {document['_id']} holds a state of another shape: {error}"
                raise _Halted(checkpoint.position, reason) from error
            held = FoldedState(document["position"], document["version"], state)
            found[document["_id"]] = held, len(document["state"])
        return found

    # --- the cache

    async def invalidate(self, partitions: Iterable[int]) -> None:
        """Sends pending invalidations to Redis. The next save of the checkpoint removes the acknowledged keys."""
        pending = [partition for partition in partitions if self._read[partition].invalidations]
        keys: set[str] = set().union(*[self._read[partition].invalidations for partition in pending])
        if not keys:
            return
        if await (self._cache.clear() if ALL_KEYS in keys else self._cache.invalidate(sorted(keys))):
            for partition in pending:
                self._read[partition] = replace(self._read[partition], invalidations=set())
