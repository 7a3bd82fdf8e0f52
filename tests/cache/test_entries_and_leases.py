"""Entries, leases and invalidations on a real Valkey."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from taskflow.cache.cache import Cache, Entry, entry_name, lease_name, open_cache
from taskflow.settings import Settings
from tests.commands.world import until

from .world import TTL_S, Views, get


async def test_a_second_read_is_a_hit_in_every_process(cache: Cache, other_cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    for one in (cache, cache, other_cache):
        entries = await one.get_many(["k"], at_least=0, ttl_s=TTL_S, load=views.load)
        assert entries == {"k": Entry(views.position, b"body")}
    assert views.loads == {"k": 1}
    assert (cache.hits, cache.misses, other_cache.hits) == (1, 1, 1)


async def test_an_entry_of_another_epoch_of_the_log_is_a_miss(own: Settings, views: Views) -> None:
    """Its position says nothing there: what it was read from may have been lost with a server."""
    views.write("k", b"lost")
    async with open_cache(own, epoch=1) as before, open_cache(own, epoch=2) as after:
        assert await get(before, views, "k") == b"lost"
        views.write("k", b"kept")
        assert await get(after, views, "k") == b"kept"
        assert await get(after, views, "k") == b"kept"
        assert views.loads == {"k": 2}
        # An invalidation deletes what is there, of whatever epoch.
        views.write("k", b"new")
        assert await before.invalidate(["k"])
        assert await get(after, views, "k") == b"new"


async def test_a_missing_document_is_neither_returned_nor_cached(cache: Cache, views: Views) -> None:
    assert await get(cache, views, "nothing") is None
    views.write("nothing", b"something")
    assert await get(cache, views, "nothing") == b"something"


async def test_an_empty_list_of_keys_calls_nothing(cache: Cache, views: Views) -> None:
    assert await cache.get_many([], at_least=0, ttl_s=TTL_S, load=views.load) == {}
    assert await cache.invalidate([]) is True
    assert (views.calls, cache.away) == (0, False)


async def test_a_fill_that_began_before_an_invalidation_is_dropped(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    views.write("k", b"old")
    views.hold()
    slow = asyncio.create_task(get(cache, views, "k"))
    await views.began.wait()
    views.write("k", b"new")
    assert await other_cache.invalidate(["k"])
    views.open.set()
    assert await slow == b"old", "it had read before the invalidation"
    for one in (cache, other_cache):
        assert await get(one, views, "k") == b"new"


async def test_a_reader_after_an_invalidation_does_not_share_an_earlier_load(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    views.write("k", b"old")
    views.hold()
    slow = asyncio.create_task(get(cache, views, "k"))
    await views.began.wait()
    views.write("k", b"new")
    assert await other_cache.invalidate(["k"])
    later = asyncio.create_task(get(cache, views, "k"))
    await until(lambda: views.calls == 2, "a load of its own")
    # A later reader shares the new load, not the old one.
    last = asyncio.create_task(get(cache, views, "k"))
    await until(lambda: cache.misses == 3, "a third reader")
    views.open.set()
    assert [await slow, await later, await last] == [b"old", b"new", b"new"]
    assert views.calls == 2
    assert await get(other_cache, views, "k") == b"new"


async def test_an_invalidation_deletes_entry_and_lease(cache: Cache, views: Views) -> None:
    views.write("entry", b"1")
    views.write("lease", b"2")
    await get(cache, views, "entry")
    views.hold()
    slow = asyncio.create_task(get(cache, views, "lease"))
    await views.began.wait()
    assert set(await cache.redis.keys()) == {entry_name("entry").encode(), lease_name("lease").encode()}
    assert await cache.invalidate(["entry", "lease"])
    assert await cache.redis.keys() == []
    views.open.set()
    await slow
    assert await cache.redis.keys() == []


async def test_clearing_deletes_all_entries_and_nothing_else(cache: Cache, views: Views) -> None:
    keys = [f"{kind}:{n}" for kind in ("user", "board") for n in range(50)]
    for key in keys:
        views.write(key, b"x")
    await cache.get_many(keys, at_least=0, ttl_s=TTL_S, load=views.load)
    await cache.redis.set("login:somebody", 1)
    assert await cache.clear()
    assert await cache.redis.keys() == [b"login:somebody"]


async def test_clearing_takes_as_many_commands_as_it_needs(own: Settings) -> None:
    """Each command stays within the time limit, also for a cache too large for a single command."""
    async with open_cache(replace(own, cache_timeout_ms=1_000)) as cache:
        for begin in range(0, 60_000, 10_000):
            await cache.redis.mset({entry_name(f"user:{n}"): b"" for n in range(begin, begin + 10_000)})
        assert await cache.clear()
        assert await cache.redis.dbsize() == 0


async def test_a_fill_whose_lease_expired_is_dropped(own: Settings, views: Views) -> None:
    async with open_cache(replace(own, cache_lease_ttl_ms=1)) as hasty, open_cache(own) as other:
        views.write("k", b"old")
        views.hold()
        slow = asyncio.create_task(get(hasty, views, "k"))
        await views.began.wait()

        async def expired() -> bool:
            return not await other.redis.exists(lease_name("k"))

        await until(expired, "a lease that expired")
        views.open.set()
        await slow
        assert not await other.redis.exists(entry_name("k"))
        # The next reader gets a lease and fills the entry.
        assert await get(other, views, "k") == b"old"
        assert await other.redis.exists(entry_name("k"))


@pytest.mark.parametrize("evicted", ["k", "k:lease"])
async def test_an_evicted_entry_or_lease_is_a_miss(cache: Cache, views: Views, evicted: str) -> None:
    views.write("k", b"body")
    if evicted == "k":
        await get(cache, views, "k")
        await cache.redis.delete(entry_name("k"))
    else:
        views.hold()
        slow = asyncio.create_task(get(cache, views, "k"))
        await views.began.wait()
        await cache.redis.delete(lease_name("k"))
        views.open.set()
        await slow
        assert not await cache.redis.exists(entry_name("k"))
    assert await get(cache, views, "k") == b"body"
    assert views.loads["k"] == 2


async def test_entries_and_leases_expire(cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    await get(cache, views, "k")
    assert 0 < await cache.redis.ttl(entry_name("k")) <= TTL_S
    views.hold()
    slow = asyncio.create_task(get(cache, views, "missing"))
    await views.began.wait()
    assert 0 < await cache.redis.pttl(lease_name("missing")) <= 5_000
    views.open.set()
    await slow


async def test_a_full_redis_is_treated_as_away(cache: Cache, views: Views) -> None:
    before = await cache.redis.config_get("maxmemory*")
    try:
        await cache.redis.config_set("maxmemory-policy", "noeviction")
        await cache.redis.config_set("maxmemory", 1)
        for n in range(3):
            views.write("k", b"%d" % n)
            assert await get(cache, views, "k") == b"%d" % n
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            value = before[name]
            assert value is not None
            await cache.redis.config_set(name, value)


async def test_a_value_that_is_too_large_is_not_cached_and_leaves_no_lease(own: Settings, views: Views) -> None:
    """A large value is returned but not cached, and an older, smaller entry under its key is deleted."""
    async with open_cache(replace(own, cache_entry_bytes_max=10)) as cache:
        views.write("small", b"0123456789")
        views.write("large", b"01234567890")
        for _ in range(2):
            entries = await cache.get_many(["small", "large"], at_least=0, ttl_s=TTL_S, load=views.load)
            assert {key: len(entry.body) for key, entry in entries.items()} == {"small": 10, "large": 11}
        assert views.loads == {"small": 1, "large": 2}
        assert cache.too_large == 2
        assert await cache.redis.exists(entry_name("small")) == 1
        assert await cache.redis.exists(entry_name("large"), lease_name("large")) == 0
        views.write("small", b"it has grown")
        assert await get(cache, views, "small", at_least=views.position) == b"it has grown"
        assert await cache.redis.exists(entry_name("small"), lease_name("small")) == 0
