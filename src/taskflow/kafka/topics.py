"""Topic generations: which topic carries the log, and which of its partitions carries a shard.

The partition is computed here and sent explicitly, so that it never depends on a client's hashing. The partition count
belongs to the generation, and only a new generation may have another: a topic with a different count is refused.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from taskflow.errors import TopicMismatch
from taskflow.ids import SHARDS
from taskflow.kafka.connection import connection, explained

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_FIRST: Final = """
insert into topic_generations (generation, topic, partitions) values (1, $1, $2)
on conflict do nothing
"""
_NEWEST: Final = """
select generation, topic, partitions from topic_generations order by generation desc limit 1
"""


class Generation(Struct, frozen=True, kw_only=True):
    """A topic and its partition count."""

    number: int
    topic: str
    partitions: int

    def partition_of(self, shard: int) -> int:
        return shard % self.partitions

    def shards_of(self, partition: int) -> range:
        """The shards that a partition carries."""
        return range(partition, SHARDS, self.partitions)


async def current_generation(pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> Generation:
    """The newest generation. The first process creates the first generation from its settings; from then on the stored
    row decides, and settings that differ from it are logged as a warning."""
    row = await pool.fetchrow(_NEWEST)
    if row is None:
        await pool.execute(_FIRST, settings.kafka_topic, settings.kafka_partitions)
        row = await pool.fetchrow(_NEWEST)
    if row is None:
        raise AssertionError("a generation was inserted or found")
    found = Generation(number=row[0], topic=row[1], partitions=row[2])
    if (found.topic, found.partitions) != (settings.kafka_topic, settings.kafka_partitions):
        log.warning(
            "the settings name another topic than the generation in use; it is kept",
            extra={
                "generation": found.number,
                "topic": found.topic,
                "partitions": found.partitions,
                "topic_in_settings": settings.kafka_topic,
                "partitions_in_settings": settings.kafka_partitions,
            },
        )
    return found


class Topics:
    """Checks and creates topics. Made by `open_topics`."""

    def __init__(self, admin: AIOKafkaAdminClient, settings: Settings) -> None:
        self._admin = admin
        self._settings = settings

    async def check(self, generation: Generation) -> bool:
        """Whether the generation's topic exists. Raises TopicMismatch if it has another partition count."""
        async with asyncio.timeout(self._settings.kafka_request_timeout_ms / 1000):
            # Of all topics: a broker may create a topic that is asked for by name.
            topics = await self._admin.describe_topics()
        found = [topic for topic in topics if topic["topic"] == generation.topic and not topic["error_code"]]
        if not found:
            return False
        partitions = len(found[0]["partitions"])
        if partitions != generation.partitions:
            raise TopicMismatch(generation.topic, generation.partitions, partitions)
        return True

    async def ensure(self, generation: Generation) -> bool:
        """Creates the topic if it does not exist; returns whether it did. Raises as `check` does."""
        if await self.check(generation):
            return False
        settings = self._settings
        topic = NewTopic(
            generation.topic,
            generation.partitions,
            settings.kafka_replication,
            topic_configs={
                "cleanup.policy": "delete",
                "retention.ms": str(settings.kafka_retention_hours * 3_600_000),
                # Uncompressed, so that the bound below is what a reader has to hold: compressed kilobytes can be gigabytes.
                "compression.type": "uncompressed",
                "max.message.bytes": str(settings.kafka_message_bytes_max),
                # With one replica in sync as the minimum, acks=all would promise nothing.
                "min.insync.replicas": str(max(1, settings.kafka_replication - 1)),
            },
        )
        async with asyncio.timeout(settings.kafka_request_timeout_ms / 1000):
            response = await self._admin.create_topics([topic])
            for name, code, *message in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(f"creating topic {name}: {' '.join(map(str, message))}")
            log.info("topic created", extra={"topic": generation.topic, "partitions": generation.partitions})
            while not await self.check(generation):  # noqa: ASYNC110 - the broker tells nobody
                await asyncio.sleep(settings.relay_backoff_min_ms / 1000)
        return True


@asynccontextmanager
async def open_topics(settings: Settings) -> AsyncIterator[Topics]:
    """Connects an admin client. Raises KafkaError if no broker answers."""
    admin = AIOKafkaAdminClient(**connection(settings), request_timeout_ms=settings.kafka_request_timeout_ms)
    try:
        try:
            await admin.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise await explained(settings, error) from error
        yield Topics(admin, settings)
    finally:
        await admin.close()
