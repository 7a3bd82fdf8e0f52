"""Leadership: what the holder of the lease does until something fails.

    head and fence ─▶ read (position, head] ─▶ publish ─▶ all acknowledged ─▶ save progress (fence compared)
        every watermark_interval_ms   a watermark to each partition
        every relay_check_ends_ms     compare end offsets, and publish again what the broker lost

Any failure ends the leadership. It leaves nothing in memory: the next one begins at the saved progress.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import asyncpg
from aiokafka.errors import UnknownTopicOrPartitionError
from msgspec import Struct

from taskflow.cancellation import raise_if_cancelled
from taskflow.errors import EpochChanged, LeaseLost
from taskflow.kafka.message import to_message, to_watermark
from taskflow.kafka.offsets import open_offsets
from taskflow.kafka.topics import current_generation, open_topics
from taskflow.relay import progress as progress_row
from taskflow.relay.publisher import open_publisher
from taskflow.store.log import Log
from taskflow.store.partitions import attach_ahead
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.kafka.message import Encoded
    from taskflow.kafka.offsets import Offsets
    from taskflow.kafka.topics import Generation, Topics
    from taskflow.relay.progress import Progress
    from taskflow.relay.publisher import Publisher
    from taskflow.settings import Settings
    from taskflow.store.lease import Lease
    from taskflow.store.recorded import RecordedEvent

log = logging.getLogger(__name__)

_STATE: Final = """
select s.position, s.epoch, s.same_server, r.fence, r.expires_at > clock_timestamp() as held
  from log_status_v1() s, relay r
"""
_RETAINED_FROM: Final = "select position_before_v1(clock_timestamp() - make_interval(hours => $1))"


async def lead(pool: asyncpg.Pool[asyncpg.Record], settings: Settings, lease: Lease) -> None:
    """Publishes until something fails. Raises LeaseLost, EpochChanged, TopicMismatch, and what drivers raise."""
    generation = await current_generation(pool, settings)
    async with (
        open_topics(settings) as topics,
        open_offsets(settings) as offsets,
        open_publisher(settings) as publisher,
    ):
        await topics.ensure(generation)
        term = Leadership(pool, settings, lease=lease, generation=generation, broker=Broker(topics, offsets, publisher))
        await term.start()
        await term.run()


async def keep_ranges(pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
    """Attaches partitions of `events` before positions need them, for ever."""
    while True:
        try:
            await attach_ahead(pool, settings)
        except (*TRANSIENT_ERRORS, asyncpg.PostgresError):
            # Publishing goes on: whole partitions are still empty.
            log.exception("a partition of events could not be attached")
        await asyncio.sleep(settings.relay_ranges_check_s)


class Broker(Struct, frozen=True):
    """The three connections to Kafka of one leadership."""

    topics: Topics
    offsets: Offsets
    publisher: Publisher


class Leadership:
    """One leadership, from taking the lease to the first failure, with one producer."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        settings: Settings,
        *,
        lease: Lease,
        generation: Generation,
        broker: Broker,
    ) -> None:
        self._pool = pool
        self._log = Log(pool)
        self._settings = settings
        self._lease = lease
        self._generation = generation
        self._broker = broker
        self._epoch = 0
        self._progress: Progress
        self._republished_to = 0
        """Up to this position, only events of partitions in `_republishing` are published, all others were already."""
        self._republishing: frozenset[int] = frozenset()

    async def start(self) -> None:
        """Loads the saved progress and compares it with the broker's end offsets."""
        await self._head()
        self._progress = await progress_row.load(self._pool, self._log, self._generation, self._lease.fence)
        await self._compare_ends()
        await self._save()
        log.info(
            "leading",
            extra={"fence": self._lease.fence, "position": self._progress.position, "epoch": self._epoch},
        )

    async def run(self) -> None:
        """Publishes events, sends watermarks and compares end offsets, until something fails."""
        settings = self._settings
        watermark_at = check_at = time.monotonic()
        while True:
            raise_if_cancelled()
            head = await self._head()
            if head > self._progress.position:
                await self._publish_next(head)
            now = time.monotonic()
            if now >= watermark_at:
                await self._publish_watermarks(head)
                watermark_at = now + settings.watermark_interval_ms / 1000
            if now >= check_at:
                if not await self._broker.topics.check(self._generation):
                    raise UnknownTopicOrPartitionError(f"topic {self._generation.topic} is gone")
                await self._compare_ends()
                check_at = now + settings.relay_check_ends_ms / 1000
            if self._progress.position >= head:
                await asyncio.sleep(settings.relay_poll_ms / 1000)

    async def _head(self) -> int:
        """The last position of the log, read before anything is published. Raises LeaseLost and EpochChanged."""
        row = await self._pool.fetchrow(_STATE)
        if row is None:
            raise AssertionError("log_head, log_meta and relay have one row each since the first migration")
        if row["fence"] != self._lease.fence or not row["held"]:
            raise LeaseLost(f"fence {self._lease.fence} is no longer the leader's; the newest is {row['fence']}")
        if not row["same_server"]:
            raise EpochChanged(f"this server is not the one that epoch {row['epoch']} of the log belongs to")
        if self._epoch and row["epoch"] != self._epoch:
            raise EpochChanged(f"the log is at epoch {row['epoch']}, this term began at {self._epoch}")
        self._epoch = row["epoch"]
        head: int = row["position"]
        return head

    async def _publish_next(self, head: int) -> None:
        progress = self._progress
        limit = self._settings.relay_batch_max
        bytes_max = self._settings.relay_batch_bytes_max
        events = await self._log.read(progress.position, to=head, limit=limit, bytes_max=bytes_max)
        last = list(progress.last)
        messages = self._messages(events, last)
        delivered = await self._broker.publisher.publish(self._generation.topic, messages)
        before = progress.position
        full = len(events) == limit or sum(len(event.data) for event in events) >= bytes_max
        progress.position = events[-1].position if full else head
        progress.last = last
        await self._delivered(delivered)
        if before < self._republished_to <= progress.position:
            log.info("lost messages were published again", extra={"to": self._republished_to})

    def _messages(self, events: Sequence[RecordedEvent], last: list[int]) -> list[tuple[int, Encoded]]:
        """Events as messages for their partitions; updates `last`, each partition's last position."""
        generation = self._generation
        messages = []
        for event in events:
            partition = generation.partition_of(event.shard)
            if event.position > self._republished_to or partition in self._republishing:
                messages.append((partition, to_message(event, prev=last[partition], generation=generation.number)))
            last[partition] = event.position
        return messages

    async def _publish_watermarks(self, head: int) -> None:
        position, last = self._progress.position, self._progress.last
        if position < self._republished_to:
            # New events are published after those that are published again. Readers need not wait for that: a watermark at
            # the head makes them read the gap from the store.
            position = head
            last = await progress_row.last_of_partitions(self._log, self._generation, head)
        generation = self._generation
        marks = [
            (
                partition,
                to_watermark(
                    position=position,
                    prev=last[partition],
                    epoch=self._epoch,
                    generation=generation.number,
                    partition=partition,
                ),
            )
            for partition in range(generation.partitions)
        ]
        await self._delivered(await self._broker.publisher.publish(generation.topic, marks))

    async def _delivered(self, delivered: Sequence[tuple[int, int]]) -> None:
        """Saves the progress; goes back first where a lower offset than expected shows that the broker lost messages."""
        ends = self._progress.ends
        lost = set()
        for partition, offset in delivered:
            expected = ends[partition]
            if offset < 0:  # the broker had the message already, and does not say at which offset
                continue
            if expected is not None and offset < expected:
                lost.add(partition)
            ends[partition] = offset + 1
        if lost:
            await self._rewind(lost)
        await self._save()

    async def _compare_ends(self) -> None:
        """Goes back if a partition now ends before an offset that the broker had acknowledged."""
        found = await self._broker.offsets.ends(self._generation)
        expected = self._progress.ends
        lost = {
            partition
            for partition, (end, now) in enumerate(zip(expected, found, strict=True))
            if end is not None and now < end
        }
        self._progress.ends = list(found)
        if lost:
            await self._rewind(lost)
            await self._save()

    async def _rewind(self, lost: set[int]) -> None:
        """Sets the progress back to where retention begins: the partitions in `lost` are published again from there."""
        progress = self._progress
        before = progress.position
        kept_from: int = await self._pool.fetchval(_RETAINED_FROM, self._settings.kafka_retention_hours)
        # This is not saved. After a crash all partitions are published again, which repeats messages and loses none.
        self._republishing = frozenset(lost | self._republishing if before < self._republished_to else lost)
        self._republished_to = max(self._republished_to, before)
        progress.position = min(kept_from, before)
        progress.last = await progress_row.last_of_partitions(self._log, self._generation, progress.position)
        log.warning(
            "the broker lost acknowledged messages; they are published again",
            extra={"partitions": sorted(lost), "from": progress.position, "to": before},
        )

    async def _save(self) -> None:
        await progress_row.save(self._pool, self._generation, self._lease.fence, self._progress)
