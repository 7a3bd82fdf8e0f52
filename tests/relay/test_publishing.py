"""What is appended arrives on the topic, in order, with its chain, and watermarks tell of the rest."""

from __future__ import annotations

import asyncio

import asyncpg
from msgspec.structs import replace

from taskflow.kafka.topics import current_generation
from taskflow.relay import status
from taskflow.settings import Settings
from tests.relay.world import Writer, read_topic, until


async def test_every_event_arrives_in_stream_order(
    settings: Settings, writer: Writer, relay: asyncio.Task[None], pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    await writer.write(5)
    await asyncio.gather(*[writer.write(300) for _ in range(20)])
    seen = await read_topic(settings, until_position=writer.position)
    seen.assert_sound()
    assert seen.positions == set(range(1, 6006))
    stored = await pool.fetch("select position, event_id, stream_version, recorded_at, data from events")
    arrived = {m.position: m.event for partition in seen.messages for m in partition if m.event is not None}
    for row in stored:
        event = arrived[row["position"]]
        assert (event.event_id.int, event.stream_version) == (row["event_id"].int, row["stream_version"])
        assert (event.recorded_at, event.data) == (row["recorded_at"], row["data"])


async def test_batches_that_are_bounded_in_bytes_leave_nothing_out(
    settings: Settings, writer: Writer, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    last = await writer.write(120)
    bytes_max = 3 * await pool.fetchval("select max(octet_length(data)) from events")
    relay = asyncio.create_task(_run(replace(settings, relay_batch_bytes_max=bytes_max)))
    try:
        seen = await read_topic(settings, until_position=last)
    finally:
        relay.cancel()
        await asyncio.wait([relay])
    seen.assert_sound()
    assert seen.positions == set(range(1, last + 1))


async def test_watermarks_reach_every_partition_when_nothing_moves(
    settings: Settings, writer: Writer, relay: asyncio.Task[None]
) -> None:
    last = await writer.write(1)  # on one partition only

    async def told() -> bool:
        seen = await read_topic(settings, until_position=last)
        marks = [seen.watermarks(partition) for partition in range(settings.kafka_partitions)]
        return all(len([mark for mark in of if mark.position == last]) > 1 for of in marks)

    await until(told, "two watermarks at the head on each partition")
    seen = await read_topic(settings, until_position=last)
    for number, partition in enumerate(seen.messages):
        holds = any(message.event is not None for message in partition)
        assert seen.watermarks(number)[-1].prev == (last if holds else 0)


async def test_an_empty_log_has_watermarks_too(settings: Settings, relay: asyncio.Task[None]) -> None:
    async def told() -> bool:
        seen = await read_topic(settings, until_position=0)
        return all(seen.watermarks(partition) for partition in range(settings.kafka_partitions))

    await until(told, "a watermark on each partition")


async def test_a_new_relay_knows_the_last_event_of_partitions_that_its_progress_does_not(
    settings: Settings, writer: Writer, relay: asyncio.Task[None], pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    first = await writer.write(50)
    await read_topic(settings, until_position=first)
    relay.cancel()
    await asyncio.wait([relay])
    await pool.execute("update relay set last_positions[2] = null, end_offsets = null")
    again = asyncio.create_task(_run(settings))
    try:
        last = await writer.write(50)
        (await read_topic(settings, until_position=last)).assert_sound()
    finally:
        again.cancel()
        await asyncio.wait([again])


async def _run(settings: Settings) -> None:
    from taskflow.relay import process

    await process.run(settings)


async def test_the_first_generation_is_made_once(settings: Settings, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    made = await asyncio.gather(*[current_generation(pool, settings) for _ in range(10)])
    assert {one.number for one in made} == {1}
    assert {(one.topic, one.partitions) for one in made} == {(settings.kafka_topic, settings.kafka_partitions)}


async def test_the_status_tells_who_leads_and_how_far(
    settings: Settings, writer: Writer, relay: asyncio.Task[None], pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    last = await writer.write(100)

    async def there() -> bool:
        now = await status.read(pool)
        return now.leader is not None and now.position == last and now.idle_s is not None

    await until(there, "a leader at the head")
    now = await status.read(pool)
    assert (now.lag_events, now.lag_s, now.fault) == (0, 0, None)
    relay.cancel()
    await asyncio.wait([relay])
    await writer.write(10)
    now = await status.read(pool)
    assert now.leader is None
    assert now.lag_events == 10
    assert now.lag_s > 0
