"""The reading of a worker: one consumer, one decoding and one verification for all projections that the worker runs.

    Kafka ─▶ MAC? ─▶ decode ─▶ one batch ─▶ the inbox of each projection (inbox.py) ─▶ runner.py
              └─ a message that fails verification: the projections read its partition from the log

Kafka gives the partitions to workers of one group. The group is named by the set of (projection, version) that its
workers run, so that every partition is read for all of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from pymongo.errors import PyMongoError

from taskflow.backoff import Backoff
from taskflow.cancellation import raise_if_cancelled
from taskflow.errors import BadMessage, Unavailable, UnverifiedMessage
from taskflow.kafka.connection import connection
from taskflow.kafka.mac import MessageKeys
from taskflow.kafka.message import Message, from_message
from taskflow.kafka.topics import open_topics
from taskflow.projections.inbox import Inbox, Received, batch_of
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import STREAM_TYPE_OF_EVENT

if TYPE_CHECKING:
    from taskflow.kafka.topics import Generation
    from taskflow.projections.checkpoints import Hints
    from taskflow.projections.projection import Projection
    from taskflow.projections.rejections import Rejections
    from taskflow.projections.runner import Runner
    from taskflow.settings import Settings
    from taskflow.store.log import Log

log = logging.getLogger(__name__)

POLL_MS: Final = 200
POLL_BOUND_S: Final = 1.0
"""Timeout of a poll, because aiokafka waits without a bound for the end of a rebalance."""
PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 3.0
AWAY_S: Final = 0.25
"""After this time without an answer from Kafka at the start, and after each failure of it, the log is read instead."""
HINTS_S: Final = 1.0
"""Timeout for reading the offsets to start at."""
SESSION_MS: Final = 6_000
"""Session timeout, the minimum that brokers allow: after it, a killed worker's partitions go to another worker."""
REBALANCE_MS: Final = 6_000
REJOIN_S: Final = 15.0
"""After this time without an assignment, while partitions make no progress, a consumer joins its group again."""
STOP_S: Final = 1.0
"""How long a consumer may take to leave its group; otherwise the broker removes it after `SESSION_MS`."""
PARTITION_BYTES_MIN: Final = 65_536
"""Fetched of one partition at least, however many partitions share `projector_fetch_bytes_max`."""

_UNREADABLE: Final = (CorruptRecordException, UnsupportedCodecError)
_TRANSIENT_KAFKA_ERRORS: Final = (Unavailable, KafkaError, OSError, TimeoutError)


def group_of(topic: str, projections: Iterable[Projection]) -> str:
    """Returns the consumer group of workers that run these projections."""
    names = sorted(f"{projection.name}.v{projection.version}" for projection in projections)
    return f"{topic}.{'+'.join(names)}"


class Reading:
    """Reads the topic for the runners of one worker, until cancelled."""

    def __init__(
        self,
        runners: Sequence[Runner],
        events: Log,
        generation: Generation,
        *,
        rejections: Rejections,
        hints: Hints,
        room: asyncio.Event,
        settings: Settings,
    ) -> None:
        projections = [runner.projection for runner in runners]
        self._runners = runners
        self._inboxes: list[Inbox] = [runner.inbox for runner in runners]
        self._room = room
        self._log = events
        self._generation = generation
        self._settings = settings
        self._group = group_of(generation.topic, projections)
        self._keys = MessageKeys.of(settings)
        self._rejections = rejections
        self._hints = hints
        kinds = [projection.kind for projection in projections]
        # Events of other stream types only advance the position. Unknown event types are not among these.
        self._passes = frozenset(name for name, kind in STREAM_TYPE_OF_EVENT.items() if kind not in kinds)
        self._linger_s = settings.projector_linger_ms / 1000
        self._stall_timeout_s = settings.projector_stall_timeout_ms / 1000
        self._assigned: frozenset[int] = frozenset()
        self._epoch = 0
        """The newest epoch seen in the log or in a message."""
        self._fetched_at = 0.0
        """When the consumer last fetched any message, or received its partitions."""

    async def run(self) -> None:
        """Runs until cancelled. Raises TopicMismatch if the topic has another partition count."""
        while True:
            await self._wait_for_topic()
            try:
                await self._consume()
            except _TRANSIENT_KAFKA_ERRORS as error:
                log.warning("Kafka is unavailable; the log is read instead", extra=self._context(error))
                self._away()
                # Also if Kafka keeps coming back and failing: the views advance, and this is no hot loop.
                await asyncio.sleep(AWAY_S)

    def _context(self, error: BaseException | None = None) -> dict[str, Any]:
        return {"group": self._group, "error": repr(error) if error else None}

    def _away(self) -> None:
        for inbox in self._inboxes:
            inbox.away()

    async def _wait_for_topic(self) -> None:
        """Waits until Kafka answers and has the topic. Raises TopicMismatch."""
        polling = asyncio.create_task(self._poll_topic())
        try:
            if not (await asyncio.wait([polling], timeout=AWAY_S))[0]:
                self._away()
            await polling
        finally:
            polling.cancel()

    async def _poll_topic(self) -> None:
        backoff = Backoff(PAUSE_S, PAUSE_MAX_S)
        while True:
            try:
                async with open_topics(self._settings) as topics:
                    if await topics.check(self._generation):
                        return
                    log.warning(
                        "the topic does not exist yet", extra=self._context() | {"topic": self._generation.topic}
                    )
            except _TRANSIENT_KAFKA_ERRORS as error:
                log.warning("Kafka does not answer", extra=self._context(error))
            await backoff.wait()

    # --- the consumer

    async def _consume(self) -> None:
        """Consumes messages until an error. Raises Unavailable for a consumer that receives nothing for too long, so
        that `run` creates a new one."""
        assignment = _Assignment()
        self._assigned = frozenset()
        async with self._open_consumer() as consumer:
            consumer.subscribe([self._generation.topic], listener=assignment)
            given_at = polled_at = time.monotonic()
            count = 0
            while True:
                raise_if_cancelled()
                if count < self._settings.projector_batch_max:
                    await asyncio.sleep(max(0.0, polled_at + self._linger_s - time.monotonic()))
                await self._wait_for_room()
                polled_at = time.monotonic()
                records = await self._poll(consumer)
                if assignment.changed:
                    await self._take_over(consumer, assignment.read())
                count = sum(map(len, records.values()))
                self._distribute(
                    {at.partition: batch for at, batch in records.items() if at.partition in self._assigned}
                )
                if self._assigned:
                    given_at = time.monotonic()
                    self._require_messages(assignment)
                elif time.monotonic() - given_at > REJOIN_S and any(one.stood_in for one in self._runners):
                    raise Unavailable(
                        "no worker advances some partitions, and this worker is assigned none; it joins the group again"
                    )

    @asynccontextmanager
    async def _open_consumer(self) -> AsyncIterator[Any]:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            **connection(settings),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Joining takes until dead members are out of the group. A join request that times out earlier leaves
            # another member behind, for which the group then waits as well.
            request_timeout_ms=max(settings.kafka_request_timeout_ms, 2 * SESSION_MS + REBALANCE_MS),
            fetch_max_bytes=settings.projector_fetch_bytes_max,
            max_partition_fetch_bytes=max(
                PARTITION_BYTES_MIN, settings.projector_fetch_bytes_max // self._generation.partitions
            ),
            fetch_max_wait_ms=POLL_MS,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            heartbeat_interval_ms=1_000,
        )
        try:
            async with asyncio.timeout(settings.kafka_request_timeout_ms / 1000):
                await consumer.start()
            yield consumer
        finally:
            await asyncio.wait([asyncio.create_task(_stop(consumer))], timeout=STOP_S)

    async def _wait_for_room(self) -> None:
        """Waits while no projection could take a batch. One that could not, beside others that can, slows nobody."""
        while not any(inbox.has_room for inbox in self._inboxes):
            raise_if_cancelled()
            self._room.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_BOUND_S):
                    await self._room.wait()
            self._fetched_at = time.monotonic()  # the consumer is not silent: nobody asked it

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
            self._seek_to_end(consumer)
            return {}

    def _seek_to_end(self, consumer: Any) -> None:
        """Seeks to the end of every assigned partition, and marks the partitions to be read from the log."""
        for at in consumer.assignment():
            end = consumer.highwater(at)
            if end is not None:
                consumer.seek(at, end)
            self._reject(at.partition, "unreadable", -1)

    async def _take_over(self, consumer: Any, partitions: Collection[int]) -> None:
        """Tells the projections their partitions, and seeks to the newest offset that one of them has saved. A
        projection that is further behind reads what it lacks from the log."""
        if any(partition >= self._generation.partitions for partition in partitions):
            raise Unavailable(f"partitions {sorted(partitions)} were assigned, but the topic has fewer")
        self._assigned = frozenset(partitions)
        for inbox in self._inboxes:
            inbox.assign(partitions)
        await self._learn_epoch()
        for partition, offset in (await self._find_hints(partitions)).items():
            # An offset past the end of a recreated topic makes the consumer start at the topic's beginning. If
            # the partition was revoked meanwhile, seek raises, and a new consumer is created.
            consumer.seek(TopicPartition(self._generation.topic, partition), offset)
        self._fetched_at = time.monotonic()
        log.info("partitions assigned", extra=self._context() | {"partitions": sorted(partitions)})

    async def _find_hints(self, partitions: Collection[int]) -> Mapping[int, int]:
        try:
            async with asyncio.timeout(HINTS_S):
                return await self._hints.newest_offsets(partitions)
        except (PyMongoError, TimeoutError) as error:
            log.warning("no offset is known: reading where the group was", extra=self._context(error))
            return {}

    async def _learn_epoch(self) -> None:
        """Reads the epoch of the log: without it, messages of a tail that was lost in a failover would be believed."""
        backoff = Backoff(PAUSE_S, PAUSE_MAX_S)
        while True:
            raise_if_cancelled()
            try:
                self._epoch = max(self._epoch, (await self._log.head()).epoch)
            except TRANSIENT_ERRORS as error:
                log.warning("a step failed; it is retried", extra=self._context(error))
                await backoff.wait()
            else:
                return

    def _require_messages(self, assignment: _Assignment) -> None:
        """Raises Unavailable if no message was fetched for too long, unless the group is rebalancing."""
        now = time.monotonic()
        if now - self._fetched_at < self._stall_timeout_s:
            return
        sharing_s = 0.0 if assignment.awaited_since is None else now - assignment.awaited_since
        if not 0 < sharing_s < REJOIN_S:
            raise Unavailable("the consumer received nothing for too long; a new one is created")

    # --- the messages

    def _distribute(self, records: Mapping[int, Sequence[Any]]) -> None:
        if not records:
            return
        self._fetched_at = time.monotonic()
        received = {partition: self._known(partition, batch) for partition, batch in records.items()}
        batch = batch_of({partition: one for partition, one in received.items() if one.messages})
        if batch.count:
            for inbox in self._inboxes:
                inbox.offer(batch)

    def _known(self, partition: int, batch: Iterable[Any]) -> Received:
        """Returns the verified messages of this generation. Messages that fail verification are left out, and their
        partition is marked to be read from the log."""
        known = Received([], -1)
        for record in batch:
            message = self._verified(partition, record)
            if message is None:
                continue
            self._epoch = max(self._epoch, message.epoch)
            if message.epoch < self._epoch:
                # The event may belong to a tail that was lost in a failover: only the log knows what was kept.
                self._suspect(partition)
                continue
            here = message.shard is None or self._generation.partition_of(message.shard) == partition
            if message.generation == self._generation.number and here:
                known.messages.append(message)
                known.offset = record.offset
        return known

    def _verified(self, partition: int, record: Any) -> Message | None:
        try:
            attributes = self._keys.verify(
                self._generation.topic, partition, key=record.key, value=record.value, headers=record.headers
            )
            return from_message(record.value, attributes, passes=self._passes)
        except UnverifiedMessage as error:
            self._reject(partition, error.reason, record.offset)
        except BadMessage as error:
            about = self._context(error) | {"offset": record.offset}
            log.error("a message cannot be parsed; is it of another release?", extra=about)  # noqa: TRY400 - the message says it all
            self._reject(partition, "malformed", record.offset)
        return None

    def _reject(self, partition: int, reason: str, offset: int) -> None:
        self._rejections.note(partition, reason, offset)
        self._suspect(partition)

    def _suspect(self, partition: int) -> None:
        for inbox in self._inboxes:
            inbox.suspect([partition])


async def _stop(consumer: Any) -> None:
    try:
        await consumer.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.info("a consumer did not stop in time", extra={"error": repr(error)})


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The latest assignment of partitions. Set by the consumer's callbacks, and read between two polls."""

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
