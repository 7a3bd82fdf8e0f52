"""Every look into the store goes by an index, also in sessions that began while its tables were empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from taskflow.ids import new_id
from taskflow.store.append_group import Writer, arguments
from taskflow.store.historical_tasks import STREAMS, tasks_ever_in
from taskflow.store.time_travel import PointInTime, state_at
from taskflow.streams import TASK
from tests.store.test_append import append

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

GROUPS = 12
"""More than the five executions after which PostgreSQL keeps a plan."""
READ = "select relname, seq_tup_read from pg_stat_user_tables where relname in ('streams', 'receipts') or relname ~ '^events'"


async def test_appending_never_reads_a_whole_table(settings: Settings, store: EventStore) -> None:
    writer = Writer(settings, 1)
    for _ in range(GROUPS):
        streams = [new_id() for _ in range(20)]
        await writer.send(arguments([append((stream, 0)) for stream in streams]))
        await writer.send(arguments([append((stream, 1)) for stream in streams]))
        await writer.send(arguments([replace(append((streams[0], 2)), families=(streams[0],))]))
    assert writer._connection is not None
    await writer._connection.execute("select pg_stat_force_next_flush()")
    writer.drop()
    found = {row["relname"]: row["seq_tup_read"] for row in await store.pool.fetch(READ)}
    assert set(found.values()) == {0}, found


async def test_reading_never_reads_a_whole_table(store: EventStore) -> None:
    streams = [new_id() for _ in range(20)]
    for version in range(GROUPS):
        for stream in streams:
            await store.committer.submit(append((stream, version)))
        async with store.pool.acquire() as connection:
            for stream in streams:
                await store.log.stream(stream)
                await store.accepted(stream, [new_id()])
                await store.receipts([(stream, new_id())])
                await store.children([stream], limit=10)
                await store.streams_of(stream, new_id(), "TaskMoved")
                await state_at(store, TASK, stream, PointInTime("position", 0))
            await store.log.read(0, limit=10)
            await store.log.ranges([(one, one + 1) for one in range(1, 20)])
            await store.log.streams(dict.fromkeys(streams, version + 1), events_max=10, bytes_max=1_000_000)
            await store.log.last_positions(range(8), to=1_000)
            moment = PointInTime("position", 1_000)
            placed = await tasks_ever_in(store, streams[0], moment, limit=10)
            assert placed == []
            await store.pool.fetch(STREAMS, streams, 1, 1_000, streams[0], 0, 10, 1_000)
            for stream in streams:
                await store.log.headers(stream, limit=10)
                await store.log.bytes_of(stream, after=0, to=10)
                await store.log.positions(stream, [1])
            await connection.execute("select pg_stat_force_next_flush()")
    for connection in [await store.pool.acquire() for _ in range(store.pool.get_size())]:
        await connection.execute("select pg_stat_force_next_flush()")
        await store.pool.release(connection)
    found = {row["relname"]: row["seq_tup_read"] for row in await store.pool.fetch(READ)}
    assert set(found.values()) == {0}, found


async def test_ranges_and_streams_are_read_without_the_events_between_them(store: EventStore) -> None:
    streams = [new_id() for _ in range(400)]
    for stream in streams:
        store.committer.submit(append((stream, 0)))
    await store.committer.submit(append((streams[0], 1)))
    await store.pool.execute("analyze")
    head = (await store.log.head()).position
    some = list(range(head - 300, head, 10))

    async def looked_at() -> int:
        for connection in [await store.pool.acquire() for _ in range(store.pool.get_size())]:
            await connection.execute("select pg_stat_force_next_flush()")
            await store.pool.release(connection)
        found: int = await store.pool.fetchval(
            "select sum(idx_tup_read) from pg_stat_user_indexes where relname ~ '^events'"
        )
        return found

    before = await looked_at()
    for _ in range(GROUPS):
        events = await store.log.ranges([(position, position) for position in some])
        assert [event.position for event in events] == some
    assert await looked_at() - before <= GROUPS * len(some)
    before = await looked_at()
    for _ in range(GROUPS):
        found = await store.log.streams(dict.fromkeys(streams[:30], 5), events_max=10, bytes_max=10**6)
        assert [len(events) for events in found.values()] == [2] + [1] * 29
    assert await looked_at() - before <= GROUPS * 31
