"""One projection on one worker: from Kafka, or from the log, to the writer.

    Kafka ─▶ MAC? ─▶ classify (drops repeats) ─▶ gap? ─▶ the log ─▶ writer
              └─ a message that fails verification ────▶ the log ─▶ writer
    nothing new for a while, or no Kafka ──────────────▶ the log ─▶ writer

After a failed compare-and-set, a write conflict or an unknown outcome, the worker clears its memory and reads its
checkpoints again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from msgspec.structs import replace
from pymongo.errors import PyMongoError

from taskflow.cancellation import raise_if_cancelled
from taskflow.errors import BadMessage, Unavailable, UnverifiedMessage
from taskflow.kafka.connection import connection
from taskflow.kafka.mac import MessageKeys
from taskflow.kafka.message import Message, from_message
from taskflow.kafka.topics import open_topics
from taskflow.projections.checkpoints import Moved
from taskflow.projections.messages import Gap, classify
from taskflow.projections.rejections import Rejections
from taskflow.projections.writer import Writer
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import STREAM_TYPE_OF_EVENT

if TYPE_CHECKING:
    from taskflow.cache.cache import Cache
    from taskflow.kafka.topics import Generation
    from taskflow.projections.checkpoints import Checkpoint
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection
    from taskflow.settings import Settings
    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent

log = logging.getLogger(__name__)

POLL_MS: Final = 200
POLL_BOUND_S: Final = 1.0
"""Timeout of a poll, because aiokafka waits without a bound for the end of a rebalance."""
PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 3.0
LOG_POLL_S: Final = 0.25
"""How often the log is read while Kafka is unavailable."""
SESSION_MS: Final = 6_000
"""Session timeout, the minimum that brokers allow: after it, a killed worker's partitions go to another worker."""
REBALANCE_MS: Final = 6_000
REJOIN_S: Final = 15.0
"""After this time without an assignment, while partitions make no progress, a consumer joins its group again."""
STOP_S: Final = 1.0
"""How long a consumer may take to leave its group; otherwise the broker removes it after `SESSION_MS`."""

_UNREADABLE: Final = (CorruptRecordException, UnsupportedCodecError)
_TRANSIENT_KAFKA_ERRORS: Final = (Unavailable, KafkaError, OSError, TimeoutError)


class Runner:
    """Runs one projection until cancelled."""

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
        self._log = events
        self._generation = generation
        self._settings = settings
        self._writer = Writer(view, database, mapper, cache, generation, settings)
        self._keys = MessageKeys.of(settings)
        self._rejections = Rejections(view, database)
        # Events of other stream types only advance the position. Unknown event types are not among these.
        self._passes = frozenset(name for name, kind in STREAM_TYPE_OF_EVENT.items() if kind is not view.kind)
        self._gather_s = settings.projector_linger_ms / 1000
        self._silence_s = settings.projector_stall_timeout_ms / 1000
        self._assigned: set[int] = set()
        self._epoch = 0
        """The newest epoch seen in the log or in a message."""
        self._heard_at: dict[int, float] = {}
        """Partition → when it last received a new message. Repeats and rejected messages do not count."""
        self._fetched_at = 0.0
        """When the consumer last fetched any message."""

    @property
    def applied(self) -> int:
        """Number of events applied, including repeats and events of other stream types."""
        return self._writer.applied

    async def run(self) -> None:
        """Runs until cancelled. Raises TopicMismatch if the topic has another partition count."""
        await self._until_it_works(self._writer.prepare)
        while True:
            await self._read_log_until_there_is_a_topic()
            try:
                await self._consume()
            except _TRANSIENT_KAFKA_ERRORS as error:
                log.warning("Kafka is away; reading the log instead", extra=self._context(error))
                # Also if Kafka keeps coming back and failing: the views advance, and this is no hot loop.
                await self._until_it_works(self._read_log_instead)
                await asyncio.sleep(LOG_POLL_S)

    def _context(self, error: BaseException | None = None) -> dict[str, Any]:
        return {"projection": self._view.name, "error": repr(error) if error else None}

    async def _until_it_works(self, step: Callable[[], Awaitable[None]]) -> None:
        """Retries a step while its servers are unavailable, with a growing pause, clearing memory before each retry."""
        pause_s = PAUSE_S
        while True:
            raise_if_cancelled()
            try:
                await step()
            except (Moved, PyMongoError, *TRANSIENT_ERRORS) as error:
                log.warning("a step is tried again", extra=self._context(error))
                await self._writer.forget()
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MAX_S)
            else:
                return

    # --- Kafka

    async def _consume(self) -> None:
        """Consumes messages until an error. Raises Unavailable for a consumer that receives nothing for too long, so
        that `run` creates a new one."""
        assignment = _Assignment()
        self._heard_at = dict.fromkeys(self._assigned, time.monotonic())
        self._fetched_at = time.monotonic()
        async with self._open_consumer() as consumer:
            consumer.subscribe([self._generation.topic], listener=assignment)
            asked_at = given_at = polled_at = time.monotonic()
            records: Mapping[TopicPartition, Sequence[Any]] = {}
            while True:
                raise_if_cancelled()
                if sum(map(len, records.values())) < self._settings.projector_batch_max:
                    await asyncio.sleep(max(0.0, polled_at + self._gather_s - time.monotonic()))
                polled_at = time.monotonic()
                records = await self._poll(consumer)
                if assignment.changed:
                    await self._take_over(consumer, assignment.read())
                mine = {at.partition: batch for at, batch in records.items() if at.partition in self._assigned}
                if mine:
                    self._fetched_at = polled_at
                    await self._until_it_works(partial(self._take, mine))
                await self._read_suspects()
                now = time.monotonic()
                if self._assigned:
                    given_at = now
                    await self._mind_silence(assignment)
                if now - asked_at > self._silence_s:
                    asked_at = now
                    # A worker with partitions waits until those of a dead worker have been reassigned. Partitions
                    # without progress for longer are assigned to a group member that is no working projector.
                    still = await self._stand_in(max(self._silence_s, REJOIN_S) if self._assigned else self._silence_s)
                    if still and now - given_at > REJOIN_S:
                        raise Unavailable("partitions stand still and this worker is given none; joining again")

    @asynccontextmanager
    async def _open_consumer(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=f"{self._generation.topic}.{self._view.name}.v{self._view.version}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Joining takes until dead members are out of the group. A join request that times out earlier leaves
            # another member behind, for which the group then waits as well.
            request_timeout_ms=max(self._settings.kafka_request_timeout_ms, 2 * SESSION_MS + REBALANCE_MS),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=100,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            heartbeat_interval_ms=1_000,
        )
        try:
            async with asyncio.timeout(self._settings.kafka_request_timeout_ms / 1000):
                await consumer.start()
            yield consumer
        finally:
            await asyncio.wait([asyncio.create_task(_stop(consumer))], timeout=STOP_S)

    async def _poll(self, consumer: Any) -> Mapping[TopicPartition, Sequence[Any]]:
        try:
            async with asyncio.timeout(POLL_BOUND_S):
                found: Mapping[TopicPartition, Sequence[Any]] = await consumer.getmany(
                    timeout_ms=POLL_MS, max_records=self._settings.projector_batch_max
                )
                return found
        except TimeoutError:
            return {}
        except Exception as error:
            if isinstance(error, KafkaError) and not isinstance(error, _UNREADABLE):
                raise
            # A record that the library cannot decode (for example a header that is not UTF-8) would fail for ever.
            self._pass_over(consumer)
            return {}

    def _pass_over(self, consumer: Any) -> None:
        """Seeks to the end of every assigned partition, and marks the partitions to be read from the log."""
        for at in consumer.assignment():
            end = consumer.highwater(at)
            if end is not None:
                consumer.seek(at, end)
            self._rejections.note(at.partition, "unreadable", -1)

    async def _take_over(self, consumer: Any, partitions: Collection[int]) -> None:
        """Takes over exactly these partitions, and seeks to the offsets in their checkpoints."""
        if any(partition >= self._generation.partitions for partition in partitions):
            raise Unavailable(f"partitions {sorted(partitions)} were assigned: the topic is another")
        self._assigned = set(partitions)
        self._heard_at = dict.fromkeys(partitions, time.monotonic())
        await self._writer.forget()
        checkpoints: list[Checkpoint] = []

        async def own() -> None:
            checkpoints[:] = [await self._writer.checkpoint(partition) for partition in partitions]
            await self._writer.invalidate(partitions)
            self._epoch = max(self._epoch, (await self._log.head()).epoch)

        await self._until_it_works(own)
        for checkpoint in checkpoints:
            if checkpoint.offset is not None:
                # An offset past the end of a recreated topic makes the consumer start at the topic's beginning. If
                # the partition was revoked meanwhile, seek raises, and a new consumer is created.
                consumer.seek(TopicPartition(self._generation.topic, checkpoint.partition), checkpoint.offset)
        log.info("partitions assigned", extra=self._context() | {"partitions": sorted(partitions)})

    async def _take(self, records: Mapping[int, Sequence[Any]]) -> None:
        """Applies the records of one poll. A partition with a gap is read from the log."""
        events: dict[int, list[RecordedEvent]] = {}
        targets: dict[int, Checkpoint] = {}
        for partition, batch in records.items():
            known, offset = self._known(partition, batch)
            if not known:
                continue
            checkpoint = await self._writer.checkpoint(partition)
            if any(message.position > checkpoint.position for message in known):
                self._heard_at[partition] = time.monotonic()
            if checkpoint.halted is not None:
                targets[partition] = checkpoint  # saved unchanged, which sends its invalidations again
                continue
            steps = list(classify(checkpoint.position, known))
            gap = next((step for step in steps if isinstance(step, Gap)), None)
            if gap is not None:
                about = {"partition": partition, "after": gap.after, "to": gap.to}
                log.info("a gap is read from the log", extra=self._context() | about)
                # Up to the last message, not only to the gap's end: the log has all of these events in order.
                await self._advance(partition, max(message.position for message in known))
                continue
            taken = [step for step in steps if not isinstance(step, Gap)]
            events[partition] = [step.event for step in taken if step.event is not None]
            targets[partition] = replace(
                checkpoint,
                position=taken[-1].position if taken else checkpoint.position,
                offset=offset + 1,
                epoch=max(checkpoint.epoch, known[-1].epoch),
            )
        if targets:
            await self._writer.write(events, targets)

    def _known(self, partition: int, batch: Iterable[Any]) -> tuple[list[Message], int]:
        """Returns the verified messages of this generation, and the offset of the last one. Messages that fail
        verification are left out, and their partition is marked to be read from the log."""
        known: list[Message] = []
        offset = -1
        for record in batch:
            try:
                attributes = self._keys.verify(
                    self._generation.topic, partition, key=record.key, value=record.value, headers=record.headers
                )
                message = from_message(record.value, attributes, passes=self._passes)
            except UnverifiedMessage as error:
                self._rejections.note(partition, error.reason, record.offset)
                continue
            except BadMessage as error:
                log.error("a message of another release", extra=self._context(error) | {"offset": record.offset})  # noqa: TRY400 - the message says it all
                self._rejections.note(partition, "malformed", record.offset)
                continue
            self._epoch = max(self._epoch, message.epoch)
            if message.epoch < self._epoch:
                # The event may belong to a tail that was lost in a failover: only the log knows what was kept.
                self._rejections.suspect(partition)
                continue
            here = message.shard is None or self._generation.partition_of(message.shard) == partition
            if message.generation == self._generation.number and here:
                known.append(message)
                offset = record.offset
        return known, offset

    async def _read_suspects(self) -> None:
        """Reads from the log the partitions where a message was rejected: the log has every real event. The rate is
        limited, so that a flood of rejected messages costs little."""
        suspects = self._rejections.due() & self._assigned
        if suspects:

            async def read() -> None:
                await self._read_log(suspects)
                await self._rejections.save()

            await self._until_it_works(read)

    async def _mind_silence(self, assignment: _Assignment) -> None:
        """Reads from the log the partitions that received nothing new. Raises Unavailable if no message at all was
        fetched, unless the group is rebalancing."""
        now = time.monotonic()
        silent = [partition for partition in self._assigned if now - self._heard_at[partition] > self._silence_s]
        if not silent:
            return
        await self._until_it_works(lambda: self._read_log(silent))
        self._heard_at |= dict.fromkeys(silent, time.monotonic())
        if now - self._fetched_at < self._silence_s:
            return
        log.warning("nothing was heard; asked the log", extra=self._context() | {"partitions": silent})
        sharing_s = 0.0 if assignment.awaited_since is None else now - assignment.awaited_since
        if len(silent) == len(self._assigned) and not 0 < sharing_s < REJOIN_S:
            raise Unavailable("the consumer is silent; making a new one")

    # --- the log

    async def _read_log_until_there_is_a_topic(self) -> None:
        """Reads the log until Kafka answers and has the topic. Raises TopicMismatch."""
        knocking = asyncio.create_task(self._knock())
        try:
            while not (await asyncio.wait([knocking], timeout=LOG_POLL_S))[0]:
                await self._until_it_works(self._read_log_instead)
            knocking.result()
        finally:
            knocking.cancel()

    async def _knock(self) -> None:
        pause_s = PAUSE_S
        while True:
            try:
                async with open_topics(self._settings) as topics:
                    if await topics.check(self._generation):
                        return
                    log.warning("there is no topic yet", extra=self._context() | {"topic": self._generation.topic})
            except _TRANSIENT_KAFKA_ERRORS as error:
                log.warning("Kafka does not answer", extra=self._context(error))
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _read_log_instead(self) -> None:
        """Advances from the log the partitions that this worker had, and those that no worker advances.

        Several workers may do this at the same time: compare-and-set prevents double writes.
        """
        if self._assigned:
            try:
                await self._read_log(self._assigned)
            except Moved:
                self._assigned = set()  # another worker reaches Kafka and was assigned these
                raise
        await self._stand_in(self._silence_s)

    async def _stand_in(self, silence_s: float) -> bool:
        """Advances from the log the partitions of other workers that nobody saved for `silence_s`. Returns whether
        there were any."""
        still: set[int] = set()

        async def advance() -> None:
            still.clear()
            still.update(set(await self._writer.standing_still(silence_s)) - self._assigned)
            if still:
                log.warning("nobody advances these partitions", extra=self._context() | {"partitions": sorted(still)})
                await self._read_log(still)

        await self._until_it_works(advance)
        if still:
            # They belong to another worker, which may go on at any time: keep nothing of them in memory.
            await self._writer.forget()
        return bool(still)

    async def _read_log(self, partitions: Iterable[int]) -> None:
        head = await self._log.head()
        self._epoch = max(self._epoch, head.epoch)
        for partition in sorted(partitions):
            checkpoint = await self._writer.checkpoint(partition)
            if checkpoint.position < head.position and checkpoint.halted is None:
                await self._advance(partition, head.position)
            else:
                # Saved even without progress: `saved_at` shows that the partition has a worker, and acknowledged
                # invalidations are removed.
                await self._writer.invalidate([partition])
                await self._writer.write({}, {partition: checkpoint})

    async def _advance(self, partition: int, to: int) -> None:
        """Applies the events (checkpoint, to] of a partition from the log, in chunks, each committed separately."""
        shards = self._generation.shards_of(partition)
        limit, bytes_max = self._settings.projector_batch_max, self._settings.projector_batch_bytes_max
        while True:
            checkpoint = await self._writer.checkpoint(partition)
            if checkpoint.position >= to or checkpoint.halted is not None:
                return
            events = await self._log.read_shards(checkpoint.position, shards, to=to, limit=limit, bytes_max=bytes_max)
            more = len(events) == limit or sum(len(event.data) for event in events) >= bytes_max
            target = replace(
                checkpoint,
                position=events[-1].position if more else to,
                epoch=events[-1].epoch if events else checkpoint.epoch,
            )
            await self._writer.write({partition: events}, {partition: target})


async def _stop(consumer: Any) -> None:
    try:
        await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.info("a consumer did not stop in order", extra={"error": repr(error)})


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The latest assignment of partitions. Set by the consumer's callbacks, and read by the runner between two batches,
    so that a batch being written is never interrupted."""

    def __init__(self) -> None:
        self.changed = False
        self.awaited_since: float | None = None
        """When the current rebalance started; None: no rebalance is under way."""
        self._partitions: frozenset[int] = frozenset()

    def on_partitions_revoked(self, _revoked: Any) -> None:
        # Nothing to save: progress is saved with every batch.
        self.awaited_since = time.monotonic()

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._partitions = frozenset(at.partition for at in assigned)
        self.awaited_since = None
        self.changed = True

    def read(self) -> frozenset[int]:
        self.changed = False
        return self._partitions
