"""Cancelled readers, and random concurrent reads, fills and invalidations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from redis.asyncio import Redis

from taskflow.cache.cache import Cache
from taskflow.ids import new_id

from .world import TTL_S, Views, get


async def test_thousands_of_cancelled_requests_never_see_the_answer_of_another(cache: Cache, views: Views) -> None:
    """A cancelled command must not leave its answer in the connection for the next caller."""
    dice = random.Random(5)
    keys = [f"user:{new_id()}" for _ in range(200)]
    views.bodies = {key: key.encode() for key in keys}
    aborted = 0

    async def read() -> None:
        wanted = dice.sample(keys, dice.randint(1, 5))
        entries = await cache.get_many(wanted, at_least=0, ttl_s=TTL_S, load=views.load)
        assert {key: entry.body for key, entry in entries.items()} == {key: key.encode() for key in wanted}

    async def read_and_leave() -> None:
        nonlocal aborted
        reading = asyncio.create_task(read())
        for _ in range(dice.randint(0, 12)):
            await asyncio.sleep(0)
        if reading.cancel():
            aborted += 1
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()

    while aborted < 3_000:
        await asyncio.gather(*[read_and_leave() for _ in range(20)], *[read() for _ in range(4)])
        if dice.random() < 0.05:
            await cache.invalidate(dice.sample(keys, 20))
    for key in keys:
        assert await get(cache, views, key) == key.encode()
    assert not cache.away
    # Also checked in Redis: no body is stored under another key.
    raw: Redis = cache.redis
    for key in keys:
        assert await raw.hget(key, "body") in (key.encode(), None)
    assert cache.hits > 0


async def test_a_cached_answer_is_never_older_than_the_last_invalidation(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    """Invariant 8, with loads of random length between invalidations."""
    dice = random.Random(8)
    floor = {f"user:{n}": 0 for n in range(8)}
    for key in floor:
        views.write(key, b"0")

    async def slow_load(keys: Sequence[str]) -> tuple[int, dict[str, bytes]]:
        read = await views.load(keys)
        for _ in range(dice.randint(0, 30)):
            await asyncio.sleep(0)
        return read

    async def reader(one: Cache) -> None:
        for _ in range(300):
            wanted = dice.sample(sorted(floor), 3)
            promised = {key: floor[key] for key in wanted}
            entries = await one.get_many(wanted, at_least=0, ttl_s=TTL_S, load=slow_load)
            for key in wanted:
                assert int(entries[key].body) >= promised[key]

    async def projector() -> None:
        for turn in range(1, 400):
            key = dice.choice(sorted(floor))
            views.write(key, b"%d" % turn)
            if await dice.choice((cache, other_cache)).invalidate([key]):
                floor[key] = turn

    await asyncio.gather(*[reader(one) for one in (cache, other_cache) * 4], projector())
    assert max(floor.values()) > 300
