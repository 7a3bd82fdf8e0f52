"""The cache works without Redis: killed, hanging, full, or restarted from a dump."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from taskflow.cache.cache import Cache, entry_name, open_cache
from taskflow.settings import Settings
from tests.commands.world import BOUND_S, until

from .world import Views, get


async def test_without_redis_everything_is_loaded_and_later_cached_again(
    cache: Cache, views: Views, server: Any
) -> None:
    views.write("k", b"body")
    await get(cache, views, "k")
    server("valkey").kill()
    for n in range(3):
        views.write("k", b"body %d" % n)
        assert await get(cache, views, "k", at_least=views.position) == b"body %d" % n
    assert not await cache.invalidate(["k"]), "not acknowledged"
    assert not await cache.clear()
    server("valkey").start()

    async def kept() -> bool:
        await get(cache, views, "k")
        return bool(await cache.redis.exists(entry_name("k")))

    await until(kept, "an entry in the new Redis")
    views.write("k", b"last")

    async def acknowledged() -> bool:
        return await cache.invalidate(["k"])

    await until(acknowledged, "an invalidation that is acknowledged")
    assert await get(cache, views, "k") == b"last"


async def test_entries_restored_from_a_dump_are_misses(cache: Cache, views: Views, own: Settings, server: Any) -> None:
    """A restart from a dump restores entries that were invalidated after the dump."""
    views.write("k", b"old")
    await get(cache, views, "k")
    valkey = server("valkey")
    await cache.redis.config_set("save", "")
    await cache.redis.save()
    folder = (await cache.redis.config_get("dir"))["dir"]
    name = (await cache.redis.config_get("dbfilename"))["dbfilename"]
    assert folder is not None
    assert name is not None
    dump = Path(folder) / name
    try:
        views.write("k", b"new")
        assert await cache.invalidate(["k"])
        valkey.kill()
        valkey.start()
        async with open_cache(own) as fresh:
            assert await fresh.redis.hget(entry_name("k"), "body") == b"old", (
                "the dump was not loaded, so this test proves nothing"
            )
            assert await get(fresh, views, "k") == b"new"
            assert await get(fresh, views, "k") == b"new"
            assert views.loads["k"] == 2
    finally:
        dump.unlink()


async def test_a_hanging_redis_is_called_once_and_then_not_until_the_pause_is_over(
    own: Settings, views: Views, server: Any
) -> None:
    views.write("k", b"body")
    async with open_cache(replace(own, cache_timeout_ms=100, cache_breaker_open_ms=3_600_000)) as cache:
        await get(cache, views, "k")
        server("valkey").pause()
        async with asyncio.timeout(BOUND_S):  # each call would take the timeout if Redis were called
            assert await get(cache, views, "k") == b"body"
            assert cache.away
            for _ in range(1_000):
                assert await get(cache, views, "k") == b"body"
            assert not await cache.invalidate(["k"])
        server("valkey").resume()
        assert cache.away, "the breaker stays open for the whole pause"
        cache._quiet_until = 0.0
        views.write("k", b"newer")
        assert await get(cache, views, "k") == b"body", "the entry is still cached"
        assert await cache.invalidate(["k"])
        assert await get(cache, views, "k") == b"newer"


async def test_concurrent_readers_share_one_load_while_redis_hangs(own: Settings, views: Views, server: Any) -> None:
    views.write("k", b"body")
    async with open_cache(replace(own, cache_timeout_ms=100, cache_breaker_open_ms=3_600_000)) as cache:
        server("valkey").pause()
        views.hold()
        readers = [asyncio.create_task(get(cache, views, "k")) for _ in range(200)]
        await until(lambda: cache.misses == 200, "all of them waiting")
        views.open.set()
        assert await asyncio.gather(*readers) == [b"body"] * 200
        assert views.calls == 1
