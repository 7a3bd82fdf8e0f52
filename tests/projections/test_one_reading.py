"""One reading for all projections of a worker: none of them slows another, and two groups do not undo each other."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.kafka.mac import MessageKeys
from taskflow.projections import process as projections
from taskflow.projections.batch import Changes
from taskflow.projections.checkpoints import CheckpointMoved
from taskflow.projections.mongo import Database
from taskflow.projections.registry import PROJECTIONS
from taskflow.projections.writer import Writer
from taskflow.settings import Settings
from taskflow.store.projector_faults import read_faults
from taskflow.streams import TASK, state_bytes
from taskflow.streams.task import TaskDescribed
from tests.projections.conftest import Start
from tests.projections.world import World, until

OTHERS = tuple(sorted(PROJECTIONS.keys() - {"tasks"}))


@asynccontextmanager
async def refused(database: Database, collection: str) -> AsyncIterator[None]:
    """MongoDB refuses every document of a collection, for good: a validator that none can meet."""
    await database.command({"collMod": collection, "validator": {"never": {"$exists": True}}})
    try:
        yield
    finally:
        await database.command({"collMod": collection, "validator": {}})


async def test_a_message_is_verified_and_decoded_once_for_all_projections(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = MessageKeys.verify
    verified: Counter[int] = Counter()

    def counted(self: MessageKeys, topic: str, partition: int, **message: Any) -> Mapping[str, Any]:
        attributes = verify(self, topic, partition, **message)
        if "ce_shard" in attributes:
            verified[int(attributes["ce_position"])] += 1
        return attributes

    monkeypatch.setattr(MessageKeys, "verify", counted)
    start(projections.run(settings))
    for _ in range(3):
        await world.reached(await world.tell(200))
    await world.assert_fold()
    assert verified
    assert set(verified.values()) == {1}


async def test_a_projection_that_mongodb_refuses_is_told_and_slows_no_other(
    settings: Settings,
    world: World,
    database: Database,
    relay: asyncio.Task[None],
    projector: asyncio.Task[None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await world.reached(await world.tell(200))
    async with refused(database, PROJECTIONS["tasks"].collection):
        for _ in range(3):
            await world.reached(await world.tell(200), *OTHERS)
        await world.assert_fold(*OTHERS)

        async def told() -> bool:
            return "tasks" in await read_faults(world.store.pool)

        await until(told, "the operator is told")
        faults = await read_faults(world.store.pool)
        assert faults == {"tasks": "MongoDB refuses: DocumentValidationFailure (code 121)"}
        said = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert [one.getMessage() for one in said] == ["a projection cannot be written until an operator acts"]
    await world.reached(await world.tell(50))
    await world.assert_fold()
    assert await read_faults(world.store.pool) == {}
    assert not projector.done()


async def test_without_room_for_a_second_batch_what_is_dropped_is_read_from_the_log(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    start(projections.run(replace(settings, projector_inbox_bytes_max=1, projector_linger_ms=0)))
    for _ in range(3):
        await world.reached(await world.tell(1_000))
    await world.assert_fold()


async def test_a_transaction_holds_as_many_bytes_of_events_and_states_as_it_may(
    settings: Settings, world: World, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small events of tasks with large texts: it is the states that are large."""
    bytes_max, text = 200_000, "large " * 8_000
    tasks = [await _described(world, text) for _ in range(30)]
    save = Writer._save
    sizes: list[int] = []

    async def watched(self: Writer, changes: Sequence[Changes], *rest: Any) -> None:
        sizes.append(sum(state_bytes(held.state) for one in changes for held in one.held.values()))
        await save(self, changes, *rest)

    monkeypatch.setattr(Writer, "_save", watched)
    # Without room for states in memory each of them is read again.
    small = replace(settings, projector_batch_bytes_max=bytes_max, projector_states_bytes_max=1)
    worker = start(projections.run(small, ["tasks"]))
    await world.reached(await world.append([world.story.change_task(task) for task in tasks * 2]), "tasks")
    await world.assert_fold("tasks")
    # The event that reaches the bound is the last one.
    assert max(sizes) <= bytes_max + 2 * len(text)
    assert len(sizes) > len(tasks) * len(text) // (bytes_max + 2 * len(text))
    assert not worker.done()


async def _described(world: World, text: str) -> UUID:
    """A task with a large text."""
    if not world.story.projects:
        await world.tell(50)
    created = world.story.task(world.story.projects[0])
    described = world.story.step(TASK, created.stream_id, TaskDescribed(text))
    await world.append([created, described])
    return created.stream_id


async def test_two_groups_with_one_projection_in_common_do_not_undo_each_other(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a new version of one projection is deployed: the workers of both releases run the others."""
    write = Writer.write
    moved: list[str] = []

    async def watched(self: Writer, *batch: Any) -> None:
        try:
            await write(self, *batch)
        except CheckpointMoved:
            moved.append(self.owner)
            raise

    monkeypatch.setattr(Writer, "write", watched)
    first = start(projections.run(settings, ["tasks", "users"]))
    await world.reached(await world.tell(200), "tasks", "users")

    async def owned() -> bool:
        return None not in await _owners(world)

    await until(owned, "the first group has the partitions")  # before Kafka gave them out, the log was read instead
    before = await _owners(world)
    second = start(projections.run(settings, ["tasks"]))

    async def taken_over() -> bool:
        return not await _owners(world) & before

    await until(taken_over, "the second group has the partitions")
    for _ in range(10):
        await world.reached(await world.tell(100), "tasks", "users")
    # Whoever lost the partitions notices with its next batch, and leaves them alone.
    assert len(moved) <= settings.kafka_partitions
    assert not await _owners(world) & before
    await world.assert_fold("tasks", "users")
    # Whichever of the two ends, the other one goes on with all partitions.
    second.cancel()
    await asyncio.wait([second])
    await world.reached(await world.tell(100), "tasks", "users")
    third = start(projections.run(settings, ["tasks"]))
    await world.reached(await world.tell(100), "tasks", "users")
    first.cancel()
    await asyncio.wait([first])
    await world.reached(await world.tell(100), "tasks")
    await world.assert_fold("tasks")
    assert not third.done()


async def _owners(world: World) -> set[str | None]:
    return {one.get("owner") for one in (await world.checkpoints("tasks")).values()}
