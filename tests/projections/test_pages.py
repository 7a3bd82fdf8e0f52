"""Pages in memory: never older than the checkpoints that are known, and read again only where something moved."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from taskflow.errors import Unavailable
from taskflow.ids import new_id
from taskflow.projections.declarations.tasks import board_key
from taskflow.projections.invalidation_versions import bucket
from taskflow.readmodels.freshness import Freshness, open_freshness
from taskflow.readmodels.pages import PageKey, Pages
from taskflow.readmodels.queries import TaskFilter, Views
from taskflow.settings import Settings
from taskflow.streams import TASK
from taskflow.streams.task import TaskMoved, TaskPurged, TaskTrashed
from tests.projections.test_freshness import ring_of
from tests.projections.world import World, until

MUCH = 10_000_000


def of(project: UUID, sort: str = "created_at") -> PageKey:
    return PageKey(TaskFilter(projects=frozenset({project})), sort, 200, None)


async def fresh(world: World, settings: Settings, freshness: Freshness, position: int) -> None:
    """Lets the freshness know of the whole log, and waits for it."""
    freshness._recent_positions = await ring_of(world)
    await freshness.wait(["tasks"], position, timeout_s=60)


async def test_a_page_is_what_the_view_holds_whatever_happened_in_between(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(200)
    views = Views(world.database)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        pages = Pages(views, freshness, bytes_max=MUCH)
        for _ in range(12):
            await fresh(world, settings, freshness, position)
            for project in world.story.projects:
                for sort in ("created_at", "-updated_at"):
                    kept = await pages.get(of(project, sort))
                    assert kept == await views.tasks(of(project).filter, sort=sort, limit=200, cursor=None)
                    assert kept.assignees == {task.assignee_id for task in kept.tasks} - {None}
            position = await world.tell(40)
        assert pages.hits > 0
        assert pages.misses > 0


async def test_a_task_is_what_the_view_holds_whatever_happened_in_between(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(200)
    views = Views(world.database)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        pages = Pages(views, freshness, bytes_max=MUCH)
        found: set[bool] = set()
        for _ in range(12):
            await fresh(world, settings, freshness, position)
            for task_id in world.story.tasks:
                for _again in range(2):
                    kept = await pages.task(task_id)
                    assert (None if kept is None else kept.task) == await views.task(task_id)
                    found.add(kept is not None)
            position = await world.tell(40)
        assert True in found
        assert pages.hits > 0
        assert await pages.task(new_id()) is None


async def test_a_task_that_moved_or_was_purged_is_not_served_as_it_was(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(200)
    story = world.story
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        pages = Pages(Views(world.database), freshness, bytes_max=MUCH)
        await fresh(world, settings, freshness, position)
        moved, purged = list(story.tasks)[:2]
        before = await pages.task(moved)
        assert before is not None
        assert await pages.task(purged) is not None
        other = next(one for one in story.projects if one != before.task.project_id)
        for event, task_id in (
            (TaskMoved(before.task.project_id, other, "todo", "todo", "r5"), moved),
            (TaskTrashed(), purged),
            (TaskPurged(), purged),
        ):
            position = await world.append([story.step(TASK, task_id, event)])
        await fresh(world, settings, freshness, position)
        after = await pages.task(moved)
        assert after is not None
        assert after.task.project_id == other
        assert await pages.task(purged) is None


async def test_a_task_is_in_memory_until_something_happens_in_its_project(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(300)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        pages = Pages(Views(world.database), freshness, bytes_max=MUCH)
        await fresh(world, settings, freshness, position)
        before = {task_id: await pages.task(task_id) for task_id in world.story.tasks}
        there = {task_id: kept for task_id, kept in before.items() if kept is not None}
        assert [await pages.task(task_id) for task_id in there] == list(there.values())
        changed = next(iter(there))
        position = await world.append([world.story.change_task(changed) for _ in range(3)])
        await fresh(world, settings, freshness, position)
        here = await Views(world.database).task(changed)
        assert here is not None
        moved = {bucket(board_key(one)) for one in (here.project_id, there[changed].task.project_id)}
        for task_id, kept in there.items():
            after = await pages.task(task_id)
            assert (after is not kept) == (bucket(board_key(kept.task.project_id)) in moved)


async def test_what_happens_in_another_project_leaves_a_page_where_it_is(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(300)
    tasks = {task: project for project in world.story.projects for task in await _tasks(world, project)}
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        pages = Pages(Views(world.database), freshness, bytes_max=MUCH)
        await fresh(world, settings, freshness, position)
        kept = {project: await pages.get(of(project)) for project in world.story.projects}
        moved = next(iter(world.story.tasks))
        position = await world.append([world.story.change_task(moved) for _ in range(3)])
        await fresh(world, settings, freshness, position)
        here = await Views(world.database).task(moved)
        assert here is not None
        shared = {bucket(board_key(here.project_id)), bucket(board_key(tasks.get(moved, here.project_id)))}
        for project, before in kept.items():
            after = await pages.get(of(project))
            assert (after is not before) == (bucket(board_key(project)) in shared)


async def _tasks(world: World, project: UUID) -> list[UUID]:
    page = await Views(world.database).tasks(of(project).filter, sort="created_at", limit=200, cursor=None)
    return [task.id for task in page.tasks]


async def test_many_who_ask_at_once_cost_one_reading(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(100)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await fresh(world, settings, freshness, position)
        pages = Pages(Views(world.database), freshness, bytes_max=MUCH)
        asking = [asyncio.create_task(pages.get(of(world.story.projects[0]))) for _ in range(50)]
        await asyncio.sleep(0)
        asking[0].cancel()
        found = await asyncio.gather(*asking[1:])
        assert all(one is found[0] for one in found)


async def test_memory_is_bounded_and_the_oldest_goes_first(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    position = await world.tell(300)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await fresh(world, settings, freshness, position)
        pages = Pages(Views(world.database), freshness, bytes_max=1)
        for project in world.story.projects:
            await pages.get(of(project))
            await pages.get(of(project))
        assert (pages.hits, pages.misses) == (0, 2 * len(world.story.projects))
        pages = Pages(Views(world.database), freshness, bytes_max=26_000)
        for project in world.story.projects:
            await pages.get(of(project))
            assert pages._kept.weight <= 19_500
        for task_id in world.story.tasks:
            await pages.task(task_id)
            assert pages._tasks.weight <= 6_500
        assert len(pages._tasks) > 0
        pages.hits, pages.misses = 0, len(world.story.projects)
        await pages.get(of(world.story.projects[-1]))
        await pages.get(of(world.story.projects[0]))
        assert (pages.hits, pages.misses) == (1, len(world.story.projects) + 1)


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_a_page_is_served_for_as_long_as_the_view_was_seen_a_moment_ago(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], server: Any, how: str
) -> None:
    position = await world.tell(100)
    async with open_freshness(world.database, await ring_of(world), 1, settings) as freshness:
        await fresh(world, settings, freshness, position)
        pages = Pages(Views(world.database), freshness, bytes_max=MUCH)
        wanted = of(world.story.projects[0])
        before = await pages.get(wanted)
        task_id = before.tasks[0].id
        task = await pages.task(task_id)
        getattr(server("mongodb"), how)()
        seen = _seen(freshness, world)
        while await seen():
            assert await pages.get(wanted) is before
            assert await pages.task(task_id) is task
            await asyncio.sleep(0.05)
        with pytest.raises(Unavailable):
            await pages.get(wanted)
        with pytest.raises(Unavailable):
            await pages.task(task_id)
        server("mongodb").resume() if how == "pause" else server("mongodb").start()
        await until(_seen(freshness, world), "it is seen again")
        assert await pages.get(wanted) == before


def _seen(freshness: Freshness, world: World) -> Any:
    async def seen() -> bool:
        return freshness.bucket_version("tasks", board_key(world.story.projects[0])) is not None

    return seen
