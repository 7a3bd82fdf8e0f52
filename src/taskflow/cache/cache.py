"""Entries with leases.

A miss hands out a lease; a fill without it is dropped; an invalidation deletes entry and lease. So a
fill that began before an invalidation and ends after it puts nothing old back. An entry is stamped
with the position it is as fresh as, and a read names the position it needs.

Redis is never needed: gone, slow or full, it is a miss, and it is left alone for a moment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from taskflow.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 32
_LEASE: Final = ":lease"
_AWAY: Final = (RedisError, OSError, TimeoutError)


class Entry(Struct, frozen=True):
    """A body, and the position that it is at least as fresh as."""

    stamp: int
    body: bytes


Load = Callable[[Sequence[str]], Awaitable[tuple[int, dict[str, bytes]]]]
"""Loads keys: (the least position they were read at, bodies of those that exist)."""


def _script(name: str) -> str:
    return (resources.files("taskflow.cache") / name).read_text()


class Cache:
    """A process's way to Redis. Made by `open_cache`."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis = redis
        self._settings = settings
        self._look = redis.register_script(_script("look.lua"))
        self._fill = redis.register_script(_script("fill.lua"))
        self._quiet_until = 0.0
        self._loading: dict[str, asyncio.Task[Entry | None]] = {}
        self.hits = self.misses = 0

    @property
    def away(self) -> bool:
        """Whether Redis is being left alone after a failure."""
        return time.monotonic() < self._quiet_until

    async def get_many(self, keys: Sequence[str], *, at_least: int, ttl_s: int, load: Load) -> dict[str, Entry]:
        """The entries of those keys that exist, each at least as fresh as `at_least`.

        One load serves all who wait for a key; who needs something fresher than it brought loads again.
        """
        token = str(new_id())
        found, leased = await self._ask(keys, at_least, token)
        self.hits += len(found)
        self.misses += len(keys) - len(found)
        missing = [key for key in keys if key not in found]
        if not missing:
            return found
        joined = {key: self._loading[key] for key in missing if key in self._loading}
        for key, loading in joined.items():
            entry = await asyncio.shield(loading)
            if entry is not None and entry.stamp >= at_least:
                found[key] = entry
        missing = [key for key in missing if key not in found]
        if missing:
            found |= await self._load(missing, [key for key in missing if key in leased], token, ttl_s, load)
        return found

    async def _load(
        self, keys: Sequence[str], leased: Sequence[str], token: str, ttl_s: int, load: Load
    ) -> dict[str, Entry]:
        async def work() -> dict[str, Entry]:
            stamp, bodies = await load(keys)
            await self._keep([key for key in leased if key in bodies], bodies, stamp, token, ttl_s)
            return {key: Entry(stamp, body) for key, body in bodies.items()}

        task = asyncio.create_task(work())
        for key in keys:
            self._loading[key] = asyncio.create_task(_one(task, key))
        try:
            # A caller that is cancelled must not cancel those who joined.
            return await asyncio.shield(task)
        finally:
            for key in keys:
                self._loading.pop(key, None)

    async def _ask(self, keys: Sequence[str], at_least: int, token: str) -> tuple[dict[str, Entry], set[str]]:
        answers: Any = await self.attempt(
            lambda: self._look(
                keys=[part for key in keys for part in (key, key + _LEASE)],
                args=[at_least, token, self._settings.cache_lease_ttl_ms],
            )
        )
        found: dict[str, Entry] = {}
        leased: set[str] = set()
        for key, answer in zip(keys, answers or [0] * len(keys), strict=True):
            if answer == 1:
                leased.add(key)
            elif answer != 0:
                found[key] = Entry(int(answer[0]), answer[1])
        return found, leased

    async def _keep(self, keys: Sequence[str], bodies: dict[str, bytes], stamp: int, token: str, ttl_s: int) -> None:
        if keys:
            await self.attempt(
                lambda: self._fill(
                    keys=[part for key in keys for part in (key, key + _LEASE)],
                    args=[token, ttl_s, stamp, *[bodies[key] for key in keys]],
                )
            )

    async def invalidate(self, keys: Sequence[str]) -> bool:
        """Deletes entries and leases; True once Redis has acknowledged it."""
        answer = await self.attempt(lambda: self.redis.delete(*[part for key in keys for part in (key, key + _LEASE)]))
        return answer is not None

    async def clear(self) -> bool:
        """Deletes every entry and lease of ours; True once Redis has acknowledged it."""

        async def work() -> int:
            count = 0
            for pattern in ("user:*", "board:*"):
                async for key in self.redis.scan_iter(match=pattern, count=1000):
                    count += await self.redis.delete(key)
            return count

        return await self.attempt(work) is not None

    async def attempt(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """What a command answers, or None where Redis gives no answer in time."""
        if self.away:
            return None
        try:
            async with asyncio.timeout(self._settings.cache_timeout_ms / 1000):
                return await work()
        except _AWAY as error:
            if not self.away:
                log.warning("Redis does not answer", extra={"error": repr(error)})
            self._quiet_until = time.monotonic() + self._settings.cache_pause_ms / 1000
            return None


async def _one(task: asyncio.Task[dict[str, Entry]], key: str) -> Entry | None:
    try:
        return (await asyncio.shield(task)).get(key)
    except Exception:  # noqa: BLE001 - the loader raises it to its caller; who joined loads by itself
        return None


@asynccontextmanager
async def open_cache(settings: Settings) -> AsyncIterator[Cache]:
    """A cache over a bounded pool. Nothing is retried by the client: a retried command may act twice."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=CONNECTIONS_MAX,
        timeout=settings.cache_timeout_ms / 1000,
        socket_timeout=settings.cache_timeout_ms / 1000,
        socket_connect_timeout=settings.cache_timeout_ms / 1000,
        retry=Retry(NoBackoff(), 0),
    )
    redis = Redis(connection_pool=pool)
    try:
        yield Cache(redis, settings)
    finally:
        await redis.aclose()
        await pool.aclose()
