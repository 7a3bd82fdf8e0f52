"""One leads; whoever was slow to notice that it does not any more saves nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import asyncpg
import pytest

from taskflow.errors import EpochChanged, LeaseLost
from taskflow.kafka.topics import current_generation
from taskflow.relay import process, progress, status
from taskflow.relay.progress import Progress
from taskflow.settings import Settings
from taskflow.store.lease import Lease
from tests.relay.world import RelayProcess, Writer, read_topic, until

Start = Callable[[], RelayProcess]


async def _leader(pool: asyncpg.Pool[asyncpg.Record]) -> int | None:
    """The process id of the leader."""
    leader = (await status.read(pool)).leader
    return None if leader is None else int(leader.split(":")[1])


async def _led_by_one_of(
    pool: asyncpg.Pool[asyncpg.Record], *relays: RelayProcess
) -> tuple[RelayProcess, list[RelayProcess]]:
    """The leader and the others, once one has published."""

    async def leads() -> bool:
        return await _leader(pool) is not None and (await status.read(pool)).idle_s is not None

    await until(leads, "a leader")
    pid = await _leader(pool)
    return next(r for r in relays if r.pid == pid), [r for r in relays if r.pid != pid]


async def _expire(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    await pool.execute("update relay set expires_at = '-infinity'")


async def test_of_many_that_want_the_lease_one_has_it(pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
    asked = await asyncio.gather(*[Lease.acquire(pool, settings, f"host:{n}:x") for n in range(20)])
    assert len([lease for lease in asked if lease is not None]) == 1


async def test_a_lease_that_was_taken_over_cannot_move_progress(
    pool: asyncpg.Pool[asyncpg.Record], settings: Settings
) -> None:
    generation = await current_generation(pool, settings)
    first = await Lease.acquire(pool, settings, "host:1:x")
    await _expire(pool)
    second = await Lease.acquire(pool, settings, "host:2:x")
    assert first is not None
    assert second is not None
    assert second.fence == first.fence + 1
    ours = Progress(position=100, last=[100, 99, 98, 97], ends=[1, 2, 3, 4])
    await progress.save(pool, generation, second.fence, ours)
    theirs = Progress(position=50, last=[50, 49, 48, 47], ends=[1, 1, 1, 1])
    with pytest.raises(LeaseLost):
        await progress.save(pool, generation, first.fence, theirs)
    await first.release()
    now = await status.read(pool)
    assert (now.position, now.leader) == (100, "host:2:x")


async def test_a_keeper_notices_that_its_lease_was_taken_over(
    pool: asyncpg.Pool[asyncpg.Record], settings: Settings
) -> None:
    first = await Lease.acquire(pool, settings, "host:1:x")
    assert first is not None
    await _expire(pool)
    await Lease.acquire(pool, settings, "host:2:x")
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(first.keep(), 30)


async def test_kill_9_in_the_middle_of_the_stream_loses_nothing(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, start_relay: Start
) -> None:
    stop = asyncio.Event()
    writing = asyncio.create_task(writer.write_on(stop, events_max=200_000))
    for _ in range(3):
        relay = start_relay()
        begun = (await status.read(pool)).position

        async def moved(begun: int = begun) -> bool:
            return (await status.read(pool)).position > begun

        await until(moved, "the relay publishes")
        relay.end(signal.SIGKILL)
    stop.set()
    await writing
    start_relay()
    (await read_topic(settings, until_position=writer.position)).assert_sound()


async def test_a_standby_takes_over_from_a_killed_leader(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, start_relay: Start
) -> None:
    leader, (standby,) = await _led_by_one_of(pool, start_relay(), start_relay())
    first = await writer.write(100)
    await read_topic(settings, until_position=first)
    leader.end(signal.SIGKILL)
    last = await writer.write(100)

    async def taken_over() -> bool:
        return await _leader(pool) == standby.pid and (await status.read(pool)).position == last

    await until(taken_over, "the standby leads and has published", within_s=15)
    (await read_topic(settings, until_position=last)).assert_sound()


async def test_a_leader_that_is_told_to_stop_hands_over_at_once(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], start_relay: Start
) -> None:
    leader, (standby,) = await _led_by_one_of(pool, start_relay(), start_relay())
    assert leader.end(signal.SIGTERM) == 0

    async def taken_over() -> bool:
        return await _leader(pool) == standby.pid

    await until(taken_over, "the standby leads")


async def test_a_stopped_leader_that_wakes_up_does_no_harm(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, start_relay: Start
) -> None:
    leader, (standby,) = await _led_by_one_of(pool, start_relay(), start_relay())
    stop = asyncio.Event()
    writing = asyncio.create_task(writer.write_on(stop, events_max=200_000))

    async def publishes() -> bool:
        return (await status.read(pool)).position > 500

    await until(publishes, "the leader publishes")
    leader.send(signal.SIGSTOP)

    async def taken_over() -> bool:
        return await _leader(pool) == standby.pid

    await until(taken_over, "the standby leads")
    fence = (await status.read(pool)).fence
    stop.set()
    await writing
    await read_topic(settings, until_position=writer.position)

    async def saved() -> bool:
        return (await status.read(pool)).position == writer.position

    await until(saved, "what is on the topic is saved as published")
    leader.send(signal.SIGCONT)

    async def gave_up() -> bool:
        assert (await status.read(pool)).position == writer.position
        return "leadership ended" in leader.log.read_text()

    await until(gave_up, "the woken relay notices")
    now = await status.read(pool)
    assert (now.fence, now.position) == (fence, writer.position)
    assert await _leader(pool) == standby.pid
    last = await writer.write(100)
    (await read_topic(settings, until_position=last)).assert_heard()


@pytest.mark.parametrize("change", ["system_id = system_id + 1", "timeline = timeline + 1"])
async def test_a_server_that_is_not_the_logs_own_is_not_tailed(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], change: str
) -> None:
    await pool.execute(f"update log_meta set {change}")
    with pytest.raises(EpochChanged):
        await asyncio.wait_for(process.run(settings), 30)
    assert "epoch" in ((await status.read(pool)).fault or "")


async def test_a_leader_stops_when_the_epoch_changes(
    settings: Settings, pool: asyncpg.Pool[asyncpg.Record], writer: Writer, relay: asyncio.Task[None]
) -> None:
    await read_topic(settings, until_position=await writer.write(10))
    await pool.execute("update log_meta set epoch = epoch + 1")
    with pytest.raises(EpochChanged):
        await asyncio.wait_for(asyncio.shield(relay), 30)
