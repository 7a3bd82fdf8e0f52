"""Ranges of the log are attached ahead, by whoever comes by, without holding anybody up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
from msgspec.structs import replace

from taskflow.ids import new_id
from taskflow.store import partitions
from taskflow.store.append import Receipt

from .test_append import append, commit

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

_ATTACHED = "select count(*) from pg_inherits where inhparent = 'events'::regclass"


async def test_ranges_are_made_once_however_many_make_them(store: EventStore, settings: Settings) -> None:
    assert await partitions.attach_ahead(store.pool, settings) == 0
    beyond = 3 * settings.events_range_size
    await store.pool.execute("update log_head set position = $1", beyond)
    made = await asyncio.gather(*[partitions.attach_ahead(store.pool, settings) for _ in range(8)])
    # Who came second at the same moment left it for later; in the end all are there, each once.
    await partitions.attach_ahead(store.pool, settings)
    assert sum(made) <= partitions.RANGES_AHEAD + 1
    assert await store.pool.fetchval(_ATTACHED) == 3 + partitions.RANGES_AHEAD + 1
    (receipt,) = await commit(store, append((new_id(), 0)))
    assert isinstance(receipt, Receipt)
    assert receipt.position == beyond + 1


async def test_a_range_that_cannot_be_attached_now_is_left_for_later(store: EventStore, settings: Settings) -> None:
    small = replace(settings, events_range_size=settings.events_range_size * 10)
    reader = await asyncpg.connect(settings.postgres_url)
    try:
        async with reader.transaction():
            await reader.execute("lock table events in share update exclusive mode")
            before = await store.pool.fetchval(_ATTACHED)
            assert await partitions.attach_ahead(store.pool, small) == 0
            (receipt,) = await commit(store, append((new_id(), 0)))
            assert isinstance(receipt, Receipt)
        assert await store.pool.fetchval(_ATTACHED) == before
        assert await partitions.attach_ahead(store.pool, small) > 0
    finally:
        await reader.close()
