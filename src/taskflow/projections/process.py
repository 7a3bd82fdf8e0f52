"""`taskflow projector [NAME …]`: one reading, and a runner for each projection, until cancelled."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from taskflow.cache.cache import open_cache
from taskflow.errors import TaskflowError
from taskflow.kafka.connection import connection
from taskflow.kafka.topics import Generation, current_generation
from taskflow.privacy.keyring import KeyRing
from taskflow.projections.checkpoints import Hints
from taskflow.projections.mongo import open_database
from taskflow.projections.reading import Reading
from taskflow.projections.registry import PROJECTIONS
from taskflow.projections.rejections import Rejections
from taskflow.projections.runner import Runner
from taskflow.store.log import Log
from taskflow.store.mapper import Mapper
from taskflow.store.migrate import wait_for_schema
from taskflow.store.pool import RETRY_S, TRANSIENT_ERRORS, wait_for_pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from taskflow.settings import Settings

log = logging.getLogger(__name__)


class NoSuchProjection(TaskflowError):
    """A name on the command line that no projection has."""


async def run(settings: Settings, names: Sequence[str] = ()) -> None:
    """Runs the named projections (default: all) until cancelled. Raises NoSuchProjection, and StoreError if the topic
    does not match its generation."""
    unknown = [name for name in names if name not in PROJECTIONS]
    if unknown:
        raise NoSuchProjection(f"no projection {unknown[0]}; there are {', '.join(PROJECTIONS)}")
    connection(settings)  # reports unreadable certificate files at once
    await wait_for_schema(settings)
    pool = await wait_for_pool(settings, "taskflow projector")
    keyring = KeyRing(
        pool, settings.master_key_bytes, ttl_s=settings.person_key_ttl_s, keys_max=settings.person_keys_max
    )
    try:
        generation = await _generation(pool, settings)
        async with open_database(settings) as database, open_cache(settings) as cache, asyncio.TaskGroup() as tasks:
            projections = [PROJECTIONS[name] for name in names or PROJECTIONS]
            room = asyncio.Event()
            runners = [
                Runner(view, database, Log(pool), Mapper(keyring), cache, generation, room=room, settings=settings)
                for view in projections
            ]
            rejections = Rejections("+".join(sorted(view.name for view in projections)), database)
            reading = Reading(
                runners,
                Log(pool),
                generation,
                rejections=rejections,
                hints=Hints(database, projections, generation),
                room=room,
                settings=settings,
            )
            for runner in runners:
                tasks.create_task(runner.run(), name=f"projection {runner.projection.name}")
            tasks.create_task(reading.run(), name="reading")
            tasks.create_task(rejections.run(), name="rejected messages")
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        pool.terminate()


async def _generation(pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> Generation:
    """Reads the topic generation, waiting until the event store answers."""
    while True:
        try:
            return await current_generation(pool, settings)
        except TRANSIENT_ERRORS as error:
            log.warning("the event store does not answer", extra={"error": repr(error)})
            await asyncio.sleep(RETRY_S)
