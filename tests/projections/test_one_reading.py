"""One reading for all projections of a worker: none of them slows another, and two groups do not undo each other."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from taskflow.kafka.mac import MessageKeys
from taskflow.projections import process as projections
from taskflow.projections.checkpoints import CheckpointMoved
from taskflow.projections.mongo import Database
from taskflow.projections.registry import PROJECTIONS
from taskflow.projections.writer import Writer
from taskflow.settings import Settings
from taskflow.store.projector_faults import read_faults
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
    second = start(projections.run(settings, ["tasks"]))
    for _ in range(5):
        await world.reached(await world.tell(100), "tasks", "users")
    settled = len(moved)
    for _ in range(5):
        await world.reached(await world.tell(100), "tasks", "users")
    assert len(moved) == settled
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
