"""What changed since a position is found by index, in order, whole, whatever the size of the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from taskflow.projections.declarations.tasks import TASKS
from taskflow.projections.mongo import Database
from taskflow.readmodels.change_feed import START, ChangedDocument, ChangeFeed, PageBounds, Place
from taskflow.readmodels.mongo_breaker import MongoBreaker
from tests.projections.test_queries import Asked, asked
from tests.projections.world import World

__all__ = ["asked"]

Read = Callable[[Place, int], Awaitable[list[ChangedDocument]]]

HUGE = 10**9


@pytest.fixture
def changed(asked: Asked) -> ChangeFeed:
    """On the connection whose reads are looked at."""
    return ChangeFeed(asked._database, MongoBreaker())


async def every(read: Read, limit: int) -> list[tuple[int, UUID]]:
    found: list[tuple[int, UUID]] = []
    after = START
    while True:
        page = await read(after, limit)
        assert len(page) <= limit
        found += [(one.place.position, one.place.id) for one in page]
        assert all(one.task is not None and one.task.id == one.place.id for one in page)
        if len(page) < limit:
            return found
        after = page[-1].place


async def expected(database: Database, query: dict[str, Any]) -> list[tuple[int, UUID]]:
    found = database[TASKS.collection].find(query, {"position": 1})
    return sorted([(one["position"], one["_id"]) async for one in found])


@pytest.mark.parametrize("limit", [1, 13, 1000])
@pytest.mark.parametrize("since", [0, 2_000])
async def test_tasks_that_changed(asked: Asked, changed: ChangeFeed, world: World, since: int, limit: int) -> None:
    projects = world.story.projects[:3]
    asked._commands.sent.clear()
    for trashed_since, trash in (
        (None, {"trashed": False}),
        (since, {}),
        (3_000, {"$or": [{"trashed": False}, {"position": {"$gt": 3_000}}]}),
    ):

        async def read(after: Place, count: int, trashed_since: int | None = trashed_since) -> list[ChangedDocument]:
            room = PageBounds(after, count, HUGE)
            return (await changed.tasks(projects, since=since, trashed_since=trashed_since, room=room)).items

        query = {"project_id": {"$in": projects}, "position": {"$gt": since}, **trash}
        wanted = await expected(world.database, query)
        assert len(wanted) > 10
        assert await every(read, limit) == wanted
    for plan in await asked.plans():
        assert plan.isdisjoint({"SORT", "COLLSCAN"}), plan


async def test_a_page_in_bytes_leads_on_to_the_next(changed: ChangeFeed, world: World) -> None:
    projects = world.story.projects[:3]
    wanted = await expected(world.database, {"project_id": {"$in": projects}, "position": {"$gt": 0}})
    whole = await changed.tasks(projects, since=0, trashed_since=0, room=PageBounds(START, 1000, HUGE))
    by_place = {one.place: one for one in whole.items}
    assert whole.last is None
    for bytes_max in (1, 2_000, 20_000):
        place: Place | None = START
        found: list[ChangedDocument] = []
        while place is not None:
            page = await changed.tasks(projects, since=0, trashed_since=0, room=PageBounds(place, 1000, bytes_max))
            assert len(page.items) == 1 or page.size <= bytes_max
            found += page.items
            place = page.last
        assert [one.place for one in found] == wanted
        assert all(one == by_place[one.place] for one in found)


async def test_tasks_that_moved_away(asked: Asked, changed: ChangeFeed, world: World) -> None:
    mine, others = world.story.projects[:3], world.story.projects[3:6]
    tasks = world.database[TASKS.collection]
    await tasks.update_many({"project_id": {"$in": others}}, {"$set": {"former_projects": mine[1:]}})
    await tasks.update_many({"project_id": mine[0]}, {"$set": {"former_projects": [mine[1]]}})
    asked._commands.sent.clear()

    async def read(after: Place, count: int) -> list[ChangedDocument]:
        return (await changed.moved_away(mine, since=500, room=PageBounds(after, count, HUGE))).items

    wanted = await expected(world.database, {"project_id": {"$in": others}, "position": {"$gt": 500}})
    assert len(wanted) > 10
    for limit in (1, 7, 1000):
        assert await every(read, limit) == wanted
    for plan in await asked.plans():
        assert plan.isdisjoint({"SORT", "COLLSCAN"}), plan
