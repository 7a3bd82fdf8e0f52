"""Entries, leases and invalidations on a real Valkey, which may be slow, gone, full or another by now."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from taskflow.cache.cache import KEYS_MAX, Cache, Entry, open_cache
from taskflow.ids import new_id
from taskflow.settings import Settings
from tests.commands.world import BOUND_S, until

TTL_S = 60


class Views:
    """What the cache stands before: documents that change, a position, and loads that can be held."""

    def __init__(self) -> None:
        self.position = 1
        self.bodies: dict[str, bytes] = {}
        self.loads: Counter[str] = Counter()
        self.calls = 0
        self.began = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    def write(self, key: str, body: bytes) -> None:
        """A projector's transaction: the document, and the position that it is as fresh as."""
        self.position += 1
        self.bodies[key] = body

    async def load(self, keys: Sequence[str]) -> tuple[int, dict[str, bytes]]:
        self.calls += 1
        self.loads.update(keys)
        # Read first and answered later, as a slow query does.
        read = self.position, {key: self.bodies[key] for key in keys if key in self.bodies}
        self.began.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return read

    def hold(self) -> None:
        self.began.clear()
        self.open.clear()


@pytest.fixture
def views() -> Views:
    return Views()


@pytest.fixture
def own(settings: Settings) -> Settings:
    # Generous: a busy machine is no failure of Redis's. Tests that mean a short one say so.
    return replace(settings, cache_timeout_ms=5_000, cache_pause_ms=100)


@pytest.fixture
async def cache(own: Settings) -> AsyncIterator[Cache]:
    async with open_cache(own) as cache:
        yield cache


@pytest.fixture
async def other_cache(own: Settings) -> AsyncIterator[Cache]:
    """Another process's way to the same Redis."""
    async with open_cache(own) as cache:
        yield cache


async def get(cache: Cache, views: Views, key: str, *, at_least: int = 0) -> bytes | None:
    entries = await cache.get_many([key], at_least=at_least, ttl_s=TTL_S, load=views.load)
    return entries[key].body if key in entries else None


# --- entries and leases


async def test_a_second_read_is_a_hit_in_every_process(cache: Cache, other_cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    for one in (cache, cache, other_cache):
        entries = await one.get_many(["k"], at_least=0, ttl_s=TTL_S, load=views.load)
        assert entries == {"k": Entry(views.position, b"body")}
    assert views.loads == {"k": 1}
    assert (cache.hits, cache.misses, other_cache.hits) == (1, 1, 1)


async def test_what_does_not_exist_is_not_answered_and_not_kept(cache: Cache, views: Views) -> None:
    assert await get(cache, views, "nothing") is None
    views.write("nothing", b"something")
    assert await get(cache, views, "nothing") == b"something"


async def test_no_keys_are_no_question(cache: Cache, views: Views) -> None:
    assert await cache.get_many([], at_least=0, ttl_s=TTL_S, load=views.load) == {}
    assert await cache.invalidate([]) is True
    assert (views.calls, cache.away) == (0, False)


async def test_a_fill_that_began_before_an_invalidation_puts_nothing_old_back(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    views.write("k", b"old")
    views.hold()
    slow = asyncio.create_task(get(cache, views, "k"))
    await views.began.wait()
    views.write("k", b"new")
    assert await other_cache.invalidate(["k"])
    views.open.set()
    assert await slow == b"old", "it had read before: that is its own affair"
    for one in (cache, other_cache):
        assert await get(one, views, "k") == b"new"


async def test_who_asks_after_an_invalidation_does_not_join_a_load_from_before_it(
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
    # And who comes after it joins the new load, not the old one.
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
    assert set(await cache.redis.keys()) == {b"entry", b"lease:lease"}
    assert await cache.invalidate(["entry", "lease"])
    assert await cache.redis.keys() == []
    views.open.set()
    await slow
    assert await cache.redis.keys() == []


async def test_clearing_leaves_nothing_of_ours(cache: Cache, views: Views) -> None:
    keys = [f"{kind}:{n}" for kind in ("user", "board") for n in range(50)]
    for key in keys:
        views.write(key, b"x")
    await cache.get_many(keys, at_least=0, ttl_s=TTL_S, load=views.load)
    await cache.redis.set("login:somebody", 1)
    assert await cache.clear()
    assert await cache.redis.keys() == [b"login:somebody"]


async def test_a_fill_whose_lease_expired_is_dropped(own: Settings, views: Views) -> None:
    async with open_cache(replace(own, cache_lease_ttl_ms=1)) as hasty, open_cache(own) as other:
        views.write("k", b"old")
        views.hold()
        slow = asyncio.create_task(get(hasty, views, "k"))
        await views.began.wait()

        async def expired() -> bool:
            return not await other.redis.exists("k:lease")

        await until(expired, "a lease that expired")
        views.open.set()
        await slow
        assert not await other.redis.exists("k")
        # Whoever has the lease by now fills.
        assert await get(other, views, "k") == b"old"
        assert await other.redis.exists("k")


@pytest.mark.parametrize("evicted", ["k", "k:lease"])
async def test_what_redis_evicts_is_a_miss(cache: Cache, views: Views, evicted: str) -> None:
    views.write("k", b"body")
    if evicted == "k":
        await get(cache, views, "k")
        await cache.redis.delete("k")
    else:
        views.hold()
        slow = asyncio.create_task(get(cache, views, "k"))
        await views.began.wait()
        await cache.redis.delete("k:lease")
        views.open.set()
        await slow
        assert not await cache.redis.exists("k")
    assert await get(cache, views, "k") == b"body"
    assert views.loads["k"] == 2


async def test_entries_live_no_longer_than_they_may(cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    await get(cache, views, "k")
    assert 0 < await cache.redis.ttl("k") <= TTL_S
    views.hold()
    slow = asyncio.create_task(get(cache, views, "missing"))
    await views.began.wait()
    assert 0 < await cache.redis.pttl("missing:lease") <= 5_000
    views.open.set()
    await slow


async def test_a_full_redis_is_as_good_as_none(cache: Cache, views: Views) -> None:
    before = await cache.redis.config_get("maxmemory*")
    try:
        await cache.redis.config_set("maxmemory-policy", "noeviction")
        await cache.redis.config_set("maxmemory", 1)
        for n in range(3):
            views.write("k", b"%d" % n)
            assert await get(cache, views, "k") == b"%d" % n
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            await cache.redis.config_set(name, before[name])


# --- how fresh


async def test_an_entry_too_old_for_its_reader_is_loaded_again(cache: Cache, other_cache: Cache, views: Views) -> None:
    views.write("k", b"old")
    await get(cache, views, "k")
    views.write("k", b"new")
    assert await get(cache, views, "k") == b"old", "nobody invalidated, nobody asked for more"
    assert await get(cache, views, "k", at_least=views.position) == b"new"
    assert await get(other_cache, views, "k") == b"new", "the newer entry is the one that is kept"
    assert views.loads["k"] == 2


async def test_many_readers_share_one_load(cache: Cache, views: Views) -> None:
    views.write("k", b"body")
    views.hold()
    readers = [asyncio.create_task(get(cache, views, "k")) for _ in range(500)]
    await until(lambda: cache.misses == 500, "all of them waiting")
    views.open.set()
    assert await asyncio.gather(*readers) == [b"body"] * 500
    assert views.calls == 1


async def test_readers_share_a_load_though_another_process_has_the_lease(
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


async def test_who_needs_something_fresher_than_it_joined_loads_again(cache: Cache, views: Views) -> None:
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


async def test_a_reader_of_many_keys_joins_for_some_and_loads_the_rest(cache: Cache, views: Views) -> None:
    for key in ("a", "b", "c"):
        views.write(key, key.encode())
    await get(cache, views, "c")
    views.hold()
    first = asyncio.create_task(get(cache, views, "a"))
    await views.began.wait()
    many = asyncio.create_task(cache.get_many(["a", "b", "c", "none"], at_least=0, ttl_s=TTL_S, load=views.load))
    await until(lambda: views.calls == 3, "a load of the rest beside the one that is joined")
    views.open.set()
    assert await first == b"a"
    assert {key: entry.body for key, entry in (await many).items()} == {"a": b"a", "b": b"b", "c": b"c"}
    assert views.loads == {"a": 1, "b": 1, "c": 1, "none": 1}


async def test_a_load_outlives_the_caller_who_began_it(cache: Cache, views: Views) -> None:
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


async def test_a_load_that_fails_fails_its_caller_and_who_joined_tries_for_itself(cache: Cache, views: Views) -> None:
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
async def test_huge_numbers_of_keys_are_kept_and_found(
    cache: Cache, other_cache: Cache, views: Views, count: int
) -> None:
    keys = [f"user:{n}" for n in range(count)]
    views.bodies = {key: key.encode() * 3 for key in keys}
    for one in (cache, other_cache):
        entries = await one.get_many(keys, at_least=0, ttl_s=TTL_S, load=views.load)
        assert {key: entry.body for key, entry in entries.items()} == views.bodies
    assert (views.calls, cache.away) == (1, False)
    assert await cache.invalidate(keys)
    assert await cache.redis.dbsize() == 0


# --- a Redis that is in trouble


async def test_without_redis_everything_is_loaded_and_afterwards_kept_again(
    cache: Cache, views: Views, server: Any
) -> None:
    views.write("k", b"body")
    await get(cache, views, "k")
    server("valkey").kill()
    for n in range(3):
        views.write("k", b"body %d" % n)
        assert await get(cache, views, "k", at_least=views.position) == b"body %d" % n
    assert not await cache.invalidate(["k"]), "nobody acknowledged it"
    assert not await cache.clear()
    server("valkey").start()

    async def kept() -> bool:
        await get(cache, views, "k")
        return bool(await cache.redis.exists("k"))

    await until(kept, "an entry in the new Redis")
    views.write("k", b"last")

    async def acknowledged() -> bool:
        return await cache.invalidate(["k"])

    await until(acknowledged, "an invalidation that is acknowledged")
    assert await get(cache, views, "k") == b"last"


async def test_entries_of_a_dump_count_as_none_in_another_run(
    cache: Cache, views: Views, own: Settings, server: Any
) -> None:
    """A restart from a dump brings back what was invalidated after the dump."""
    views.write("k", b"old")
    await get(cache, views, "k")
    valkey = server("valkey")
    await cache.redis.config_set("save", "")
    await cache.redis.save()
    dump = (
        Path((await cache.redis.config_get("dir"))["dir"]) / (await cache.redis.config_get("dbfilename"))["dbfilename"]
    )
    try:
        views.write("k", b"new")
        assert await cache.invalidate(["k"])
        valkey.kill()
        valkey.start()
        async with open_cache(own) as fresh:
            assert await fresh.redis.hget("k", "body") == b"old", "the dump was not read: the test tests nothing"
            assert await get(fresh, views, "k") == b"new"
            assert await get(fresh, views, "k") == b"new"
            assert views.loads["k"] == 2
    finally:
        dump.unlink()


async def test_a_redis_that_hangs_is_asked_once_and_then_left_alone(own: Settings, views: Views, server: Any) -> None:
    views.write("k", b"body")
    async with open_cache(replace(own, cache_timeout_ms=100, cache_pause_ms=3_600_000)) as cache:
        await get(cache, views, "k")
        server("valkey").pause()
        async with asyncio.timeout(BOUND_S):  # each of them would wait, were it asked
            assert await get(cache, views, "k") == b"body"
            assert cache.away
            for _ in range(1_000):
                assert await get(cache, views, "k") == b"body"
            assert not await cache.invalidate(["k"])
        server("valkey").resume()
        assert cache.away, "it is left alone for as long as was said"
        cache._quiet_until = 0.0
        views.write("k", b"newer")
        assert await get(cache, views, "k") == b"body", "the entry is there still"
        assert await cache.invalidate(["k"])
        assert await get(cache, views, "k") == b"newer"


async def test_readers_who_find_redis_hanging_together_share_one_load(own: Settings, views: Views, server: Any) -> None:
    views.write("k", b"body")
    async with open_cache(replace(own, cache_timeout_ms=100, cache_pause_ms=3_600_000)) as cache:
        server("valkey").pause()
        views.hold()
        readers = [asyncio.create_task(get(cache, views, "k")) for _ in range(200)]
        await until(lambda: cache.misses == 200, "all of them waiting")
        views.open.set()
        assert await asyncio.gather(*readers) == [b"body"] * 200
        assert views.calls == 1


# --- cancelled requests


async def test_ten_thousand_aborted_requests_never_see_a_foreign_answer(cache: Cache, views: Views) -> None:
    """A cancelled command must not leave its answer to whoever has the connection next."""
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

    while aborted < 10_000:
        await asyncio.gather(*[read_and_leave() for _ in range(20)], *[read() for _ in range(4)])
        if dice.random() < 0.05:
            await cache.invalidate(dice.sample(keys, 20))
    for key in keys:
        assert await get(cache, views, key) == key.encode()
    assert not cache.away
    # Not by luck: Redis itself holds no body under another's key.
    raw: Redis = cache.redis
    for key in keys:
        assert await raw.hget(key, "body") in (key.encode(), None)
    assert cache.hits > 0


# --- everything at once


async def test_a_cached_answer_is_never_older_than_the_invalidation_that_removed_it(
    cache: Cache, other_cache: Cache, views: Views
) -> None:
    """Invariant 8, with loads of every length among invalidations and cancelled readers."""
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
