"""What the API asks of the views is carried by indexes; and what the documents hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from itertools import combinations, product
from typing import Any
from uuid import UUID

import bson
import msgspec
import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener

from taskflow.cancellation import raise_if_cancelled
from taskflow.dates.timestamps import micros
from taskflow.errors import Invalid
from taskflow.projections import process as projections
from taskflow.projections.declarations.tasks import TASKS
from taskflow.projections.mongo import Database
from taskflow.projections.registry import PROJECTIONS
from taskflow.query.task_query import SORTS
from taskflow.readmodels import queries
from taskflow.readmodels.queries import STATUS_PAIRS_MAX, TaskFilter, Views, _cursor, all_pairs
from taskflow.readmodels.saved_views import SavedViews
from taskflow.settings import Settings
from taskflow.streams.project import DEFAULT_WORKFLOW, Statuses
from taskflow.text.search_tokens import terms
from tests.projections.conftest import Start
from tests.projections.story import BEGAN, fold
from tests.projections.world import World
from tests.unit.test_batch import log_of

LATER = BEGAN + timedelta(days=10_000)


class Commands(CommandListener):
    """The reads that were sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        if event.command_name in {"find", "aggregate"}:
            self.sent.append(dict(event.command))

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


class Asked:
    """The views' queries, and how MongoDB would answer each that was sent."""

    def __init__(self, database: Database, commands: Commands) -> None:
        self.views = Views(database)
        self._database = database
        self._commands = commands

    async def plans(self) -> list[set[str]]:
        """The stages of the winning plan of each read since the last call."""
        return [set(_stages(explained)) for explained in await self._explained()]

    async def plans_compared(self) -> list[int]:
        """With how many other plans MongoDB compares that of each read since the last call."""
        return [len(explained["queryPlanner"]["rejectedPlans"]) for explained in await self._explained()]

    async def _explained(self) -> list[Any]:
        sent, self._commands.sent = self._commands.sent, []
        plans = []
        for command in sent:
            plain = {
                key: value
                for key, value in command.items()
                if key not in {"lsid", "$db", "$clusterTime", "maxTimeMS", "readConcern"}
            }
            explained = await self._database.command(
                "explain", plain, verbosity="queryPlanner", codec_options=self._database.codec_options
            )
            plans.append(explained)
        self._commands.sent = []
        assert plans, "a query was asked"
        return plans


def _stages(explained: Any) -> list[str]:
    if isinstance(explained, list):
        return [stage for one in explained for stage in _stages(one)]
    if not isinstance(explained, dict):
        return []
    here = [explained["stage"]] if "stage" in explained else []
    return here + [stage for key, one in explained.items() if key != "rejectedPlans" for stage in _stages(one)]


@pytest.fixture
async def asked(settings: Settings, world: World) -> AsyncIterator[Asked]:
    """Views over a few thousand tasks in some forty projects."""
    log = log_of(world.story.tell(4_000))
    for view in PROJECTIONS.values():
        documents = [
            {"_id": stream, "position": position, "version": version, **view.document(state), "state": b"{}"}
            for stream, (position, version, state) in fold(view, log).states.items()
        ]
        collection = world.database[view.collection]
        if view.indexes:
            await collection.create_indexes(list(view.indexes))
        await collection.insert_many(documents)
    await world.database[TASKS.sums_collection].create_index([("project_id", 1), ("status", 1), ("count", 1)])
    sums = fold(TASKS, log).sums
    await world.database[TASKS.sums_collection].insert_many(
        [{"project_id": key.project_id, "status": key.status, "count": count} for key, count in sums.items()]
    )
    commands = Commands()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.mongodb_url, uuidRepresentation="standard", event_listeners=[commands]
    )
    yield Asked(client[settings.mongodb_database], commands)
    await client.close()


def _filters(world: World) -> dict[str, dict[str, Any]]:
    user, task = world.story.users[0], next(iter(world.story.tasks))
    projects = world.story.projects[:5]
    project = projects[0]
    due = micros(BEGAN + timedelta(minutes=5))
    return {
        "statuses": {"pairs": frozenset((one, key) for one in projects for key in ("todo", "done"))},
        "status": {"pairs": frozenset({(project, "todo")})},
        "other workflows": {"pairs": frozenset({(project, "todo"), (projects[1], "done"), (projects[1], "todo")})},
        "no pairs": {"pairs": frozenset()},
        "assignees": {"assignees": frozenset({user, None})},
        "labels": {"labels": frozenset({"l1", "l2"})},
        "priorities": {"priorities": frozenset({"urgent"})},
        "parents": {"parents": frozenset({task})},
        "due_before": {"due_before": due},
        "due_after": {"due_after": due},
        "due": {"due_after": due, "due_before": (due or 0) + 1},
        "nobody": {"assignees": frozenset({None})},
        "words": {"terms": terms("word1 uber x")},
        "one word": {"terms": terms("task")},
        "trashed": {"trashed": True},
    }


SORTED = [way + sort for sort in SORTS for way in ("", "-")]


async def test_no_list_of_tasks_reads_a_whole_collection_and_no_sort_alone_is_made_in_memory(
    world: World, asked: Asked
) -> None:
    filters = _filters(world)
    pairs = [a | b for a, b in combinations(filters.values(), 2)]
    several = frozenset(world.story.projects[:5])
    for narrowed in ({}, *filters.values(), *pairs):
        for projects in (frozenset(world.story.projects[:1]), several):
            wanted = TaskFilter(projects=projects, **narrowed)
            for sort in SORTED if narrowed in ({}, *filters.values()) else SORTED[:1]:
                await _ask(asked, wanted, sort)
                for plan in await asked.plans():
                    assert "COLLSCAN" not in plan, (wanted, sort)
                    assert "IXSCAN" in plan or narrowed == filters["no pairs"], (wanted, sort)
                    if narrowed in ({}, filters["trashed"]):
                        assert "SORT" not in plan, (wanted, sort)


async def test_no_document_is_fetched_to_compare_plans_where_the_order_says_which_index(
    world: World, asked: Asked
) -> None:
    """Nine plans of 60 tasks of 600 kB each took MongoDB seconds."""
    for count, sort in product((1, 5), SORTED):
        projects = frozenset(world.story.projects[:count])
        narrowed: tuple[dict[str, Any], ...] = (
            {},
            {"trashed": True},
            *([{"due_before": 7}] if sort == "due_at" else []),
        )
        for one in narrowed:
            await _ask(asked, TaskFilter(projects=projects, **one), sort)
    with suppress(msgspec.ValidationError):
        await asked.views.board(world.story.projects[0], Statuses(DEFAULT_WORKFLOW, {"waiting": "todo"}))
    await asked.views.next_to(world.story.projects[0], "r0.5", above=True, besides=[])
    assert set(await asked.plans_compared()) == {0}


async def test_a_list_that_takes_long_by_the_plan_of_mongodbs_choice_is_answered_in_its_order(
    world: World, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PLANNED_MS_MAX", 1)
    monkeypatch.setattr(queries, "QUERY_MS_MAX", 60_000)
    tasks = asked._database[TASKS.collection]
    project = world.story.projects[0]
    slow = {"project_id": project, "trashed": False, "$where": "sleep(2) || true"}
    index = queries.in_order_of("rank")
    found = await queries._found(tasks.find(slow).sort([("rank", 1), ("_id", 1)]), index=index, narrowed=True)
    assert len(found) == await tasks.count_documents({"project_id": project, "trashed": False})
    assert ["hint" in command for command in asked._commands.sent] == [False, True, False]


async def _ask(asked: Asked, wanted: TaskFilter, sort: str) -> None:
    """The first page; its documents hold no state here, so only the question matters."""
    with suppress(msgspec.ValidationError):
        await asked.views.tasks(wanted, sort=sort, limit=20, cursor=None)


def test_statuses_in_one_question_are_bounded() -> None:
    """MongoDB takes no question of more than 16 MB, and says so as of a fault of ours."""
    pairs = [frozenset((UUID(int=project), f"{status}") for status in range(1_000)) for project in range(51)]
    assert len(all_pairs(pairs[:50])) == STATUS_PAIRS_MAX
    with pytest.raises(Invalid) as refused:
        all_pairs(pairs)
    assert refused.value.code == "too-much"


async def test_a_page_after_a_cursor_is_served_like_the_first(world: World, asked: Asked) -> None:
    for count, sort in product((1, 5, 40), SORTED):
        wanted = TaskFilter(projects=frozenset(world.story.projects[:count]))
        value: Any = "r0.5" if "rank" in sort else 1
        with suppress(msgspec.ValidationError):
            await asked.views.tasks(wanted, sort=sort, limit=20, cursor=_cursor(sort, value, UUID(int=7)))
        for plan in await asked.plans():
            assert "COLLSCAN" not in plan, sort
            assert "SORT" not in plan, sort


async def test_boards_counts_and_lookups_are_served_by_indexes(world: World, asked: Asked) -> None:
    project = world.story.projects[0]
    with suppress(msgspec.ValidationError):
        await asked.views.board(project, Statuses(DEFAULT_WORKFLOW, {"waiting": "todo", "review": "todo"}))
    assert all(not plan & {"COLLSCAN", "SORT"} for plan in await asked.plans())
    assert await asked.views.counts(project)
    assert all("COLLSCAN" not in plan for plan in await asked.plans())
    assert await asked.views.tasks_in(project, ["todo", "done"])
    assert (await asked.views.stats(project, over=["done"], at=1)).total
    assert all("COLLSCAN" not in plan for plan in await asked.plans())
    for lookup in (
        asked.views.task(next(iter(world.story.tasks))),
        asked.views.projects(world.story.projects[:5]),
        asked.views.users(world.story.users[:5]),
    ):
        with suppress(msgspec.ValidationError):
            await lookup
        assert all("COLLSCAN" not in plan for plan in await asked.plans())
    saved = SavedViews(asked._database)
    for after in (None, UUID(int=7)):
        with suppress(msgspec.ValidationError):
            await saved.page(owner=world.story.users[0], projects=world.story.projects, after=after, limit=20)
        assert all(not plan & {"COLLSCAN", "SORT"} for plan in await asked.plans())
    personal = {"project_id": None, "owner_id": world.story.users[0], "deleted": False}
    await asked._database[PROJECTIONS["views"].collection].find(personal).to_list()
    assert all("COLLSCAN" not in plan for plan in await asked.plans())


async def test_indexes_of_earlier_releases_are_dropped(settings: Settings, world: World, start: Start) -> None:
    users, projects = [world.database[PROJECTIONS[name].collection] for name in ("users", "projects")]
    await users.create_index("email", sparse=True)
    await projects.create_index([("members", 1), ("_id", 1)])
    start(projections.run(settings))
    await world.reached(await world.tell(50))
    for collection in (users, projects):
        assert set(await collection.index_information()) == {"_id_"}


async def test_neighbours_and_the_trash_are_found_by_indexes(world: World, asked: Asked) -> None:
    project, task = world.story.projects[0], next(iter(world.story.tasks))
    ranks = [document["rank"] async for document in asked._database[TASKS.collection].find({"project_id": project})]
    await asked.plans()
    for above in (True, False):
        await asked.views.next_to(project, sorted(ranks)[len(ranks) // 2], above=above, besides=[task])
        assert all(not plan & {"COLLSCAN", "SORT"} for plan in await asked.plans())
    first = await asked.views.trashed_before(LATER, after=None, limit=2)
    assert [one.trashed_at for one in first] == sorted(one.trashed_at for one in first)
    rest = await asked.views.trashed_before(LATER, after=first[-1], limit=10_000)
    assert all(not plan & {"COLLSCAN", "SORT"} for plan in await asked.plans())
    trashed = asked._database[TASKS.collection].find({"trashed": True})
    assert {one.task_id for one in first + rest} == {document["_id"] async for document in trashed}
    assert await asked.views.trashed_before(BEGAN - timedelta(days=1), after=None, limit=10) == []


async def test_only_the_users_view_holds_personal_data_and_no_document_a_password_or_another_persons_name(
    settings: Settings, world: World
) -> None:
    projector = asyncio.create_task(projections.run(settings))
    try:
        await world.reached(await world.tell(500))
    finally:
        projector.cancel()
        await asyncio.wait([projector])
    names = await world.database.list_collection_names()
    assert {view.collection for view in PROJECTIONS.values()} <= set(names)
    users = PROJECTIONS["users"].collection
    for name in names:
        async for document in world.database[name].find():
            raw = bson.encode(document, codec_options=world.database.codec_options)
            assert b"argon2" not in raw
            if name != users:
                assert b"Secretive" not in raw
                assert b"example.com" not in raw.lower()
            else:
                assert raw.count(b"Secretive") == 2, "its own name, to be sorted by and in its state"
                others = [f"person{n}@" for n, user in enumerate(world.story.users, 1) if user != document["_id"]]
                assert not any(other.encode() in raw.lower() for other in others)


async def test_what_moves_between_two_statuses_is_counted_once_while_it_moves(database: Database, start: Start) -> None:
    """A sum over many documents is of one moment: 3,000 addends are read in several steps."""
    views, project, shards, each = Views(database), UUID(int=7), 1_000, 5
    statuses = ("todo", "in_progress", "done")
    sums = database[PROJECTIONS["tasks"].sums_collection]
    await sums.create_index([("project_id", 1), ("status", 1), ("count", 1)])
    ids = [{"project_id": project, "shard": shard, "status": status} for shard in range(shards) for status in statuses]
    await sums.insert_many({"_id": one, "project_id": project, "status": one["status"], "count": each} for one in ids)

    async def moved_to_and_fro() -> None:
        shard = 0
        async with database.client.start_session() as session:
            while True:
                raise_if_cancelled()
                shard = (shard + 37) % shards
                here = statuses[shard % 3], statuses[(shard + 1) % 3]
                async with await session.start_transaction():
                    for status, count in zip(here, (-1, 1), strict=True):
                        one = {"_id": {"project_id": project, "shard": shard, "status": status}}
                        await sums.update_one(one, {"$inc": {"count": count}}, session=session)

    moving = start(moved_to_and_fro())
    for _ in range(200):
        assert sum((await views.counts(project)).values()) == shards * len(statuses) * each
    assert not moving.done()
