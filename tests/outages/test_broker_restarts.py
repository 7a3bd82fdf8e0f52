"""The broker is killed and started again and again under load: producers and consumers heal by themselves."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from taskflow.projections.collection_names import CHECKPOINTS
from taskflow.projections.mongo import open_database
from taskflow.projections.registry import PROJECTIONS
from taskflow.settings import Settings
from tests.api.stack import Caller, accepted, until
from tests.outages.deployment import Deployment, Observer

HEAL_S = 60.0
CLIENTS = 2


@pytest.mark.timeout(900)
async def test_after_many_restarts_nothing_lags(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller, request: pytest.FixtureRequest
) -> None:
    restarts: int = request.config.getoption("--broker-restarts")
    positions: list[int] = []
    stop = asyncio.Event()

    async def client(number: int) -> None:
        while not stop.is_set():
            positions.append((await ada.task(f"{number}/{len(positions)}"))["position"])
            await asyncio.sleep(0.02)

    clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    for _ in range(restarts):
        before = len(positions)
        async with deployment.without("kafka", "killed"):

            async def went_on(before: int = before) -> bool:
                return len(positions) > before + 10

            await until(went_on, "writes go on without a broker")
    began = time.monotonic()
    stop.set()
    await asyncio.gather(*clients)
    ends = await ends_of(deployment.settings)

    async def published() -> bool:
        return await operator.metric("taskflow_relay_lag_events") == [0]

    async def at_the_head() -> bool:
        return not any(await operator.metric("taskflow_view_lag_events"))

    async def heard() -> bool:
        return await consumed(deployment.settings, ends)

    for holds, what in ((published, "the relay's lag is 0"), (at_the_head, "the views are at the head")):
        await until(holds, what, within_s=HEAL_S - (time.monotonic() - began))
    await until(heard, "every projection hears Kafka itself again", within_s=HEAL_S - (time.monotonic() - began))
    print(f"healed {time.monotonic() - began:.1f} s after restart {restarts}; {len(positions)} writes")  # noqa: T201 - the figure that is reported
    accepted(await ada.read("/tasks", max(positions)))
    await operator.until_healthy()


async def ends_of(settings: Settings) -> dict[int, int]:
    """Where each partition of the topic ends."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap)
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.kafka_topic, number) for number in range(settings.kafka_partitions)]
        found: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return {partition.partition: end for partition, end in found.items()}
    finally:
        await consumer.stop()


async def consumed(settings: Settings, ends: dict[int, int]) -> bool:
    """Whether every projection has taken from Kafka what lay before these ends."""
    async with open_database(settings) as database:
        offsets = {
            (found["projection"], found["partition"]): found["offset"] async for found in database[CHECKPOINTS].find()
        }
    return all((offsets.get((view, number)) or 0) >= end for view in PROJECTIONS for number, end in ends.items())
