"""What is appended arrives in the views, and they are the fold of the log."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from taskflow.kafka.message import Encoded, to_watermark
from taskflow.projections import process as projections
from taskflow.projections import writer
from taskflow.projections.batch import Changes, FoldedState, apply
from taskflow.projections.projection import Projection
from taskflow.projections.reading import group_of
from taskflow.projections.registry import PROJECTIONS
from taskflow.relay import process as relaying
from taskflow.settings import Settings
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import TASK, Event
from taskflow.streams.task import TaskDescribed, TaskRetitled
from tests.projections.conftest import Start
from tests.projections.world import World, until
from tests.relay.world import RelayProcess, make_topic


async def test_appended_events_arrive_in_every_view(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(300))
    await world.assert_fold()
    await world.reached(await world.tell(500))
    await world.assert_fold()


async def test_a_worker_without_room_for_a_single_state_reads_each_anew(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    await world.tell(200)
    start(projections.run(replace(settings, projector_states_bytes_max=1)))
    for _ in range(3):
        await world.reached(await world.tell(200))
        await world.assert_fold()


async def test_large_states_are_folded_off_the_event_loop_and_small_ones_at_once(
    settings: Settings, world: World, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded_in: dict[int, threading.Thread] = {}

    def watched(
        view: Projection, changes: Changes, held: FoldedState | None, recorded: RecordedEvent, *rest: Any, **how: Any
    ) -> None:
        folded_in[recorded.position] = threading.current_thread()
        apply(view, changes, held, recorded, *rest, **how)

    monkeypatch.setattr(writer, "apply", watched)
    await world.tell(50)
    task, other = list(world.story.tasks)[:2]

    async def folded(settings: Settings, stream: UUID, event: Event) -> threading.Thread:
        projector = start(projections.run(settings))
        position = await world.append([world.story.step(TASK, stream, event)])
        await world.reached(position)
        projector.cancel()
        await asyncio.wait([projector])
        return folded_in[position]

    forgetful = replace(settings, projector_states_bytes_max=1)
    await folded(settings, other, TaskRetitled("small"))
    here = threading.current_thread()
    assert await folded(settings, other, TaskRetitled("smaller")) is here
    assert await folded(settings, task, TaskDescribed("large " * 16_000)) is not here
    # The event is small, what it changes is not, whether it is read or in memory.
    for one in (settings, forgetful):
        assert await folded(one, task, TaskRetitled("renamed")) is not here
    await world.assert_fold()


async def test_messages_dropped_repeated_and_reordered_change_nothing(
    settings: Settings, world: World, start: Start
) -> None:
    await make_topic(settings, settings.kafka_partitions)
    projector = start(projections.run(settings))
    dice = random.Random(3)
    position = 0
    for _ in range(4):
        before, position = position, await world.tell(150)
        said = [(number, one) for number, of in (await world.messages(after=before)).items() for one in of]
        broken = [one for one in said if dice.random() > 0.3]
        broken += dice.choices(said, k=40)
        dice.shuffle(broken)
        await world.publish(broken)
        await world.publish(await _watermarks(world, position))
        await world.reached(position)
        await world.assert_fold()
    assert not projector.done()


async def _watermarks(world: World, position: int) -> list[tuple[int, Encoded]]:
    generation = await world.generation()
    last = await world.store.log.last_positions(range(1024), to=position)
    return [
        (
            number,
            to_watermark(
                position=position,
                prev=max((at for shard, at in last.items() if generation.partition_of(shard) == number), default=0),
                epoch=1,
                generation=1,
                partition=number,
            ),
        )
        for number in range(generation.partitions)
    ]


async def test_foreign_messages_on_the_topic_are_ignored(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(100))
    said = await world.messages()
    one = said[0][0]
    foreign = [
        Encoded(None, b"", []),
        Encoded(b"k", b"hello", [("content-type", b"text/plain")]),
        Encoded(one.key, one.value, [(name, None) for name, _ in one.headers]),  # type: ignore[misc]  # headers without a value, as a broken producer sends
        Encoded(one.key, one.value, [*one.headers, ("ce_position", b"9223372036854775808")]),
        Encoded(one.key, one.value, [*one.headers, ("ce_generation", b"2"), ("ce_position", b"99999")]),
        # Another partition's event: its chain is not this one's.
        Encoded(said[1][0].key, b"{}", [*said[1][0].headers, ("ce_position", b"99999"), ("ce_prev", b"0")]),
    ]
    await world.publish([(0, message) for message in foreign])
    await world.reached(await world.tell(100))
    await world.assert_fold()
    assert (await world.checkpoints("tasks"))[0]["position"] < 99999


async def test_a_worker_that_is_killed_in_the_middle_of_a_backlog(
    world: World, relay: asyncio.Task[None], start_projector: Callable[..., RelayProcess]
) -> None:
    position = await world.tell(6_000)
    for part in (0.1, 0.4):
        worker = start_projector("tasks")

        async def some(part: float = part) -> bool:
            found = await world.checkpoints("tasks")
            return sum(one["position"] > 0 for one in found.values()) == 4 and all(
                one["position"] > position * part for one in found.values()
            )

        await until(some, "a part of the backlog")
        worker.end()
    start_projector("tasks")
    await world.reached(position, "tasks")
    await world.assert_fold("tasks")


async def test_a_worker_that_is_told_to_stop_does_whatever_it_is_at(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    await world.tell(3_000)
    dice = random.Random(5)
    for _ in range(12):
        worker = start(projections.run(settings))
        await asyncio.wait([worker], timeout=dice.random())
        worker.cancel()
        done, _ = await asyncio.wait([worker], timeout=10)
        assert done


async def test_two_workers_share_the_partitions_and_take_over_from_each_other(
    settings: Settings, world: World, relay: asyncio.Task[None], start_projector: Callable[..., RelayProcess]
) -> None:
    workers = [start_projector("tasks") for _ in range(2)]
    for _ in range(3):
        await world.reached(await world.tell(600), "tasks")
    workers[0].end()
    await world.reached(await world.tell(600), "tasks")
    await world.assert_fold("tasks")


async def test_a_worker_that_wakes_after_another_took_its_place_adds_nothing_twice(
    world: World, relay: asyncio.Task[None], start_projector: Callable[..., RelayProcess]
) -> None:
    zombie = start_projector("tasks")
    await world.reached(await world.tell(300), "tasks")
    for _ in range(2):
        telling = asyncio.create_task(world.tell(2_000))
        zombie.send(signal.SIGSTOP)
        start_projector("tasks")
        position = await telling
        await world.reached(position, "tasks")
        zombie.send(signal.SIGCONT)
        await world.reached(await world.tell(1_000), "tasks")
        await world.assert_fold("tasks")
    assert zombie.process.poll() is None


async def test_more_workers_than_partitions_leave_each_other_alone(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    one_partition = replace(settings, kafka_partitions=1)
    relay.cancel()
    await asyncio.wait([relay])
    start(relaying.run(one_partition))
    for _ in range(3):
        start(projections.run(one_partition, ["tasks"]))
    world.settings = one_partition
    for _ in range(5):
        await world.reached(await world.tell(100), "tasks", partitions=[0])
    await world.assert_fold("tasks")


async def test_group_offsets_moved_to_either_end_lose_and_add_nothing(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    for end in ("beginning", "end"):
        worker = start(projections.run(settings))
        await world.reached(await world.tell(300))
        worker.cancel()
        await asyncio.wait([worker])
        await world.tell(300)
        await _move_offsets(settings, end)
        # The hint in the checkpoint goes too: nothing but the chain is left.
        await world.database["checkpoints"].update_many({}, {"$set": {"offset": None}})
    start(projections.run(settings))
    await world.reached(await world.tell(10))
    await world.assert_fold()


async def _move_offsets(settings: Settings, end: str) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap,
        group_id=group_of(settings.kafka_topic, PROJECTIONS.values()),
        enable_auto_commit=False,
    )
    await consumer.start()
    partitions = [TopicPartition(settings.kafka_topic, number) for number in range(settings.kafka_partitions)]
    consumer.assign(partitions)
    offsets = await (consumer.beginning_offsets if end == "beginning" else consumer.end_offsets)(partitions)
    await consumer.commit({at: OffsetAndMetadata(offset, "") for at, offset in offsets.items()})
    await consumer.stop()
