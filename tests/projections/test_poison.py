"""Events that a view cannot apply: one stream waits, or one partition stands still, and the rest goes on."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.ids import shard_of
from taskflow.projections import process as projections
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.freshness import open_freshness
from taskflow.settings import Settings
from taskflow.streams import EVENT_TYPES, STREAM_TYPE_OF_EVENT, TASK
from taskflow.streams.task import TaskRestored
from tests.projections.conftest import Start
from tests.projections.test_freshness import ring_of
from tests.projections.world import World, until


async def _halted(world: World, view: str) -> dict[int, str]:
    return {at: one["halted"] for at, one in (await world.checkpoints(view)).items() if one["halted"]}


def _partition(stream_id: UUID) -> int:
    return shard_of(stream_id) % 4


class TaskExploded(TaskRestored, frozen=True):
    """What only a newer release knows."""


async def test_an_event_of_an_unknown_type_stops_its_partition_until_a_release_knows_it(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start(projections.run(settings))
    await world.reached(await world.tell(100))
    task = next(iter(world.story.tasks))
    bad = await world.append_raw(task, "TaskExploded", b"{}")
    here = _partition(task)
    last = await world.append([world.story.change_task(one) for one in list(world.story.tasks) * 3 if one != task])
    others = [number for number in range(4) if number != here]
    await world.reached(last, partitions=others)

    async def said() -> bool:
        return all([await _halted(world, view) for view in ("tasks", "users")])

    await until(said, "the checkpoints say so")
    for view in PROJECTIONS:
        assert "TaskExploded, unknown to this release" in (await _halted(world, view))[here]
        checkpoint = (await world.checkpoints(view))[here]
        assert checkpoint["position"] == bad - 1
        assert not await world.parked(view)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await until(lambda: _true(freshness.halted.keys() == PROJECTIONS.keys()), "red")
    # A restart of the same release stands still again; a newer one goes on, and has missed nothing.
    worker.cancel()
    worker = start(projections.run(settings))
    await world.reached(await world.tell(200), partitions=others)
    assert (await world.checkpoints("tasks"))[here]["position"] == bad - 1
    worker.cancel()
    await asyncio.wait([worker])
    monkeypatch.setitem(EVENT_TYPES, "TaskExploded", TaskExploded)
    monkeypatch.setitem(STREAM_TYPE_OF_EVENT, "TaskExploded", TASK)
    start(projections.run(settings))
    await world.reached(await world.tell(100))

    async def clear() -> bool:
        return not await _halted(world, "tasks")

    await until(clear, "nothing stands still")
    await world.assert_fold()


async def _true(holds: bool) -> bool:
    return holds


async def test_a_schema_version_of_a_newer_release_stops_the_partition_of_that_view_alone(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(100))
    task = next(iter(world.story.tasks))
    bad = await world.append_raw(task, "TaskRetitled", b'{"headline":"x"}', schema_version=9)

    async def said() -> bool:
        return _partition(task) in await _halted(world, "tasks")

    await until(said, "the checkpoint says so")
    assert (await world.checkpoints("tasks"))[_partition(task)]["position"] == bad - 1
    last = await world.append([world.story.change_user(user) for user in world.story.users])
    await world.reached(last, "users", "projects")
    assert not await _halted(world, "users")


@pytest.mark.parametrize("data", [b'{"titel":1}', b"no json", b"[1]", b'{"title":"\\ud800"}'])
async def test_poison_is_parked_and_the_rest_goes_on(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], data: bytes
) -> None:
    await world.reached(await world.tell(150))
    task = next(iter(world.story.tasks))
    version = world.story.versions[task] + 1
    position = await world.append_raw(task, "TaskRetitled", data)
    await world.append([world.story.change_task(task) for _ in range(5)])
    await world.reached(await world.tell(300))
    assert await world.parked("tasks") == {task: version}
    assert await world.parked("users") == {}
    await world.assert_fold(without={task: version})
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await until(lambda: _true(freshness.parked == {task: position}), "it is known to readers")
        assert not freshness.halted


async def test_a_parked_stream_stays_parked_when_another_worker_takes_over(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    worker = start(projections.run(settings))
    await world.reached(await world.tell(100))
    task = next(iter(world.story.tasks))
    version = world.story.versions[task] + 1
    await world.reached(await world.append_raw(task, "TaskDueSet", b'{"due":7}', schema_version=1))
    worker.cancel()
    await asyncio.wait([worker])
    start(projections.run(settings))
    await world.reached(await world.append([world.story.change_task(task) for _ in range(5)]))
    assert await world.parked("tasks") == {task: version}
    assert await world.database["parked"].count_documents({"projection": "tasks"}) == 1
    await world.assert_fold(without={task: version})


async def test_too_many_parked_streams_stop_the_partition_and_none_of_them_is_parked(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    few = replace(settings, parked_streams_max=2)
    worker = start(projections.run(few))
    await world.reached(await world.tell(400))
    here = [task for task in world.story.tasks if _partition(task) == 1]
    assert len(here) > 4
    poison = [(task, "TaskRetitled", b'{"titel":1}') for task in here[:4]]
    before = await world.append_many_raw(poison) - len(poison)
    last = await world.append([world.story.change_user(user) for user in world.story.users])

    async def said() -> bool:
        return 1 in await _halted(world, "tasks")

    await until(said, "the checkpoint says so")
    assert "4 streams would be parked" in (await _halted(world, "tasks"))[1]
    assert (await world.checkpoints("tasks"))[1]["position"] <= before
    assert await world.parked("tasks") == {}
    await world.reached(last, "users", "projects")
    await world.reached(last, partitions=[0, 2, 3])
    # Under a bound that allows them, they are parked and the partition goes on.
    worker.cancel()
    await asyncio.wait([worker])
    start(projections.run(settings))
    await world.reached(await world.tell(50))
    parked: dict[UUID, Any] = await world.parked("tasks")
    assert set(parked) == set(here[:4])
    await world.assert_fold("tasks", without=parked)
