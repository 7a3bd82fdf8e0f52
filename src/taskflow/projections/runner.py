"""One projection on one worker: messages in, documents and checkpoints out, in one transaction a batch.

    Kafka ─▶ sift (repeats dropped, gaps found) ─▶ gap? read from the log
                 │
                 ▼
    fold the batch ─▶ transaction: documents, sums, parked, checkpoints by compare-and-set
                 │
                 ▼
    invalidate Redis; what is not acknowledged stays with the checkpoint

On a lost compare-and-set, a write conflict or an unknown outcome the worker forgets what it holds in
memory and reads its checkpoints again. A worker that hears nothing asks the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import aiokafka.errors
import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from msgspec.structs import replace
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import PyMongoError

from taskflow.errors import BadMessage, StoreError, Unavailable
from taskflow.kafka.message import Message, from_message
from taskflow.kafka.topics import open_topics
from taskflow.projections.batch import Changes, Held, apply
from taskflow.projections.checkpoints import Checkpoint, Checkpoints, Moved
from taskflow.projections.messages import Gap, sift
from taskflow.store.pool import AWAY
from taskflow.streams import KIND_OF_TYPE

if TYPE_CHECKING:
    from pymongo.asynchronous.client_session import AsyncClientSession

    from taskflow.cache.cache import Cache
    from taskflow.kafka.topics import Generation
    from taskflow.projections.mongo import Database
    from taskflow.projections.view import View
    from taskflow.settings import Settings
    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import Event

log = logging.getLogger(__name__)

POLL_MS: Final = 200
PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 3.0
EVERYTHING: Final = "*"
"""Stands in a checkpoint for more invalidations than it may hold: the whole cache is old."""


class _Halted(Exception):
    """A partition cannot go past an event."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class Runner:
    """Runs one projection until cancelled."""

    def __init__(
        self,
        view: View,
        database: Database,
        events: Log,
        mapper: Mapper,
        cache: Cache,
        generation: Generation,
        settings: Settings,
    ) -> None:
        self._view = view
        self._database = database
        self._log = events
        self._mapper = mapper
        self._cache = cache
        self._generation = generation
        self._settings = settings
        self._checkpoints = Checkpoints(database, view, generation.number)
        self._documents = database[view.collection]
        self._owned: dict[int, Checkpoint] = {}
        self._heard_at: dict[int, float] = {}
        self._held: OrderedDict[UUID, Held] = OrderedDict()
        self.applied = 0

    async def run(self) -> None:
        """Raises TopicMismatch for a topic with another partition count."""
        await self._until_it_works(self._prepare)
        pause_s = PAUSE_S
        while True:
            try:
                await self._consume()
                pause_s = PAUSE_S
            except (Unavailable, aiokafka.errors.KafkaError, OSError, TimeoutError) as error:
                log.warning("Kafka is away; reading the log instead", extra=self._context(error))
                await self._until_it_works(self._read_log_instead)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)

    def _context(self, error: BaseException | None = None) -> dict[str, Any]:
        return {"projection": self._view.name, "error": repr(error) if error else None}

    async def _until_it_works(self, step: Any) -> None:
        """Retries a step whose servers are away, with a growing pause and no memory of what was held."""
        pause_s = PAUSE_S
        while True:
            try:
                await step()
            except (Moved, PyMongoError, *AWAY) as error:
                log.warning("a step is tried again", extra=self._context(error))
                self._forget()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            else:
                return

    async def _prepare(self) -> None:
        if self._view.indexes:
            await self._documents.create_indexes(list(self._view.indexes))
        if self._view.sums:
            await self._database[self._view.sums_collection].create_index(
                [("project_id", 1), ("status", 1), ("count", 1)]
            )

    # --- Kafka

    async def _consume(self) -> None:
        """Reads messages until the consumer is silent for too long, which a new one may mend."""
        async with open_topics(self._settings) as topics:
            if not await topics.check(self._generation):
                raise Unavailable(f"there is no topic {self._generation.topic} yet")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            group_id=f"{self._generation.topic}.{self._view.name}.v{self._view.version}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=self._settings.kafka_request_timeout_ms,
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=100,
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
        )
        consumer.subscribe([self._generation.topic], listener=_Rebalance(self, consumer))
        await consumer.start()
        started = time.monotonic()
        try:
            while True:
                records = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._settings.projector_batch_max)
                now = time.monotonic()
                for topic_partition in records:
                    self._heard_at[topic_partition.partition] = now
                if records:
                    await self._until_it_works(lambda records=records: self._take(records))
                silent = [
                    partition
                    for partition in self._owned
                    if now - self._heard_at.get(partition, started) > self._settings.projector_silence_ms / 1000
                ]
                if silent or (not self._owned and now - started > self._settings.projector_silence_ms / 1000):
                    log.warning("nothing was heard; asking the log", extra=self._context() | {"partitions": silent})
                    await self._until_it_works(lambda silent=silent: self._read_log(silent))
                    if len(silent) == len(self._owned):
                        raise Unavailable("the consumer is silent; making a new one")
                    self._heard_at |= dict.fromkeys(silent, now)
        finally:
            await asyncio.wait([asyncio.create_task(consumer.stop())], timeout=2)

    async def assigned(self, consumer: Any, partitions: Sequence[int]) -> None:
        """Takes over exactly these partitions and starts reading where their checkpoints say."""

        async def own() -> None:
            self._held.clear()
            self._owned = {partition: await self._checkpoints.read(partition) for partition in partitions}
            await self._repeat_invalidations()

        await self._until_it_works(own)
        now = time.monotonic()
        self._heard_at = dict.fromkeys(partitions, now)
        for partition, checkpoint in self._owned.items():
            if checkpoint.offset is not None:
                # Past the end of a topic that was made again, the consumer falls back to its beginning.
                consumer.seek(TopicPartition(self._generation.topic, partition), checkpoint.offset)
        log.info("partitions assigned", extra=self._context() | {"partitions": list(partitions)})

    async def _take(self, records: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Applies what one poll brought, a gap's events from the log first."""
        await self._own_again(tp.partition for tp in records)
        steps: dict[int, list[RecordedEvent]] = {}
        targets: dict[int, Checkpoint] = {}
        for topic_partition, batch in records.items():
            partition = topic_partition.partition
            checkpoint = self._owned.get(partition)
            if checkpoint is None or checkpoint.halted is not None:
                continue
            known = self._read(partition, batch)
            events: list[RecordedEvent] = []
            position = checkpoint.position
            for step in sift(checkpoint.position, known):
                if isinstance(step, Gap):
                    log.info("a gap is read from the log", extra=self._context() | msgspec.to_builtins(step))
                    if position > checkpoint.position:
                        await self._write({partition: events}, {partition: replace(checkpoint, position=position)})
                        events = []
                    await self._advance(partition, step.to)
                    checkpoint = self._owned[partition]
                    position = step.to
                    continue
                if step.recorded is not None:
                    events.append(step.recorded)
                position = step.position
            steps[partition] = events
            targets[partition] = replace(
                checkpoint,
                position=position,
                offset=batch[-1].offset + 1,
                epoch=known[-1].epoch if known else checkpoint.epoch,
            )
        if targets:
            await self._write(steps, targets)

    def _read(self, partition: int, batch: Sequence[Any]) -> list[Message]:
        """The messages of this generation. What somebody else wrote is left out: nothing rests on the
        broker, and what the log holds beside it comes by the chain."""
        known: list[Message] = []
        for record in batch:
            try:
                message = from_message(record.value, record.headers)
            except BadMessage as error:
                log.error("a foreign message", extra=self._context(error) | {"offset": record.offset})  # noqa: TRY400 - the message says it all
                continue
            here = message.event is None or self._generation.partition_of(message.event.shard) == partition
            if message.generation == self._generation.number and here:
                known.append(message)
        return known

    # --- the log

    async def _read_log_instead(self) -> None:
        """While there is no Kafka: the partitions this worker had, or all of them if it never had any.

        Several workers may then do the same; compare-and-set keeps them from doing it twice.
        """
        await self._read_log(list(self._owned) or list(range(self._generation.partitions)))

    async def _read_log(self, partitions: Sequence[int]) -> None:
        head = await self._log.head()
        for partition in partitions:
            await self._own_again([partition])
            await self._advance(partition, head.position)

    async def _advance(self, partition: int, to: int) -> None:
        """Applies (checkpoint, to] of a partition from the log, in chunks that are committed one by one."""
        shards = self._generation.shards_of(partition)
        while (checkpoint := self._owned[partition]).position < to and checkpoint.halted is None:
            limit = self._settings.projector_batch_max
            events = await self._log.read(checkpoint.position, limit=limit, to=to, shards=shards)
            position = events[-1].position if len(events) == limit else to
            await self._write({partition: events}, {partition: replace(checkpoint, position=position)})

    async def _own_again(self, partitions: Any) -> None:
        """Reads the checkpoints that a failure made this worker forget."""
        for partition in partitions:
            if partition not in self._owned:
                self._owned[partition] = await self._checkpoints.read(partition)

    # --- documents

    async def _write(self, events: Mapping[int, Sequence[RecordedEvent]], targets: Mapping[int, Checkpoint]) -> None:
        """Folds and saves. On any failure nothing in memory has changed."""
        changes = Changes()
        targets = dict(targets)
        for partition, batch in events.items():
            try:
                await self._fold(partition, batch, changes)
            except _Halted as halted:
                log.critical("a partition stands still", extra=self._context(halted) | {"partition": partition})
                targets[partition] = replace(targets[partition], position=halted.at, halted=str(halted))
        for partition in targets:
            parked = {one.stream_id for one in changes.parked if one.partition == partition}
            streams = targets[partition].parked | parked
            halted_by = targets[partition].halted
            if len(streams) > self._settings.parked_streams_max:
                halted_by = f"{len(streams)} streams are parked: the fault is not a stream's"
            pending = self._owned[partition].invalidations | changes.invalidated
            if len(pending) > self._settings.invalidations_pending_max:
                pending = {EVERYTHING}
            targets[partition] = replace(targets[partition], parked=streams, invalidations=pending, halted=halted_by)
        old = [self._owned[partition] for partition in targets]
        new = list(targets.values())
        if changes.held or changes.parked:
            async with self._database.client.start_session() as session:
                await session.with_transaction(lambda s: self._save(changes, old, new, s))
        else:
            await self._checkpoints.save(old, new, None)
        for one in changes.parked:
            log.error("a stream is parked", extra=self._context() | msgspec.to_builtins(one))
        for stream_id, held in changes.held.items():
            self._held[stream_id] = held
            self._held.move_to_end(stream_id)
        while len(self._held) > self._settings.projector_states_max:
            self._held.popitem(last=False)
        self._owned |= targets
        self.applied += sum(len(batch) for batch in events.values())
        await self._invalidate(list(targets))

    async def _save(
        self, changes: Changes, old: Sequence[Checkpoint], new: Sequence[Checkpoint], session: AsyncClientSession
    ) -> None:
        # The checkpoints first: a worker that is no longer the owner learns it before it writes anything.
        await self._checkpoints.save(old, new, session)
        await self._checkpoints.park([msgspec.structs.asdict(one) for one in changes.parked], session)
        if changes.held:
            writes: list[ReplaceOne[dict[str, Any]] | UpdateOne] = [
                ReplaceOne({"_id": stream_id}, self._document(held), upsert=True)
                for stream_id, held in changes.held.items()
            ]
            await self._documents.bulk_write(writes, ordered=False, session=session)
        if changes.sums:
            await self._database[self._view.sums_collection].bulk_write(
                [
                    UpdateOne(
                        {"_id": {"project_id": key.project_id, "shard": key.shard, "status": key.status}},
                        {
                            "$inc": {"count": count},
                            "$setOnInsert": {"project_id": key.project_id, "status": key.status},
                        },
                        upsert=True,
                    )
                    for key, count in changes.sums.items()
                    if count
                ],
                ordered=False,
                session=session,
            )

    def _document(self, held: Held) -> dict[str, Any]:
        return {
            "position": held.position,
            "version": held.version,
            **self._view.document(held.state),
            "state": msgspec.json.encode(self._view.redact(held.state)),
        }

    async def _fold(self, partition: int, batch: Sequence[RecordedEvent], changes: Changes) -> None:
        """Applies a partition's events in order. Raises _Halted at one of a type that nobody here knows."""
        mine: list[RecordedEvent] = []
        parked = set(self._owned[partition].parked)
        halt: _Halted | None = None
        for recorded in batch:
            kind = KIND_OF_TYPE.get(recorded.type)
            if kind is None:
                halt = _Halted(
                    recorded.position - 1,
                    f"position {recorded.position} holds {recorded.type}, unknown to this release",
                )
                break
            if kind is self._view.kind and recorded.stream_id not in parked:
                mine.append(recorded)
        decoded = await self._decode(mine)
        await self._hold([recorded.stream_id for recorded in mine if recorded.stream_id not in changes.held])
        for recorded, event in zip(mine, decoded, strict=True):
            if isinstance(event, StoreError):
                raise _Halted(recorded.position - 1, str(event))
            if recorded.stream_id in parked:
                continue
            held = changes.held.get(recorded.stream_id) or self._held.get(recorded.stream_id)
            apply(self._view, changes, held, recorded, event, partition)
            parked |= {one.stream_id for one in changes.parked}
        if halt is not None:
            raise halt

    async def _decode(self, events: Sequence[RecordedEvent]) -> list[Event | Exception]:
        """Typed events; in place of one that cannot be read, the error: of the data (parked) or of the
        store (the partition stands still)."""
        try:
            return list(await self._mapper.decode(events))
        except (msgspec.MsgspecError, StoreError):
            decoded: list[Event | Exception] = []
            for recorded in events:
                try:
                    decoded += await self._mapper.decode([recorded])
                except (msgspec.MsgspecError, StoreError) as error:
                    decoded.append(error)
            return decoded

    async def _hold(self, stream_ids: Sequence[UUID]) -> None:
        """Reads the documents of streams that are not in memory."""
        missing = [stream_id for stream_id in dict.fromkeys(stream_ids) if stream_id not in self._held]
        if not missing:
            return
        cursor = self._documents.find({"_id": {"$in": missing}}, {"position": 1, "version": 1, "state": 1})
        async for document in cursor:
            state = msgspec.json.decode(document["state"], type=self._view.kind.state)
            self._held[document["_id"]] = Held(document["position"], document["version"], state)

    def _forget(self) -> None:
        self._held.clear()
        self._owned.clear()

    # --- the cache

    async def _invalidate(self, partitions: Sequence[int]) -> None:
        """Sends what is pending; the next save of the checkpoint forgets what Redis acknowledged."""
        keys = set().union(*[self._owned[partition].invalidations for partition in partitions])
        if not keys:
            return
        done = await (self._cache.clear() if EVERYTHING in keys else self._cache.invalidate(sorted(keys)))
        if done:
            for partition in partitions:
                self._owned[partition] = replace(self._owned[partition], invalidations=set())

    async def _repeat_invalidations(self) -> None:
        await self._invalidate(list(self._owned))


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Hands assignments to the runner."""

    def __init__(self, runner: Runner, consumer: Any) -> None:
        self._runner = runner
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing to save: progress is saved with every batch."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._runner.assigned(self._consumer, sorted(tp.partition for tp in assigned))
