"""How far a topic's partitions reach. Offsets are hints: where they went back, something was lost."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from taskflow.kafka.connection import connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.kafka.topics import Generation
    from taskflow.settings import Settings

CLOSE_S: Final = 0.5
"""How long a client may take to say goodbye; a process must be gone within two seconds of being told."""


class Offsets:
    """Made by `open_offsets`."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def ends(self, generation: Generation) -> list[int]:
        """The offset that each partition's next message gets, partition 0 first. The topic must exist."""
        partitions = [TopicPartition(generation.topic, number) for number in range(generation.partitions)]
        found = await self._consumer.end_offsets(partitions)
        return [found[partition] for partition in partitions]


@asynccontextmanager
async def open_offsets(settings: Settings) -> AsyncIterator[Offsets]:
    """A consumer that reads nothing and belongs to no group. Raises KafkaError where there is no broker."""
    consumer = AIOKafkaConsumer(
        **connection(settings),
        enable_auto_commit=False,
        request_timeout_ms=settings.kafka_request_timeout_ms,
    )
    try:
        await consumer.start()
        yield Offsets(consumer)
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), CLOSE_S)
