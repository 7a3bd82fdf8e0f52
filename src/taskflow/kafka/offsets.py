"""End offsets of a topic's partitions. Where one is lower than before, the broker has lost messages."""

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
"""How long closing a client may take; a process has to end within two seconds after it was told to stop."""


class Offsets:
    """Reads end offsets. Made by `open_offsets`."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def ends(self, generation: Generation) -> list[int]:
        """The offset that the next message of each partition will have, partition 0 first. The topic must exist."""
        partitions = [TopicPartition(generation.topic, number) for number in range(generation.partitions)]
        found = await self._consumer.end_offsets(partitions)
        return [found[partition] for partition in partitions]


@asynccontextmanager
async def open_offsets(settings: Settings) -> AsyncIterator[Offsets]:
    """Connects a consumer that reads nothing and belongs to no group. Raises KafkaError if no broker answers."""
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
