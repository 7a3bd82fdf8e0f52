"""Reads return entries at least as fresh as requested, and concurrent readers share loads."""

from __future__ import annotations

import asyncio

import pytest

from taskflow.cache.cache import KEYS_MAX, Cache
from tests.commands.world import until

from .world import TTL_S, Views, get


async def test_an_entry_below_the_requested_position_is_loaded_again(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    views.write("k", b"old")
    await get(cache, views, "k")
    views.write("k", b"new")
    assert await get(cache, views, "k") == b"old", "not invalidated, and no newer position requested"
    assert await get(cache, views, "k", at_least=views.position) == b"new"
    assert await get(other_cache, views, "k") == b"new", "the newer entry was cached"
    assert views.loads["k"] == 2


async def test_many_readers_share_one_load(cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    views.hold()
    readers = [asyncio.create_task(get(cache, views, "k")) for _ in range(500)]
    await until(lambda: cache.misses == 500, "all of them waiting")
    views.open.set()
    assert await asyncio.gather(*readers) == [b"body"] * 500
    assert views.calls == 1


async def test_readers_share_a_load_also_if_another_process_has_the_lease(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    views.write("k", b"body")
    views.hold()
    elsewhere = asyncio.create_task(get(other_cache, views, "k"))
    await views.began.wait()
    readers = [asyncio.create_task(get(cache, views, "k")) for _ in range(50)]
    await until(lambda: cache.misses == 50, "all of them waiting")
    views.open.set()
    assert await asyncio.gather(elsewhere, *readers) == [b"body"] * 51
    assert views.calls == 2


async def test_a_reader_loads_again_if_the_shared_load_is_below_its_position(cache: Cache, views: Views) -> None:
    views.write("k", b"old")
    views.hold()
    slow = asyncio.create_task(get(cache, views, "k"))
    await views.began.wait()
    views.write("k", b"new")
    wanted = views.position
    fresh = asyncio.create_task(get(cache, views, "k", at_least=wanted))
    await until(lambda: cache.misses == 2, "both waiting")
    views.open.set()
    assert await slow == b"old"
    assert await fresh == b"new"
    assert await get(cache, views, "k", at_least=wanted) == b"new"


async def test_a_reader_of_many_keys_shares_loads_for_some_and_loads_the_rest(cache: Cache, views: Views) -> None:
    for key in ("a", "b", "c"):
        views.write(key, key.encode())
    await get(cache, views, "c")
    views.hold()
    first = asyncio.create_task(get(cache, views, "a"))
    await views.began.wait()
    many = asyncio.create_task(cache.get_many(["a", "b", "c", "none"], at_least=0, ttl_s=TTL_S, load=views.load))
    await until(lambda: views.calls == 3, "a load of the other keys beside the shared one")
    views.open.set()
    assert await first == b"a"
    assert {key: entry.body for key, entry in (await many).items()} == {"a": b"a", "b": b"b", "c": b"c"}
    assert views.loads == {"a": 1, "b": 1, "c": 1, "none": 1}


async def test_a_load_continues_after_its_first_caller_is_cancelled(cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    views.hold()
    leaving = asyncio.create_task(get(cache, views, "k"))
    await views.began.wait()
    staying = asyncio.create_task(get(cache, views, "k"))
    await until(lambda: cache.misses == 2, "both waiting")
    leaving.cancel()
    await asyncio.wait([leaving])
    late = asyncio.create_task(get(cache, views, "k"))
    await until(lambda: cache.misses == 3, "one more")
    views.open.set()
    assert [await staying, await late, await get(cache, views, "k")] == [b"body"] * 3
    assert views.calls == 1


async def test_a_failed_load_fails_its_caller_and_is_repeated_by_those_who_shared_it(
    cache: Cache, views: Views
) -> None:
    views.write("k", b"body")
    views.hold()
    views.error = RuntimeError("no documents today")
    failing = asyncio.create_task(get(cache, views, "k"))
    await views.began.wait()
    joined = asyncio.create_task(get(cache, views, "k"))
    await until(lambda: cache.misses == 2, "both waiting")
    views.open.set()
    with pytest.raises(RuntimeError, match="no documents today"):
        await failing
    with pytest.raises(RuntimeError, match="no documents today"):
        await joined
    assert views.calls == 2
    views.error = None
    assert await get(cache, views, "k") == b"body"
    assert cache._loading == {}


@pytest.mark.parametrize("count", [KEYS_MAX, KEYS_MAX + 1, 20_000])
async def test_many_keys_are_cached_and_found(cache: Cache, other_cache: Cache, views: Views, count: int) -> None:
    keys = [f"user:{n}" for n in range(count)]
    views.bodies = {key: key.encode() * 3 for key in keys}
    for one in (cache, other_cache):
        entries = await one.get_many(keys, at_least=0, ttl_s=TTL_S, load=views.load)
        assert {key: entry.body for key, entry in entries.items()} == views.bodies
    assert (views.calls, cache.away) == (1, False)
    assert await cache.invalidate(keys)
    assert await cache.redis.dbsize() == 0
