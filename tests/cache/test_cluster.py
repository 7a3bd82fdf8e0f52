"""The cache on a Redis cluster: a script that named keys of two slots would be refused."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from taskflow.cache.cache import HASH_TAGS, KEYS_MAX, Cache, entry_name, open_cache
from taskflow.limits.counters import open_counters
from taskflow.limits.limit import Bucket, Window
from taskflow.local import valkey
from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.projections.world import until

from .world import TTL_S, Views

SLOTS = 16_384


@pytest.fixture
async def cluster(tmp_path: Path, own: Settings) -> AsyncIterator[Settings]:
    """A cluster of one node, which has all slots."""
    port = unused_port()
    options = ("--bind", "127.0.0.1", "--cluster-enabled", "yes", "--save", "", "--dir", str(tmp_path))
    server = subprocess.Popen([valkey.binary(), "--port", str(port), *options], stdout=subprocess.DEVNULL)
    settings = replace(own, redis_url=f"redis://127.0.0.1:{port}/0")
    try:
        async with Redis.from_url(settings.redis_url) as client:
            redis: Any = client  # without types for commands of clusters

            async def ready() -> bool:
                try:
                    await redis.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
                except ResponseError:
                    pass  # it has them already
                except (RedisError, OSError):
                    return False
                state: str = (await redis.execute_command("CLUSTER INFO"))["cluster_state"]
                return state == "ok"

            await until(ready, "the cluster")
        yield settings
    finally:
        server.kill()
        server.wait()


@pytest.fixture
async def cache(cluster: Settings) -> AsyncIterator[Cache]:
    async with open_cache(cluster) as cache:
        yield cache


async def test_keys_of_two_slots_are_refused_there(cache: Cache) -> None:
    with pytest.raises(RedisError, match=r"(?i)slot"):
        await cache.redis.delete("one", "another")


async def test_many_entries_are_filled_found_invalidated_and_cleared(cache: Cache, views: Views) -> None:
    keys = [f"user:{number}" for number in range(KEYS_MAX // 2)]
    for key in keys:
        views.write(key, key.encode())
    for loads in (1, 1, 2):
        if loads == 2:
            assert await cache.invalidate(keys)
            assert await cache.redis.dbsize() == 0
        found = await cache.get_many(keys, at_least=0, ttl_s=TTL_S, load=views.load)
        assert {key: entry.body for key, entry in found.items()} == {key: key.encode() for key in keys}
        assert views.calls == loads
    assert await cache.redis.dbsize() == len(keys)
    assert await cache.clear()
    assert await cache.redis.dbsize() == 0
    assert not cache.away


async def test_scripts_are_loaded_again_after_a_restart(cache: Cache, views: Views) -> None:
    keys = [f"board:{number}" for number in range(50)]
    assert len({entry_name(key).partition("}")[0] for key in keys}) > HASH_TAGS // 2
    for key in keys:
        views.write(key, b"body")
    for loads in (1, 2):
        found = await cache.get_many(keys, at_least=0, ttl_s=TTL_S, load=views.load)
        assert len(found) == len(keys)
        assert views.calls == loads
        await cache.redis.script_flush()
        await cache.redis.flushall()
    assert not cache.away


async def test_limits_are_counted_there(cluster: Settings) -> None:
    windows = [Window("one", 3, 60), Window("two", 5, 60)]
    async with open_counters(cluster) as counters:
        for _ in range(3):
            await counters.give_back(await counters.reserve([(windows, "somebody")]))
        await counters.take(Bucket("bucket", 5, 1), "somebody")
        assert not counters.is_local
        assert counters.counted_here == 0
