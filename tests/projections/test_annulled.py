"""A projector that meets an annulled event: it folds the stream from the log, whatever comes twice, late or never."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from taskflow.ids import shard_of
from taskflow.projections import process as projections
from taskflow.settings import Settings
from taskflow.streams import TASK
from taskflow.streams.task import TaskEventAnnulled, TaskRetitled
from tests.projections.conftest import Start
from tests.projections.world import World, until
from tests.relay.world import RelayProcess, make_topic

EVENTS = 120
TIMEOUT_MS = 500


async def _annul_all(world: World) -> int:
    """Annuls every event that can be annulled, the tasks in turns; the last one's position."""
    steps = []
    while left := [task for task, versions in world.story.left.items() if versions]:
        for task in left:
            annulled = world.story.left[task].pop()
            steps.append(world.story.step(TASK, task, TaskEventAnnulled(annulled, "A mistake")))
    return await world.append(steps)


async def test_whatever_was_annulled_is_in_no_document_and_no_sum(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    """Some of the annulments come in one batch with what they annul, others much later."""
    await world.tell(EVENTS)
    await world.reached(await _annul_all(world))
    await world.assert_fold()
    await world.tell(EVENTS)
    position = await _annul_all(world)
    await world.reached(position)
    await world.assert_fold()


async def test_a_log_that_cannot_be_read_is_asked_again_and_no_stream_is_parked(
    settings: Settings, world: World, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka brings the annulment while nobody can read events in PostgreSQL."""
    await make_topic(settings, settings.kafka_partitions)
    impatient = replace(settings, postgres_command_timeout_ms=TIMEOUT_MS)
    task = await _made(world)
    start(projections.run(impatient))
    await world.publish([(number, one) for number, of in (await world.messages()).items() for one in of])
    last = (await world.store.log.head()).position
    await world.reached(last)
    annulled = world.story.step(TASK, task, TaskEventAnnulled(2, "A mistake"))
    position = await world.append([annulled])
    said = [(number, one) for number, of in (await world.messages(after=last)).items() for one in of]

    async def asked_again() -> bool:
        return any(one.message == "a step failed; it is retried" for one in caplog.records)

    locking = await asyncpg.connect(settings.postgres_url)
    try:
        async with locking.transaction():
            await locking.execute("lock table events in access exclusive mode")
            caplog.clear()
            await world.publish(said)
            await until(asked_again, "the log is asked again")
            assert (await world.checkpoints("tasks"))[_partition_of(world, task)]["position"] < position
    finally:
        await locking.close()
    await world.reached(position)
    assert await world.parked("tasks") == {}
    await world.assert_fold()


def _partition_of(world: World, task: UUID) -> int:
    return shard_of(task) % world.settings.kafka_partitions


async def _made(world: World) -> UUID:
    """A task with a second event."""
    await world.tell(30)
    task = world.story.task(world.story.projects[0])
    await world.append([task, world.story.step(TASK, task.stream_id, TaskRetitled("wrong"))])
    return task.stream_id


async def test_killed_workers_repeats_and_losses_change_nothing(
    world: World, start_projector: Callable[..., RelayProcess]
) -> None:
    """Each round a worker of its own is killed at any moment; what Kafka brings is a random part, some of it twice."""
    await make_topic(world.settings, world.settings.kafka_partitions)
    dice = random.Random(11)
    position = 0
    for _ in range(3):
        worker = start_projector()
        before, position = position, await world.tell(EVENTS)
        position = max(position, await _annul_all(world))
        said = [(number, one) for number, of in (await world.messages(after=before)).items() for one in of]
        broken = [one for one in said if dice.random() > 0.3] + dice.choices(said, k=40)
        dice.shuffle(broken)
        half = len(broken) // 2
        await world.publish(broken[:half])
        await world.reached(before)
        worker.end()
        await world.publish(broken[half:])
        start_projector()
        await world.reached(position)
        await world.assert_fold()
