"""The producer of the relay: a batch is delivered as a whole, or the producer is given up.

aiokafka 0.14 retries for ever while a broker does not answer, and its idempotent producer can stay unusable after an outage
(#1017). So each batch has a time limit, and after any failure the relay connects a new producer.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from taskflow.kafka.connection import connection
from taskflow.kafka.mac import MessageKeys
from taskflow.kafka.offsets import CLOSE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from taskflow.kafka.message import Encoded
    from taskflow.settings import Settings

BATCH_BYTES_MAX: Final = 262_144
"""Of one partition's request: aiokafka has one request per partition in flight, so small ones cost round trips."""


class Publisher:
    """Signs and delivers messages. Made by `open_publisher`."""

    def __init__(self, producer: AIOKafkaProducer, keys: MessageKeys, settings: Settings) -> None:
        self._producer = producer
        self._keys = keys
        self._timeout_s = settings.kafka_request_timeout_ms / 1000

    async def publish(self, topic: str, messages: Iterable[tuple[int, Encoded]]) -> list[tuple[int, int]]:
        """Signs (partition, message) pairs and delivers them in order to all replicas in sync; returns (partition, offset)
        of each. An offset is -1 if the broker had the message already.

        Raises KafkaError or TimeoutError: some messages may have been delivered, and the producer must not be used again.
        """
        deadline = time.monotonic() + self._timeout_s
        delivered: list[asyncio.Future[Any]] = []
        partitions: list[int] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                for partition, unsigned in messages:
                    message = self._keys.sign(topic, partition, unsigned)
                    delivered.append(
                        await self._producer.send(
                            topic, message.value, key=message.key, partition=partition, headers=message.headers
                        )
                    )
                    partitions.append(partition)
            pending: set[asyncio.Future[Any]] = set()
            if delivered:
                _, pending = await asyncio.wait(delivered, timeout=max(0.0, deadline - time.monotonic()))
            if pending:
                raise KafkaTimeoutError(f"{len(pending)} of {len(delivered)} messages were not acknowledged in time")
            return [(partition, one.result().offset) for partition, one in zip(partitions, delivered, strict=True)]
        except AssertionError as error:  # raised by aiokafka for a partition that does not exist any more
            raise KafkaError(f"sending to {topic}: {error}") from error
        finally:
            for one in delivered:
                _retrieve_exception(one)


def _retrieve_exception(future: asyncio.Future[Any]) -> None:
    """Marks a future's exception as retrieved: the batch has already failed with the first exception."""
    if not future.done():
        future.add_done_callback(_retrieve_exception)
    elif not future.cancelled():
        future.exception()


@asynccontextmanager
async def open_publisher(settings: Settings) -> AsyncIterator[Publisher]:
    """Connects an idempotent producer. Raises KafkaError or TimeoutError if no broker answers."""
    keys = MessageKeys.of(settings)
    producer = AIOKafkaProducer(
        **connection(settings),
        enable_idempotence=True,
        acks="all",
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=settings.kafka_message_bytes_max,
        request_timeout_ms=settings.kafka_request_timeout_ms,
    )
    try:
        async with asyncio.timeout(settings.kafka_request_timeout_ms / 1000):
            await producer.start()
        yield Publisher(producer, keys, settings)
    finally:
        await _drop(producer)


async def _drop(producer: AIOKafkaProducer) -> None:
    """Closes the producer without the flush of stop(), which would wait for ever for messages that cannot be sent. The next
    leadership sends them again."""
    with suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(CLOSE_S):
            await producer.client.close()
            await producer._sender.close()  # noqa: SLF001 - no public call ends the sender alone
    producer._closed = True  # noqa: SLF001 - else its destructor warns that it was not stopped
