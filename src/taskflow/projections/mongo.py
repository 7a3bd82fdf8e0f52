"""Opens connections to MongoDB; no other module does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.settings import Settings

Collection = AsyncCollection[dict[str, Any]]
Database = AsyncDatabase[dict[str, Any]]

CLOSE_S: Final = 0.5
"""Timeout for closing: without it the driver would try to reach an unavailable server for much longer."""


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Opens the views' database: majority reads, journaled majority writes, pooled connections."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.mongodb_url,
        uuidRepresentation="standard",
        maxPoolSize=settings.mongodb_pool_max,
        minPoolSize=settings.mongodb_pool_min,
        serverSelectionTimeoutMS=settings.mongodb_timeout_ms,
        connectTimeoutMS=settings.mongodb_timeout_ms,
        waitQueueTimeoutMS=settings.mongodb_timeout_ms,
        # A server that hangs must not block a worker: the worker would still look alive to Kafka.
        socketTimeoutMS=settings.mongodb_socket_timeout_ms,
        # Set on the client, not on the database: transactions use the client's read and write concern.
        readConcernLevel="majority",
        w="majority",
        journal=True,
        wTimeoutMS=settings.mongodb_timeout_ms,
        appname="taskflow",
    )
    try:
        yield client.get_database(settings.mongodb_database)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await client.close()
