"""Whoever reaches the broker can send anything: the views stay the fold of the log, and go on."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.record.util import calc_crc32c
from msgspec.structs import replace

from taskflow.kafka.mac import KEY_ID, MAC, MessageKeys
from taskflow.kafka.message import Encoded, to_message, to_watermark
from taskflow.projections import process as projections
from taskflow.projections.reading import group_of
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.rejections import read_rejections
from taskflow.settings import Settings
from taskflow.store.log import Log
from tests.projections.conftest import Start
from tests.projections.world import World, until
from tests.relay.world import make_topic

CRC_AT, COVERED_AT = 17, 21
"""Where a batch of Kafka's has its checksum, and where what it covers begins."""


def without_mac(messages: Iterable[tuple[int, Encoded]]) -> list[tuple[int, Encoded]]:
    return [
        (number, replace(one, headers=[header for header in one.headers if header[0] not in {MAC, KEY_ID}]))
        for number, one in messages
    ]


async def rejected(world: World) -> dict[str, int]:
    """Counts by reason, over all views."""
    found: dict[str, int] = {}
    for _, reason, count in await read_rejections(world.database):
        found[reason] = found.get(reason, 0) + count
    return found


async def forgeries(world: World) -> list[tuple[int, Encoded]]:
    """One of each kind: an edit right after the head, a watermark far ahead, under no, a wrong, and a copied MAC."""
    generation = await world.generation()
    head = (await world.store.log.head()).position
    last = (await world.store.log.read(head - 1, limit=1))[0]
    partition = generation.partition_of(last.shard)
    prev = await world.store.log.last_positions(generation.shards_of(partition), to=head)
    edit = to_message(
        replace(
            last,
            position=head + 1,
            stream_version=last.stream_version + 1,
            event_id=last.command_id,
            type="TaskRetitled",
            data=b'{"title":"forged"}',
        ),
        prev=max(prev.values()),
        generation=generation.number,
    )
    ahead = to_watermark(
        position=head + 10_000, prev=head, epoch=last.epoch + 7, generation=generation.number, partition=partition
    )
    topic, other = world.settings.kafka_topic, MessageKeys(os.urandom(32))
    ours = MessageKeys.of(world.settings)
    forged = []
    for one in (edit, ahead):
        stranger = other.sign(topic, partition, one)
        genuine = ours.sign(topic, (partition + 1) % generation.partitions, one)
        forged += [(partition, one), (partition, stranger), (partition, genuine)]
        signed = ours.sign(topic, partition, one)
        forged.append((partition, replace(signed, value=signed.value + b" ")))
        forged.append((partition, replace(signed, headers=[*signed.headers, ("ce_position", b"1")])))
    return forged


async def test_nothing_forged_is_believed_and_the_next_edit_arrives(
    world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(200))
    before = (await world.store.log.head()).position
    await world.forge(await forgeries(world))

    async def noticed() -> bool:
        return set(await rejected(world)) >= {"no-mac", "unknown-key", "wrong-mac", "headers"}

    await until(noticed, "what was forged is counted")
    for view in PROJECTIONS:
        for checkpoint in (await world.checkpoints(view)).values():
            assert checkpoint["position"] <= before
            assert checkpoint["epoch"] <= 1
    await world.reached(await world.tell(100))
    await world.assert_fold()
    assert not projector.done()


async def test_a_topic_of_the_release_before_is_followed_in_the_log(
    settings: Settings, world: World, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its messages are without a MAC; the log is read a few times, not once a message."""
    reads: list[int] = []
    read_shards = Log.read_shards

    async def counted(self: Log, after: int, *args: Any, **named: Any) -> Any:
        reads.append(after)
        return await read_shards(self, after, *args, **named)

    monkeypatch.setattr(Log, "read_shards", counted)
    await make_topic(settings, settings.kafka_partitions)
    start(projections.run(replace(settings, projector_stall_timeout_ms=9_000), ["tasks"]))
    position = await world.tell(2_000)
    said = [(number, one) for number, of in (await world.messages()).items() for one in of]
    await world.forge(without_mac(said))
    await world.reached(position, "tasks")
    await world.assert_fold("tasks")

    async def all_read() -> bool:
        return (await rejected(world)).get("no-mac") == len(said)

    await until(all_read, "all of them are counted")
    assert len(reads) < len(said) / 10


async def test_a_flood_does_not_starve_what_is_real(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    start(projections.run(settings, ["tasks"]))
    await world.reached(await world.tell(50), "tasks")
    junk = [(n % settings.kafka_partitions, Encoded(None, b"x" * 200, [("ce_mac", b"0" * 64)])) for n in range(2_000)]

    async def flood() -> None:
        while True:
            await world.forge(junk)

    flooding = start(flood())
    for _ in range(5):
        await world.reached(await world.tell(60), "tasks")
    assert not flooding.done()
    await world.assert_fold("tasks")


async def test_replayed_messages_neither_move_anything_nor_hide_that_the_relay_is_gone(
    settings: Settings, world: World, start: Start
) -> None:
    await make_topic(settings, settings.kafka_partitions)
    start(projections.run(settings))
    position = await world.tell(200)
    generation = await world.generation()
    last = await world.store.log.last_positions(range(1024), to=position)
    said = [(number, one) for number, of in (await world.messages()).items() for one in of]
    for partition in range(generation.partitions):
        prev = max((at for shard, at in last.items() if generation.partition_of(shard) == partition), default=0)
        mark = to_watermark(position=position, prev=prev, epoch=1, generation=generation.number, partition=partition)
        said.append((partition, mark))
    await world.publish(said)
    await world.reached(position)

    async def again_and_again() -> None:
        while True:
            await world.publish(random.Random(5).sample(said, 200))
            await world.publish(said[-generation.partitions :])

    start(again_and_again())
    # Nobody publishes what comes now: the log is asked although the topic is never silent.
    await world.reached(await world.tell(200))
    await world.assert_fold()


async def test_messages_of_an_epoch_that_is_over_are_looked_up_in_the_log(
    settings: Settings, world: World, start: Start
) -> None:
    """A promoted server had lost its tail: what the topic still has of it never happened."""
    await make_topic(settings, settings.kafka_partitions)
    await world.tell(100)
    lost = await world.tell(50)
    said = [(number, one) for number, of in (await world.messages()).items() for one in of]
    kept = lost - 50
    async with world.store.pool.acquire() as connection:
        await connection.execute("update log_meta set epoch = epoch + 1")
        await connection.execute("delete from events where position > $1", kept)
        await connection.execute("update log_head set position = $1", lost)
    start(projections.run(settings, ["projects", "users"]))
    await world.publish(said)
    await world.reached(lost, "projects", "users")
    await world.assert_fold("projects", "users")


async def test_records_that_the_library_cannot_decode_are_passed_over(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(100))
    for partition in range(settings.kafka_partitions):
        await _send_bad_name(settings, partition)

    async def noticed() -> bool:
        return "unreadable" in await rejected(world)

    await until(noticed, "it was met")
    for _ in range(3):
        await world.reached(await world.tell(100))
    await world.assert_fold()
    assert not projector.done()


async def _send_bad_name(settings: Settings, partition: int) -> None:
    """A header whose name is no UTF-8: exchanged for one that is, in a batch that is ready to be sent."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=None, value=b"", timestamp=None, headers=[("replaced", b"")])
        buffer = batch._build()
        at = buffer.index(b"replaced")
        buffer[at : at + 2] = b"\xff\xfe"
        buffer[CRC_AT:COVERED_AT] = calc_crc32c(bytes(buffer[COVERED_AT:])).to_bytes(4, "big")
        await (await producer.send_batch(batch, settings.kafka_topic, partition=partition))
    finally:
        await producer.stop()


async def test_a_message_that_grows_when_it_is_read_is_not_taken_by_the_topic(
    settings: Settings, world: World, relay: asyncio.Task[None], projector: asyncio.Task[None]
) -> None:
    await world.reached(await world.tell(50))
    grows = bytes(8 * settings.kafka_message_bytes_max)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, compression_type="gzip", max_request_size=2 * len(grows)
    )
    await producer.start()
    try:
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(settings.kafka_topic, grows, partition=0)
    finally:
        await producer.stop()


async def test_a_stranger_in_the_group_holds_up_nothing(
    settings: Settings, world: World, relay: asyncio.Task[None], start: Start
) -> None:
    group = group_of(settings.kafka_topic, [PROJECTIONS["tasks"]])
    stranger = AIOKafkaConsumer(settings.kafka_topic, bootstrap_servers=settings.kafka_bootstrap, group_id=group)
    await stranger.start()
    try:
        start(projections.run(settings, ["tasks"]))

        async def shared_out() -> bool:
            return 0 < len(stranger.assignment()) < settings.kafka_partitions

        await until(shared_out, "the stranger has some of the partitions")
        await world.reached(await world.tell(60), "tasks")
        assert stranger.assignment()
        await world.assert_fold("tasks")
    finally:
        await stranger.stop()
