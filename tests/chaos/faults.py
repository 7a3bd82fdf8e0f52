"""What goes wrong: each fault is a context that breaks something at its begin and mends it at its end."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from taskflow.projections.collection_names import CHECKPOINTS
from taskflow.projections.mongo import open_database
from taskflow.projections.registry import PROJECTIONS
from tests.api.stack import until
from tests.chaos.proxies import TOXICS, Way
from tests.chaos.servers import SERVERS
from tests.chaos.victim import Victim
from tests.chaos.world import CLIENTS, PROCESSES, World
from tests.relay.world import delete_topic

ALL_AT_ONCE: Final = 0.3
"""How often not one of two processes is struck, but both."""

Strike = Callable[[World, random.Random], AbstractAsyncContextManager[None]]


class Fault(Struct, frozen=True):
    """`targets`: what it touches; two faults that share a target are never had at once."""

    name: str
    targets: frozenset[str]
    strike: Strike
    freezes: bool = False


def _chosen(world: World, target: str, dice: random.Random) -> list[Victim]:
    victims = world.of(target)
    return victims if dice.random() < ALL_AT_ONCE else [dice.choice(victims)]


@asynccontextmanager
async def _killed(target: str, world: World, dice: random.Random) -> AsyncIterator[None]:
    victims = _chosen(world, target, dice)
    for victim in victims:
        await victim.kill()
    yield
    for victim in victims:
        await victim.start()


@asynccontextmanager
async def _frozen(target: str, world: World, dice: random.Random) -> AsyncIterator[None]:
    victims = _chosen(world, target, dice)
    for victim in victims:
        victim.freeze()
    try:
        yield
    finally:
        for victim in victims:
            victim.thaw()


@asynccontextmanager
async def _restarted(target: str, world: World, dice: random.Random) -> AsyncIterator[None]:
    for victim in _chosen(world, target, dice):
        await victim.stop()
        await victim.start()
    yield


def _ways(target: str, world: World, dice: random.Random) -> list[Way]:
    """What is cut where a server, a process or the clients are cut off."""
    if target == CLIENTS:
        return world.fronts if dice.random() < ALL_AT_ONCE else [dice.choice(world.fronts)]
    if target in SERVERS:
        return world.servers.ways_to(target)
    return [way for victim in _chosen(world, target, dice) for way in world.servers.ways_from(victim.name)]


@asynccontextmanager
async def _poisoned(target: str, toxic: str, world: World, dice: random.Random) -> AsyncIterator[None]:
    proxies, ways = world.servers.proxies, _ways(target, world, dice)
    await proxies.poison(ways, toxic, target)
    try:
        yield
    finally:
        await proxies.cure(ways, toxic, target)


@asynccontextmanager
async def _refused(server: str, world: World, _: random.Random) -> AsyncIterator[None]:
    proxies, ways = world.servers.proxies, world.servers.ways_to(server)
    await proxies.refuse(ways, refused=True)
    try:
        yield
    finally:
        await proxies.refuse(ways, refused=False)


@asynccontextmanager
async def _topic_deleted(world: World, _: random.Random) -> AsyncIterator[None]:
    await delete_topic(world.direct)
    yield


@asynccontextmanager
async def _disk_wiped(world: World, _: random.Random) -> AsyncIterator[None]:
    (broker,) = world.of("kafka")
    await broker.kill()
    await world.servers.kafka_on_an_empty_disk()
    yield
    await broker.start()


@asynccontextmanager
async def _tail_cut(world: World, dice: random.Random) -> AsyncIterator[None]:
    """As a machine that lost power before the disk had it: acknowledged messages are gone, offsets go back."""
    (broker,) = world.of("kafka")
    await broker.kill()
    partitions = range(world.direct.kafka_partitions)
    for partition in dice.sample(partitions, dice.randint(1, len(partitions))):
        folder = world.servers.kafka_logs / f"{world.direct.kafka_topic}-{partition}"
        newest = max(folder.glob("*.log"))
        with newest.open("r+b") as file:
            file.truncate(int(newest.stat().st_size * dice.choice((0.2, 0.7, 0.97))))
    yield
    await broker.start()


@asynccontextmanager
async def _offsets_moved(end: str, world: World, _: random.Random) -> AsyncIterator[None]:
    """The groups' offsets to one end of the topic, and no hint left in a checkpoint."""
    projectors = world.of("projector")
    for projector in projectors:
        await projector.stop()
    for view in PROJECTIONS.values():
        group = f"{world.direct.kafka_topic}.{view.name}.v{view.version}"
        await until(partial(_moved, world, group, end), "the group's offsets are moved", within_s=60)
    async with open_database(world.direct) as database:
        await database[CHECKPOINTS].update_many({}, {"$set": {"offset": None}})
    yield
    for projector in projectors:
        await projector.start()


async def _moved(world: World, group: str, end: str) -> bool:
    """False while the group still waits for members that were killed before, or for its coordinator."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=world.direct.kafka_bootstrap, group_id=group, enable_auto_commit=False
    )
    partitions = [TopicPartition(world.direct.kafka_topic, one) for one in range(world.direct.kafka_partitions)]
    try:
        await consumer.start()
        consumer.assign(partitions)
        offsets = await (consumer.beginning_offsets if end == "beginning" else consumer.end_offsets)(partitions)
        await consumer.commit({at: OffsetAndMetadata(offset, "") for at, offset in offsets.items()})
    except KafkaError:
        return False
    finally:
        await consumer.stop()
    return True


@asynccontextmanager
async def _views_dropped(world: World, _: random.Random) -> AsyncIterator[None]:
    """All of the database, checkpoints included, under running projectors."""
    async with open_database(world.direct) as database:
        await database.client.drop_database(database.name)
    yield


def _process_faults(target: str) -> list[Fault]:
    touched = frozenset({target})
    return [
        Fault(f"{target} killed", touched, partial(_killed, target)),
        Fault(f"{target} frozen", touched, partial(_frozen, target), freezes=True),
        Fault(f"{target} restarted", touched, partial(_restarted, target)),
    ]


CATALOGUE: Final[tuple[Fault, ...]] = (
    *[fault for target in (*PROCESSES, *SERVERS) for fault in _process_faults(target)],
    # A server from all, one process or both of its kind from all servers, the clients from one API or both.
    *[
        Fault(f"{target} {toxic}", frozenset({target}), partial(_poisoned, target, toxic))
        for target in (*SERVERS, *PROCESSES, CLIENTS)
        for toxic in TOXICS
    ],
    *[Fault(f"{server} refused", frozenset({server}), partial(_refused, server)) for server in SERVERS],
    Fault("topic deleted", frozenset({"kafka"}), _topic_deleted),
    Fault("broker's disk wiped", frozenset({"kafka"}), _disk_wiped),
    Fault("topic's tail cut", frozenset({"kafka"}), _tail_cut),
    Fault(
        "offsets to the beginning", frozenset({"kafka", "mongodb", "projector"}), partial(_offsets_moved, "beginning")
    ),
    Fault("offsets to the end", frozenset({"kafka", "mongodb", "projector"}), partial(_offsets_moved, "end")),
    Fault("views dropped", frozenset({"mongodb"}), _views_dropped),
)

Round = tuple[tuple[Fault, ...], ...]
"""Steps, one after another; the faults of a step strike together."""


def rounds(count: int, dice: random.Random) -> list[Round]:
    """Each round is one fault and then a pair. Every fault comes up before any comes up again."""
    deck: list[Fault] = []

    def deal(beside: frozenset[str] = frozenset()) -> Fault:
        if not any(fault.targets.isdisjoint(beside) for fault in deck):
            deck[:0] = dice.sample(CATALOGUE, len(CATALOGUE))
        at = max(index for index, fault in enumerate(deck) if fault.targets.isdisjoint(beside))
        return deck.pop(at)

    dealt: list[Round] = []
    for _ in range(count):
        alone, first = deal(), deal()
        dealt.append(((alone,), (first, deal(first.targets))))
    return dealt
