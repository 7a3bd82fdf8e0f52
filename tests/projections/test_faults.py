"""Whatever server goes away, and however it comes back: the views converge, and nothing moves back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from taskflow.cache.cache import entry_name
from taskflow.cancellation import raise_if_cancelled
from taskflow.errors import TopicMismatch
from taskflow.kafka.topics import current_generation
from taskflow.projections import process as projections
from taskflow.projections.checkpoints import Checkpoints
from taskflow.projections.collection_names import CHECKPOINTS
from taskflow.projections.mongo import Database
from taskflow.projections.registry import PROJECTIONS
from taskflow.relay import process as relaying
from taskflow.settings import Settings
from tests.api.stack import Process
from tests.projections.conftest import Start
from tests.projections.world import World, until
from tests.relay.world import RelayProcess, delete_topic, make_topic


async def _never_back(world: World) -> None:
    """Reads every checkpoint over and over: none moves back."""
    last: dict[Any, int] = {}
    while True:
        raise_if_cancelled()
        async for one in world.database["checkpoints"].find({}, {"position": 1}):
            assert one["position"] >= last.get(one["_id"], 0)
            last[one["_id"]] = one["position"]
        await asyncio.sleep(0.01)


async def test_kafka_away_for_a_while(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], start: Start, server: Any
) -> None:
    await world.reached(await world.tell(300))
    watching = start(_never_back(world))
    await asyncio.to_thread(server("kafka").kill)
    for _ in range(3):
        # Nothing is on the topic: the log alone brings them here.
        await world.reached(await world.tell(200))
    await world.assert_fold()
    await asyncio.to_thread(server("kafka").start)
    for _ in range(2):
        await world.reached(await world.tell(200))
    await world.assert_fold()
    assert not watching.done()


async def test_kafka_that_only_hangs(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], server: Any
) -> None:
    await world.reached(await world.tell(300))
    server("kafka").pause()
    await world.reached(await world.tell(300))
    server("kafka").resume()
    await world.reached(await world.tell(300))
    await world.assert_fold()


async def test_no_kafka_since_the_start_and_no_topic(settings: Settings, world: World, start: Start) -> None:
    """Nobody publishes: there is no topic, and the log is followed instead, in small pages."""
    small = replace(settings, projector_batch_max=40, projector_batch_bytes_max=1_500)
    start(projections.run(small))
    start(projections.run(small))
    for _ in range(3):
        await world.reached(await world.tell(200))
    await world.assert_fold()


async def test_a_topic_that_was_deleted_and_made_again(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], start: Start
) -> None:
    await world.reached(await world.tell(500))
    watching = start(_never_back(world))
    await delete_topic(settings)
    await world.reached(await world.tell(100))
    await delete_topic(settings)
    await make_topic(settings, settings.kafka_partitions)
    await world.reached(await world.tell(100))
    await world.assert_fold()
    assert not watching.done()
    assert not projector.done()


async def test_a_topic_with_another_partition_count_is_refused(
    settings: Settings,
    world: World,
    relay: asyncio.Task[None],
    projector: asyncio.Task[None],
    start_projector: Callable[..., RelayProcess],
) -> None:
    await world.reached(await world.tell(100))
    await delete_topic(settings)
    await make_topic(settings, settings.kafka_partitions + 3)
    with pytest.raises(TopicMismatch, match=r"expected 4 partitions, found 7"):
        await asyncio.wait_for(asyncio.shield(projector), 60)
    worker = start_projector("tasks")
    assert await asyncio.to_thread(worker.process.wait, 60) == 1
    assert "expected 4 partitions, found 7" in worker.log.read_text()


async def test_mongodb_killed_in_the_middle_and_restarted(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], server: Any
) -> None:
    await world.reached(await world.tell(100))
    for _ in range(2):
        telling = asyncio.create_task(world.tell(4_000))
        before = (await world.checkpoints("tasks"))[0]["position"]

        async def moving(before: int = before) -> bool:
            return bool((await world.checkpoints("tasks"))[0]["position"] > before)

        await until(moving, "the backlog is being worked off")
        await asyncio.to_thread(server("mongodb").kill)
        position = await telling
        await asyncio.to_thread(server("mongodb").start)
        await world.reached(position)
        await world.assert_fold()
    assert not projector.done()


async def test_a_worker_without_partitions_outlives_mongodb(
    settings: Settings, world: World, start: Start, server: Any, tmp_path: Path
) -> None:
    start(relaying.run(settings))
    workers = [
        Process(settings, tmp_path / f"{number}.log", "projector", "users")
        for number in range(settings.kafka_partitions + 1)
    ]
    try:
        await world.reached(await world.tell(50), "users")

        async def shared_out() -> bool:
            texts = [worker.log.read_text() for worker in workers]
            return any('"partitions":[]' in text for text in texts) and all("partitions assigned" in t for t in texts)

        await until(shared_out, "one is left without a partition")
        said = [len(worker.log.read_text()) for worker in workers]
        await asyncio.to_thread(server("mongodb").kill)

        async def noticed() -> bool:
            assert all(worker.alive for worker in workers)
            since = [worker.log.read_text()[begin:] for worker, begin in zip(workers, said, strict=True)]
            return all("a step failed; it is retried" in text for text in since)

        await until(noticed, "those with a partition and the one without try again")
        await asyncio.to_thread(server("mongodb").start)
        await world.reached(await world.tell(50), "users")
        assert all(worker.alive for worker in workers)
    finally:
        for worker in workers:
            worker.end()


async def test_views_that_are_dropped_under_their_projectors_are_built_again(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    async def indexes() -> dict[str, set[str]]:
        collections = [name for view in PROJECTIONS.values() for name in (view.collection, view.sums_collection)]
        return {name: set(await world.database[name].index_information()) for name in collections}

    await world.reached(await world.tell(300))
    before = await indexes()
    await world.database.client.drop_database(world.database.name)
    # Nothing is written: the next watermark tells the projector.
    await world.reached((await world.store.log.head()).position)
    await world.assert_fold()
    assert await indexes() == before
    await world.reached(await world.tell(100))
    await world.assert_fold()
    assert not projector.done()


async def test_checkpoints_that_are_deleted_while_they_are_taken_are_begun_again(
    settings: Settings, world: World, database: Database, start: Start
) -> None:
    generation = await current_generation(world.store.pool, settings)
    checkpoints = Checkpoints(database, PROJECTIONS["users"], generation)

    async def deleted_over_and_over() -> None:
        while True:
            raise_if_cancelled()
            await database[CHECKPOINTS].delete_many({})

    deleting = start(deleted_over_and_over())
    async with database.client.start_session() as session:
        for _ in range(100):
            taken = await checkpoints.take(0, session)
            assert (taken.position, taken.offset) == (0, None)
    assert not deleting.done()


async def test_checkpoints_that_are_deleted_without_their_documents_count_nothing_twice(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(300))
    await world.database[CHECKPOINTS].delete_many({})
    await world.reached(await world.tell(100))
    await world.assert_fold()
    assert not projector.done()


async def test_mongodb_that_hangs_holds_no_worker(settings: Settings, world: World, start: Start, server: Any) -> None:
    start(relaying.run(settings))
    start(projections.run(replace(settings, mongodb_socket_timeout_ms=1_000)))
    await world.reached(await world.tell(300))
    server("mongodb").pause()
    position = await world.tell(300)
    server("mongodb").resume()
    await world.reached(position)
    await world.assert_fold()


async def test_the_event_store_killed_and_restarted(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None], server: Any
) -> None:
    await world.reached(await world.tell(300))
    await asyncio.to_thread(server("postgres").kill)
    await asyncio.to_thread(server("postgres").start)
    # The committer sends again what it could not send.
    await world.reached(await world.tell(300))
    await world.assert_fold()
    assert not projector.done()


async def test_invalidations_that_redis_did_not_acknowledge_are_kept_and_repeated(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start, server: Any
) -> None:
    worker = start(projections.run(settings))
    await world.reached(await world.tell(300))
    keys = [f"board:{project}" for project in world.story.projects]
    keys += [f"user:{user}" for user in world.story.users]
    async with Redis.from_url(settings.redis_url) as redis:
        for taken_over in (False, True):
            await redis.mset(dict.fromkeys(map(entry_name, keys), "old"))
            server("valkey").pause()
            await world.append([world.story.change_task(task) for task in world.story.tasks])
            position = await world.append([world.story.change_user(user) for user in world.story.users])
            await world.reached(position)

            async def kept() -> set[str]:
                return {
                    key
                    for view in ("tasks", "users")
                    for one in (await world.checkpoints(view)).values()
                    for key in one["invalidations"]
                }

            touched = await kept()
            assert touched & set(keys)
            if taken_over:
                worker.cancel()
                await asyncio.wait([worker])
                start(projections.run(settings))
            server("valkey").resume()

            async def acknowledged() -> bool:
                return not await kept()

            await until(acknowledged, "the checkpoints forget them")
            assert {key for key in touched if await redis.exists(entry_name(key))} == set()


async def test_invalidations_are_repeated_while_nothing_happens_and_there_is_no_kafka(
    settings: Settings, world: World, start: Start, server: Any
) -> None:
    start(projections.run(settings, ["tasks"]))
    await world.reached(await world.tell(100), "tasks")
    server("valkey").pause()
    await world.reached(await world.append([world.story.change_task(task) for task in world.story.tasks]), "tasks")
    assert any(one["invalidations"] for one in (await world.checkpoints("tasks")).values())
    server("valkey").resume()

    async def acknowledged() -> bool:
        return not any(one["invalidations"] for one in (await world.checkpoints("tasks")).values())

    await until(acknowledged, "the checkpoints forget them")


async def test_more_invalidations_than_a_checkpoint_may_hold_are_the_whole_cache(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start, server: Any
) -> None:
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.mset({entry_name("board:one"): "old", entry_name("user:one"): "old", "others": "kept"})
        server("valkey").pause()
        start(projections.run(replace(settings, invalidations_pending_max=3), ["users"]))
        await world.reached(await world.append([world.story.user() for _ in range(40)]), "users")
        held = [set(one["invalidations"]) for one in (await world.checkpoints("users")).values()]
        assert {"*"} in held
        server("valkey").resume()

        async def cleared() -> bool:
            return not await redis.exists(entry_name("board:one"), entry_name("user:one"))

        await until(cleared, "the cache is cleared")
        assert await redis.exists("others")
