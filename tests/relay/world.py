"""What the relay stands between: events that come in by SQL, and the topic that a reader sees."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from taskflow.ids import new_id, shard_of
from taskflow.kafka.mac import MessageKeys
from taskflow.kafka.message import Message, from_message
from taskflow.projections.messages import Gap, classify
from taskflow.settings import Settings

BOUND_S = 60.0
"""No wait is longer; each ends as soon as what it waits for is there."""
PACE_S = 0.01
"""Between the groups of a writer that writes on: some 1,500 events a second."""

_WRITE = """
with head as (update log_head set position = position + $1, recorded_at = greatest(recorded_at, clock_timestamp())
              returning position - $1 as before, recorded_at)
insert into events (position, epoch, stream_id, stream_version, shard, type, schema_version, event_id, occurred_at,
                    recorded_at, command_id, data)
select head.before + i.ord, (select epoch from log_meta), i.stream, i.version, i.shard, 'TaskRetitled', 1, i.id,
       head.recorded_at, head.recorded_at, gen_random_uuid(), '{"title":"x"}'
  from head, unnest($2::uuid[], $3::integer[], $4::smallint[], $5::uuid[])
       with ordinality as i (stream, version, shard, id, ord)
"""


class Writer:
    """Appends events to a handful of streams, as the append function would."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], streams: int = 20) -> None:
        self._pool = pool
        self._versions = {new_id(): 0 for _ in range(streams)}
        self._dice = random.Random(7)
        self._turn = asyncio.Lock()
        self.position = 0

    async def write(self, count: int) -> int:
        """Appends `count` events; answers the last position."""
        async with self._turn:
            return await self._write(count)

    async def _write(self, count: int) -> int:
        streams = self._dice.choices(list(self._versions), k=count)
        versions = []
        for stream in streams:
            self._versions[stream] += 1
            versions.append(self._versions[stream])
        async with self._pool.acquire() as connection, connection.transaction():
            # This event loop is the relay's too: a transaction of the tests may wait longer than one of the append may.
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            await connection.execute("select pg_advisory_xact_lock(7466)")
            await connection.execute(
                _WRITE, count, streams, versions, [shard_of(s) for s in streams], [new_id() for _ in streams]
            )
        self.position += count
        return self.position

    async def write_on(self, stop: asyncio.Event, *, events_max: int) -> None:
        """Writes small groups until told to stop."""
        while not stop.is_set() and self.position < events_max:
            await self.write(self._dice.randint(1, 40))
            await asyncio.sleep(PACE_S)


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, within_s: float = BOUND_S) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"waited {within_s} s for: {what}"
        await asyncio.sleep(0.05)


class Seen:
    """Everything on the topic, from its beginning, by partition and in order."""

    def __init__(self, partitions: int) -> None:
        self.messages: list[list[Message]] = [[] for _ in range(partitions)]

    @property
    def positions(self) -> set[int]:
        return {m.position for partition in self.messages for m in partition if m.event is not None}

    def watermarks(self, partition: int) -> list[Message]:
        return [message for message in self.messages[partition] if message.event is None]

    def repeats(self, partition: int) -> int:
        positions = [message.position for message in self.messages[partition] if message.event is not None]
        return len(positions) - len(set(positions))

    def assert_sound(self) -> None:
        """In stream order once repeats are dropped; and the chain of `prev` holds."""
        self.assert_chained()
        versions: dict[UUID, int] = {}
        for partition in self.messages:
            for message in partition:
                if message.event is not None:
                    event = message.event
                    known = versions.get(event.stream_id, 0)
                    assert event.stream_version <= known + 1, "a stream's event came before its predecessor"
                    versions[event.stream_id] = max(known, event.stream_version)

    def assert_chained(self) -> None:
        """Every event names the one before it, and each partition ends with all of them in order."""
        for number, partition in enumerate(self.messages):
            events = sorted({m.position for m in partition if m.event is not None})
            before = dict(zip(events, [0, *events], strict=False))
            last_at: dict[int, int] = {}
            for index, message in enumerate(partition):
                if message.event is not None:
                    assert message.event.shard % len(self.messages) == number
                    assert message.event.shard == shard_of(message.event.stream_id)
                    assert message.prev == before[message.position]
                    last_at[message.position] = index
            assert sorted(last_at, key=last_at.__getitem__) == events

    def assert_heard(self) -> None:
        """Who drops what it has had, as projectors do, hears every event in order and misses none. A leader that
        stood still in a batch says the rest of it when it wakes, after what is newer by then."""
        for partition in self.messages:
            heard = list(classify(0, partition))
            assert not [step for step in heard if isinstance(step, Gap)]
            events = [step.position for step in heard if isinstance(step, Message) and step.event is not None]
            assert events == sorted({m.position for m in partition if m.event is not None})


async def read_topic(settings: Settings, *, until_position: int, partitions: int | None = None) -> Seen:
    """Reads from the beginning until every event to `until_position` was seen, and to the ends as they are then."""
    seen = Seen(partitions or settings.kafka_partitions)
    wanted = set(range(1, until_position + 1))

    async def enough() -> bool:
        for partition in seen.messages:
            partition.clear()
        try:
            await _read_to_ends(settings, seen)
        except (KafkaError, OSError, TimeoutError):
            return False
        return wanted <= seen.positions

    await until(enough, f"all of {until_position} events on the topic")
    return seen


async def _read_to_ends(settings: Settings, seen: Seen) -> None:
    keys = MessageKeys.of(settings)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, enable_auto_commit=False, request_timeout_ms=5000
    )
    try:
        async with asyncio.timeout(20):
            await consumer.start()
            everything = [TopicPartition(settings.kafka_topic, number) for number in range(len(seen.messages))]
            consumer.assign(everything)
            ends = await consumer.end_offsets(everything)
            begins = await consumer.beginning_offsets(everything)
            for partition in everything:
                consumer.seek(partition, begins[partition])
            left = {partition for partition in everything if begins[partition] < ends[partition]}
            while left:
                for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                    for record in records:
                        attributes = keys.verify(
                            settings.kafka_topic,
                            partition.partition,
                            key=record.key,
                            value=record.value,
                            headers=record.headers,
                        )
                        seen.messages[partition.partition].append(from_message(record.value, attributes))
                    if records[-1].offset + 1 >= ends[partition]:
                        left.discard(partition)
    finally:
        await asyncio.wait_for(consumer.stop(), 5)


async def delete_topic(settings: Settings) -> None:
    async with _Admin(settings) as admin:
        await admin.delete_topics([settings.kafka_topic])


async def make_topic(settings: Settings, partitions: int) -> None:
    async with _Admin(settings) as admin:
        await admin.create_topics([NewTopic(settings.kafka_topic, partitions, 1)])


class _Admin:
    def __init__(self, settings: Settings) -> None:
        self._client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


class RelayProcess:
    """`taskflow relay` as an operator starts it."""

    def __init__(self, env: Mapping[str, str], log: Path, argv: Sequence[str] = ("relay",)) -> None:
        self._output = log.open("ab")
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "taskflow", *argv],
            env=dict(env),
            stdout=self._output,
            stderr=self._output,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self, number: int = signal.SIGKILL) -> int:
        """Sends a signal and waits; the return code."""
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(number)
        code = self.process.wait(BOUND_S)
        self._output.close()
        return code
