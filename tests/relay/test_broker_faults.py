"""Whatever the broker does, everything is on the topic in the end, and writes never waited for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from taskflow.errors import TopicMismatch
from taskflow.kafka.message import Message
from taskflow.relay import process, status
from taskflow.settings import Settings
from tests.relay.world import Writer, delete_topic, make_topic, read_topic, until


async def _caught_up(pool: asyncpg.Pool[asyncpg.Record], position: int) -> None:
    async def there() -> bool:
        now = await status.read(pool)
        return now.position >= position and now.leader is not None

    await until(there, f"the relay at {position}")


async def test_a_broker_that_is_killed_under_load(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None], server: Any
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(writer.write_on(stop, events_max=200_000))
    for target in (1_000, 3_000):
        await _caught_up(pool, target)
        await asyncio.to_thread(server("kafka").kill)
        begun = writer.position

        async def writes_go_on(begun: int = begun) -> bool:
            return writer.position > begun + 200

        await until(writes_go_on, "writes while the broker is away")
        await asyncio.to_thread(server("kafka").start)
        await _caught_up(pool, begun)
    stop.set()
    await writing
    (await read_topic(settings, until_position=writer.position)).assert_sound()


async def test_a_broker_that_is_away_for_a_while_and_one_that_only_hangs(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, server: Any
) -> None:
    impatient = replace(settings, kafka_request_timeout_ms=1_500)
    relay = asyncio.create_task(process.run(impatient))
    try:
        await _caught_up(pool, await writer.write(500))
        server("kafka").pause()
        fence = (await status.read(pool)).fence
        await writer.write(500)

        async def gave_up() -> bool:
            return (await status.read(pool)).fence > fence + 1

        await until(gave_up, "terms end while the broker hangs")
        server("kafka").resume()
        await _caught_up(pool, writer.position)
        await asyncio.to_thread(server("kafka").stop)
        fence = (await status.read(pool)).fence
        await writer.write(500)
        await until(gave_up, "terms end while the broker is away")
        await asyncio.to_thread(server("kafka").start)
        await _caught_up(pool, writer.position)
        (await read_topic(settings, until_position=writer.position)).assert_sound()
    finally:
        relay.cancel()
        await asyncio.wait([relay])


async def test_a_deleted_topic_is_made_again_and_filled_while_nothing_is_written(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    last = await writer.write(2_000)
    await _caught_up(pool, last)
    await delete_topic(settings)
    (await read_topic(settings, until_position=last)).assert_sound()


async def test_a_topic_that_an_operator_made_again_is_filled(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    last = await writer.write(2_000)
    await _caught_up(pool, last)
    await _make_again(settings, settings.kafka_partitions)
    (await read_topic(settings, until_position=last)).assert_sound()


async def test_a_topic_that_was_made_again_under_load_is_filled(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(writer.write_on(stop, events_max=200_000))
    await _caught_up(pool, 1_000)
    await _make_again(settings, settings.kafka_partitions)
    await _caught_up(pool, writer.position + 500)
    stop.set()
    await writing
    await _caught_up(pool, writer.position)
    # aiokafka knows no topic ids: what was in flight is the first in the new topic. The chain tells.
    (await read_topic(settings, until_position=writer.position)).assert_chained()


async def test_a_topic_that_was_wiped_while_no_relay_ran_is_filled(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    last = await writer.write(500)
    await _caught_up(pool, last)
    relay.cancel()
    await asyncio.wait([relay])
    await delete_topic(settings)
    again = asyncio.create_task(process.run(settings))
    try:
        (await read_topic(settings, until_position=last)).assert_sound()
    finally:
        again.cancel()
        await asyncio.wait([again])


async def test_a_topic_with_another_partition_count_is_refused(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    await _caught_up(pool, await writer.write(100))
    await _make_again(settings, settings.kafka_partitions + 3)
    with pytest.raises(TopicMismatch, match=r"expected 4 partitions, found 7"):
        await asyncio.wait_for(asyncio.shield(relay), 60)
    now = await status.read(pool)
    assert now.leader is None
    assert now.fault is not None
    assert "found 7" in now.fault
    with pytest.raises(TopicMismatch):
        await asyncio.wait_for(process.run(settings), 60)
    await delete_topic(settings)
    again = asyncio.create_task(process.run(settings))
    try:
        (await read_topic(settings, until_position=100)).assert_sound()
        assert (await status.read(pool)).fault is None
    finally:
        again.cancel()
        await asyncio.wait([again])


async def test_a_tail_that_the_broker_lost_is_published_again_while_nothing_is_written(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None], server: Any
) -> None:
    for _ in range(20):
        await _caught_up(pool, await writer.write(100))
    last = writer.position
    await asyncio.to_thread(server("kafka").kill)
    _cut(settings, partition=1, keep=0.5)
    await asyncio.to_thread(server("kafka").start)
    # Nothing is written: only the relay can notice.

    seen = await read_topic(settings, until_position=last)
    seen.assert_sound()
    repeated = {number for number in range(4) if seen.repeats(number)}
    assert repeated == {1}, "what was kept is published again, and only on the partition that lost its tail"


async def test_readers_are_told_of_the_head_while_old_events_are_published_again(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    await _caught_up(pool, await writer.write(1_000))
    relay.cancel()
    await asyncio.wait([relay])
    await delete_topic(settings)
    last = await writer.write(1_000)
    again = asyncio.create_task(process.run(replace(settings, relay_batch_max=100)))
    try:
        seen = await read_topic(settings, until_position=last)
        for partition in seen.messages:
            first = next(message for message in partition if message.event is None)
            assert (first.position, first.prev) == (last, partition_last(partition))
            assert any(m.position > 100 for m in partition[partition.index(first) :] if m.event is not None)
    finally:
        again.cancel()
        await asyncio.wait([again])


def partition_last(partition: list[Message]) -> int:
    return max(message.position for message in partition if message.event is not None)


async def test_only_what_retention_would_hold_is_published_again(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    last = await writer.write(1_000)
    await _caught_up(pool, last)
    relay.cancel()
    await asyncio.wait([relay])
    await pool.execute("update events set recorded_at = recorded_at - interval '30 days' where position <= 600")
    await delete_topic(settings)
    again = asyncio.create_task(process.run(settings))
    try:
        await _caught_up(pool, last)

        async def all_there() -> bool:
            try:
                seen = await read_topic(settings, until_position=0)
            except KafkaError:
                return False
            return seen.positions == set(range(601, 1_001))

        await until(all_there, "the retained events")
        seen = await read_topic(settings, until_position=0)
        rows = await pool.fetch(
            "select position, lag(position, 1, 0) over (partition by shard % 4 order by position) as prev from events"
        )
        prev = {row["position"]: row["prev"] for row in rows}
        assert all(m.prev == prev[m.position] for of in seen.messages for m in of if m.event is not None)
    finally:
        again.cancel()
        await asyncio.wait([again])


async def test_a_restarted_event_store_is_tailed_again(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None], server: Any
) -> None:
    await _caught_up(pool, await writer.write(100))
    await asyncio.to_thread(server("postgres").kill)
    await asyncio.to_thread(server("postgres").start)

    async def written() -> bool:
        try:
            await writer.write(100)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    await until(written, "PostgreSQL is back")
    await _caught_up(pool, writer.position)
    await read_topic(settings, until_position=writer.position)


def _cut(settings: Settings, *, partition: int, keep: float) -> None:
    """Cuts the end off a partition's segment, as a machine that lost power before the disk had it."""
    folder = Path(settings.data_dir) / "kafka" / "logs" / f"{settings.kafka_topic}-{partition}"
    (segment,) = folder.glob("*.log")
    size = segment.stat().st_size
    assert size > 0
    with segment.open("r+b") as file:
        file.truncate(int(size * keep))


async def _make_again(settings: Settings, partitions: int) -> None:
    await delete_topic(settings)
    await make_topic(settings, partitions)
