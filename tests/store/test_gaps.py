"""Invariant 2: a reader that tails positions never skips an event.

Writers of three kinds at once: committers that group, and rude ones that call the append function in
a transaction of their own, hold it open, and half of the time roll it back.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import asyncpg
from msgspec.structs import replace

from taskflow.ids import new_id
from taskflow.store.append import Receipt
from taskflow.store.append_group import CALL, arguments

from .test_append import append, event

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

EVENTS = 100_000
BURST = 50


async def _commit_bursts(store: EventStore, stop: asyncio.Event) -> int:
    done = 0
    while not stop.is_set():
        stream = new_id()
        one = append((stream, 0))
        burst = replace(one, events=tuple(event(stream, version) for version in range(1, BURST + 1)))
        outcome = await store.committer.submit(burst)
        assert isinstance(outcome, Receipt)
        done += BURST
    return done


async def _hold_lock_and_roll_back(settings: Settings, stop: asyncio.Event, dice: random.Random) -> int:
    """Holds the lock for a moment, with positions handed out, and then changes its mind or does not."""
    connection = await asyncpg.connect(settings.postgres_url)
    done = 0
    try:
        while not stop.is_set():
            encoded = arguments([append((new_id(), 0))])
            transaction = connection.transaction()
            await transaction.start()
            await connection.fetch(CALL, 1, *encoded)
            await asyncio.sleep(dice.random() * 0.01)
            if dice.random() < 0.5:
                await transaction.rollback()
            else:
                await transaction.commit()
                done += 1
            await asyncio.sleep(dice.random() * 0.02)
    finally:
        await connection.close()
    return done


async def test_a_tailing_reader_skips_nothing(store: EventStore, other_store: EventStore, settings: Settings) -> None:
    stop = asyncio.Event()
    dice = random.Random(4)
    seen: list[int] = []

    async def read_on() -> bool:
        page = await store.log.read(seen[-1] if seen else 0, limit=1000)
        seen.extend(event.position for event in page)
        return bool(page)

    async def tail() -> int:
        while len(seen) < EVENTS:
            await read_on()
        stop.set()
        return 0

    written = await asyncio.gather(
        *[_commit_bursts(store, stop) for _ in range(4)],
        *[_commit_bursts(other_store, stop) for _ in range(4)],
        *[_hold_lock_and_roll_back(settings, stop, dice) for _ in range(3)],
        tail(),
    )
    while await read_on():
        pass
    total = sum(written)
    stored = await store.pool.fetchval("select count(*) from events")
    assert len(seen) == total == stored >= EVENTS
    assert seen == sorted(set(seen))
