"""Freshness: a read waits for what it depends on, is woken, or is told in time that the view is behind."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from taskflow.errors import Behind, Unavailable
from taskflow.follower.recent_positions import RecentPositions
from taskflow.ids import shard_of
from taskflow.projections import process as projections
from taskflow.projections.declarations.tasks import TASKS
from taskflow.readmodels.freshness import open_freshness
from taskflow.readmodels.mongo_breaker import UNANSWERED_S_MAX
from taskflow.settings import Settings
from taskflow.streams import STREAM_TYPE_OF_EVENT
from tests.projections.conftest import Start
from tests.projections.world import World, until


async def ring_of(world: World) -> RecentPositions:
    """What a log follower knows that has seen the whole log."""
    recent_positions = RecentPositions(4, positions_max=100_000)
    for event in await world.store.log.read(0, limit=1_000_000):
        recent_positions.add(
            event.position,
            event.shard,
            STREAM_TYPE_OF_EVENT[event.type].name if event.type in STREAM_TYPE_OF_EVENT else "task",
        )
    return recent_positions


async def test_a_waiting_read_is_woken_and_then_finds_what_it_waited_for(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    position = await world.tell(400)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        waiting = [asyncio.create_task(freshness.wait([view], position, timeout_s=60)) for view in ("tasks", "users")]
        waiting.append(asyncio.create_task(freshness.wait(["projects", "tasks"], position, timeout_s=60)))
        start(projections.run(settings))
        await asyncio.gather(*waiting)
        await world.assert_fold()
        assert freshness.position(["tasks", "users", "projects"]) >= position


async def test_a_view_that_is_behind_says_so_and_how_far_it_is(settings: Settings, world: World) -> None:
    position = await world.tell(50)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        with pytest.raises(Behind) as refused:
            await freshness.wait(["tasks"], position, timeout_s=0.2)
        assert (refused.value.wanted, refused.value.found) == (position, freshness.position(["tasks"]))
        assert refused.value.found < position


async def test_a_view_that_was_dropped_does_not_pass_for_fresh_once_its_documents_were_read(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    position = await world.tell(50)
    projector = start(projections.run(settings))
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await freshness.wait(["tasks"], position, timeout_s=60)
        await freshness.confirm([("tasks", None)], position, timeout_s=60)
        projector.cancel()
        await asyncio.wait([projector])
        await world.database.client.drop_database(world.database.name)
        with pytest.raises(Behind):
            await freshness.confirm([("tasks", None)], position, timeout_s=60)
        start(projections.run(settings))
        await freshness.wait(["tasks"], position, timeout_s=60)
        await freshness.confirm([("tasks", None)], position, timeout_s=60)


async def test_a_database_that_hangs_makes_nobody_wait_longer(settings: Settings, world: World, server: Any) -> None:
    position = await world.tell(50)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        server("mongodb").pause()
        with pytest.raises((Behind, Unavailable)):
            await asyncio.wait_for(freshness.wait(["tasks"], position, timeout_s=0.3), 10)
        server("mongodb").resume()


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_who_waits_is_told_that_the_database_went_away(
    settings: Settings, world: World, server: Any, how: str
) -> None:
    """Much sooner than they would wait for a view that is only behind: some can be answered from elsewhere."""
    position = await world.tell(50)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await freshness.read_again()
        waiting = [
            asyncio.create_task(work)
            for work in (
                freshness.wait(["tasks"], position, timeout_s=600),
                freshness.wait(["tasks", "users"], position, timeout_s=600),
            )
        ]
        getattr(server("mongodb"), how)()
        for one in waiting:
            with pytest.raises(Unavailable):
                await asyncio.wait_for(one, 60)
        with pytest.raises(Unavailable):
            await freshness.read_again(timeout_s=600)


async def test_a_process_that_was_held_up_does_not_take_the_database_for_gone(settings: Settings, world: World) -> None:
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        for _ in range(5):
            looking = asyncio.create_task(freshness.read_again(timeout_s=60))
            for _ in range(3):
                await asyncio.sleep(0)  # the question is on its way
            time.sleep(UNANSWERED_S_MAX + 0.1)  # and nobody in this process is there for the answer
            await looking
            assert not freshness.breaker.away


async def test_partitions_without_an_event_cost_nothing(settings: Settings, world: World, start: Start) -> None:
    """One partition's checkpoint is enough where the others have nothing up to there."""
    steps = [world.story.user()]
    position = await world.append(steps)
    here = shard_of(steps[0].stream_id) % 4
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        others = [number for number in range(4) if number != here]
        await freshness.wait(["users"], position, timeout_s=5, partitions=others)
        with pytest.raises(Behind):
            await freshness.wait(["users"], position, timeout_s=0.1, partitions=[here])
        start(projections.run(settings, ["users"]))
        await freshness.wait(["users"], position, timeout_s=60)


async def test_the_checkpoints_and_parked_streams_of_another_version_or_attempt_do_not_count(
    settings: Settings, world: World
) -> None:
    position = await world.tell(50)
    key = {"projection": "tasks", "generation": 1, "halted": "elsewhere", "position": 10_000}
    for version, attempt in ((TASKS.version + 1, 1), (TASKS.version, 2)):
        await world.database["checkpoints"].insert_many(
            [key | {"version": version, "attempt": attempt, "partition": number} for number in range(4)]
        )
        await world.database["parked"].insert_one(
            {"collection": f"tasks_v{version}_a{attempt}", "stream_id": world.story.users[0], "position": 1}
        )
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        with pytest.raises(Behind):
            await freshness.wait(["tasks"], position, timeout_s=0.3)
        assert freshness.halted == {}
        assert freshness.parked == {}


async def test_silence_is_counted_from_the_slowest_partition(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        assert set((await freshness.silent_s()).values()) == {float("inf")}
        start(projections.run(settings))
        await world.reached(await world.tell(20))

        async def minded() -> bool:
            return max((await freshness.silent_s()).values()) < 10

        await until(minded, "every partition of every view was saved")


async def test_the_watcher_ends_at_once_whatever_it_was_doing(settings: Settings, world: World) -> None:
    """pymongo turns some cancellations into errors of its own, after which a loop would go on for ever."""
    dice = random.Random(7)
    recent_positions = await ring_of(world)
    async with asyncio.timeout(100):
        for _ in range(200):
            async with open_freshness(world.database, recent_positions, 1, settings):
                await asyncio.sleep(dice.random() * 0.004)
