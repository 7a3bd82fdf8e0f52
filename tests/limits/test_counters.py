"""Rate limits hold in every state of Redis: shared by all processes while it answers, a share of each otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from taskflow.limits.counters import NAMESPACE, Counters, Full, open_counters
from taskflow.limits.limit import Bucket, Window
from taskflow.settings import Settings
from tests.commands.world import until

WINDOW = Window("guesses", quota=10, window_s=900, remembered=True)
PLAIN = Window("requests", quota=10, window_s=900)
BUCKET = Bucket("tokens", size=10, per_s=1)


@pytest.fixture
def own(settings: Settings) -> Settings:
    # A long timeout, so that a busy machine does not look like a failing Redis.
    return replace(settings, limits_timeout_ms=5_000, limits_breaker_open_ms=100, api_processes=2)


@pytest.fixture
async def counters(own: Settings) -> AsyncIterator[Counters]:
    async with open_counters(own) as counters:
        yield counters


@pytest.fixture
async def other(own: Settings) -> AsyncIterator[Counters]:
    """Another process's counters."""
    async with open_counters(own) as counters:
        yield counters


@pytest.fixture
async def redis(own: Settings) -> AsyncIterator[Redis]:
    async with Redis.from_url(own.redis_url) as redis:
        yield redis


async def granted(counters: Counters, limit: Window, key: str, asked: int) -> int:
    """How many of `asked` concurrent requests are granted."""
    counted = await asyncio.gather(*[counters.count(limit, key) for _ in range(asked)])
    return sum(not one.is_refused for one in counted)


def anybody() -> str:
    return uuid4().hex


@pytest.mark.parametrize("limit", [WINDOW, PLAIN])
async def test_concurrent_requests_of_several_processes_share_one_count(
    counters: Counters, other: Counters, limit: Window
) -> None:
    key = anybody()
    both = await asyncio.gather(granted(counters, limit, key, 30), granted(other, limit, key, 30))
    assert sum(both) == limit.quota
    assert await granted(counters, limit, anybody(), 30) == limit.quota


async def test_processes_share_a_bucket(counters: Counters, other: Counters) -> None:
    key = anybody()
    counted = await asyncio.gather(*[one.take(BUCKET, key) for one in (counters, other) * 20])
    # One token is added each second.
    assert BUCKET.size <= sum(not one.is_refused for one in counted) <= BUCKET.size + 5


async def test_a_cost_above_the_size_of_a_bucket_empties_it(counters: Counters) -> None:
    key = anybody()
    assert (await counters.take(BUCKET, key, 1_000)).left == 0
    assert (await counters.take(BUCKET, key, 5)).is_refused


async def test_a_reservation_counts_against_all_limits_or_none(counters: Counters) -> None:
    key, full = anybody(), anybody()
    for _ in range(WINDOW.quota):
        await counters.reserve([([WINDOW], full)])
    with pytest.raises(Full) as refusal:
        await counters.reserve([([PLAIN], key), ([WINDOW], full)])
    assert refusal.value.limit is WINDOW
    assert 0 < refusal.value.reset_s <= WINDOW.window_s
    assert await granted(counters, PLAIN, key, 20) == PLAIN.quota


async def test_a_released_reservation_can_be_used_by_any_process(counters: Counters, other: Counters) -> None:
    key = anybody()
    reservations = [await counters.reserve([([WINDOW], key)]) for _ in range(WINDOW.quota)]
    assert await granted(other, WINDOW, key, 5) == 0
    await counters.give_back(reservations[0])
    assert await granted(other, WINDOW, key, 5) == 1


@pytest.mark.parametrize("limit", [WINDOW, PLAIN])
@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_without_redis_each_process_grants_its_share(own: Settings, server: Any, limit: Window, how: str) -> None:
    async with AsyncExitStack() as stack:
        quick = replace(own, limits_timeout_ms=100)
        one, two = [await stack.enter_async_context(open_counters(quick)) for _ in range(2)]
        valkey = server("valkey")
        valkey.kill() if how == "killed" else valkey.pause()
        key = anybody()
        for counters in (one, two):
            assert await granted(counters, limit, key, 30) == limit.quota // 2
            assert await granted(counters, limit, key, 30) == 0
            taken = await asyncio.gather(*[counters.take(BUCKET, key) for _ in range(30)])
            assert BUCKET.size // 2 <= sum(not one.is_refused for one in taken) <= BUCKET.size // 2 + 3
            assert counters.counted_here


async def test_the_local_count_continues_that_of_redis(own: Settings, server: Any) -> None:
    """An outage does not reset the limit: each process also counts what it granted before."""
    async with open_counters(replace(own, limits_timeout_ms=1_000, api_processes=1)) as counters:
        key = anybody()
        assert await granted(counters, WINDOW, key, 7) == 7
        server("valkey").kill()
        assert await granted(counters, WINDOW, key, 30) == 3


async def test_a_remembered_window_holds_after_redis_lost_its_counters(counters: Counters, redis: Redis) -> None:
    guessed, asked = anybody(), anybody()
    assert await granted(counters, WINDOW, guessed, 30) == WINDOW.quota
    assert await granted(counters, PLAIN, asked, 30) == PLAIN.quota
    # As after a restart, an eviction or a flush: the counters in Redis are gone.
    await redis.flushdb()
    assert await granted(counters, WINDOW, guessed, 30) == 0
    assert await granted(counters, PLAIN, asked, 30) == PLAIN.quota


@pytest.mark.parametrize(
    ("setting", "value", "well"), [("maxmemory", "1", "256mb"), ("min-replicas-to-write", "1", "0")]
)
async def test_a_redis_that_refuses_writes_is_treated_as_away(
    own: Settings, redis: Redis, setting: str, value: str, well: str
) -> None:
    policy = (await redis.config_get("maxmemory-policy"))["maxmemory-policy"]
    assert policy is not None
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set(setting, value)
    try:
        async with open_counters(own) as counters:
            assert await granted(counters, WINDOW, anybody(), 30) == WINDOW.quota // 2
            assert counters.counted_here
    finally:
        await redis.config_set(setting, well)
        await redis.config_set("maxmemory-policy", policy)


async def test_counts_are_shared_again_after_redis_is_back(own: Settings, server: Any) -> None:
    async with open_counters(replace(own, limits_timeout_ms=1_000)) as counters:
        valkey = server("valkey")
        valkey.kill()
        key = anybody()
        assert await granted(counters, WINDOW, key, 30) == WINDOW.quota // 2
        valkey.start()

        async def shared() -> bool:
            return not (await counters.count(PLAIN, anybody())).is_refused and not counters.is_local

        await until(shared, "Redis counts again")
        assert await granted(counters, WINDOW, anybody(), 30) == WINDOW.quota
        # What was granted during the outage counts.
        assert await granted(counters, WINDOW, key, 30) == 0


async def test_a_late_answer_of_redis_does_not_raise_the_limit(own: Settings, server: Any) -> None:
    async with open_counters(
        replace(own, limits_timeout_ms=100, limits_breaker_open_ms=1, api_processes=1)
    ) as counters:
        key = anybody()
        await counters.count(WINDOW, key)
        valkey = server("valkey")
        valkey.pause()
        late = await granted(counters, WINDOW, key, 4)
        valkey.resume()
        assert late == 4
        left = 0
        while await granted(counters, WINDOW, key, 1):
            left += 1
        assert left <= WINDOW.quota - 5


async def test_keys_have_a_namespace_and_expire(counters: Counters, redis: Redis) -> None:
    key = anybody()
    await counters.reserve([([WINDOW, PLAIN], key)])
    await counters.take(BUCKET, key)
    names = [name.decode() async for name in redis.scan_iter(f"*{key}*")]
    assert sorted(names) == sorted(f"{NAMESPACE}:{{{key}}}:{one.name}" for one in (WINDOW, PLAIN, BUCKET))
    assert all([0 < await redis.ttl(name) <= WINDOW.window_s for name in names])
