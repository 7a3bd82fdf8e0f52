"""The Redis cache, whose entries are filled under leases.

A miss grants a lease to the reader; a fill without a valid lease is dropped; an invalidation deletes entry and lease.
So a fill that began before an invalidation and ends after it does not restore the old value. Every entry is stamped
with the log position that it reflects, and a read names the position that it needs. An entry of another epoch of the log is
a miss. The epoch is in the entry and not in its key, so that an invalidation deletes entries of every epoch.

taskflow works without Redis: while Redis is gone, slow or full, every lookup is a miss, and Redis is not called for
`cache_breaker_open_ms` after a failure.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from msgspec import Struct
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError

from taskflow.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 32
KEYS_MAX: Final = 500
"""Keys in one call: a longer script would block all other clients of Redis."""
NAMESPACE: Final = "taskflow:cache"
HASH_TAGS: Final = 16
"""Slots of a Redis cluster that the entries are spread over. A script's keys share a slot: more slots, more calls."""
_LEASE: Final = ":lease"
_TRANSIENT_ERRORS: Final = (RedisError, OSError, TimeoutError)


class Entry(Struct, frozen=True):
    """A body, and the log position (`stamp`) that it reflects at least."""

    stamp: int
    body: bytes


Load = Callable[[Sequence[str]], Awaitable[tuple[int, dict[str, bytes]]]]
"""Loads keys from the source: (the lowest position they were read at, the bodies of those that exist)."""


class _Loaded(NamedTuple):
    """The result of a load: the position that it reflects, and the bodies of the keys that exist."""

    stamp: int
    bodies: dict[str, bytes]


_Call = tuple[AsyncScript, Sequence[str], list[Any]]
"""A script, the keys of one hash tag, and its arguments."""


class _Loading(NamedTuple):
    """A running load, and the lease under which it started; None if Redis did not answer."""

    lease: bytes | None
    task: asyncio.Task[_Loaded]


def _script(name: str) -> str:
    return (resources.files("taskflow.cache") / name).read_text()


class Cache:
    """The cache of one process. Created by `open_cache`."""

    def __init__(self, redis: Redis, settings: Settings, epoch: int) -> None:
        self.redis = redis
        self._settings = settings
        self._epoch = epoch
        self._look = redis.register_script(_script("look.lua"))
        self._release = redis.register_script(_script("release.lua"))
        self._fill = redis.register_script(_script("fill.lua"))
        self._quiet_until = 0.0
        self._loading: dict[str, _Loading] = {}
        self._tasks: set[asyncio.Task[_Loaded]] = set()
        self.hits = self.misses = self.too_large = 0

    @property
    def away(self) -> bool:
        """Whether the circuit breaker is open: Redis failed, and is not called until the pause is over."""
        return time.monotonic() < self._quiet_until

    async def get_many(self, keys: Sequence[str], *, at_least: int, ttl_s: int, load: Load) -> dict[str, Entry]:
        """The entries of the keys that exist, each at least as fresh as position `at_least`.

        Callers that miss a key under the same lease share one load. A caller that needs a higher position than that
        load reflects loads the key again.
        """
        token = str(new_id()).encode()
        found, leases = await self._find(keys, at_least, token)
        self.hits += len(found)
        self.misses += len(leases)
        joined = {key: self._loading[key].task for key in leases if self._is_loading(key, leases[key])}
        own = self._start({key: lease for key, lease in leases.items() if key not in joined}, token, ttl_s, load)
        again: dict[str, bytes | None] = {}
        for key, loading in joined.items():
            loaded = await _outcome(loading)
            if loaded is None or loaded.stamp < at_least:
                again[key] = leases[key]
            elif key in loaded.bodies:
                found[key] = Entry(loaded.stamp, loaded.bodies[key])
        for task in (own, self._start(again, token, ttl_s, load)):
            if task is not None:
                # Shielded: cancelling this caller must not cancel the load for the callers that share it.
                loaded = await asyncio.shield(task)
                found |= {key: Entry(loaded.stamp, body) for key, body in loaded.bodies.items()}
        return found

    def _is_loading(self, key: str, lease: bytes | None) -> bool:
        # A load under another lease may have started before the invalidation that ended that lease.
        return key in self._loading and self._loading[key].lease == lease

    def _start(
        self, leases: dict[str, bytes | None], token: bytes, ttl_s: int, load: Load
    ) -> asyncio.Task[_Loaded] | None:
        if not leases:
            return None

        async def work() -> _Loaded:
            loaded = _Loaded(*await load(list(leases)))
            kept = [key for key, lease in leases.items() if lease == token and key in loaded.bodies]
            await self._keep(kept, loaded, token, ttl_s)
            return loaded

        def ended(task: asyncio.Task[_Loaded]) -> None:
            self._tasks.discard(task)
            for key in leases:
                if key in self._loading and self._loading[key].task is task:
                    del self._loading[key]
            if not task.cancelled():
                task.exception()  # retrieved: the caller may be gone, and callers that share the load repeat it

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(ended)
        for key, lease in leases.items():
            self._loading[key] = _Loading(lease, task)
        return task

    async def _find(
        self, keys: Sequence[str], at_least: int, token: bytes
    ) -> tuple[dict[str, Entry], dict[str, bytes | None]]:
        """The entries found, and for every other key the lease in force: this caller's, another's, or None if unknown."""
        found: dict[str, Entry] = {}
        leases: dict[str, bytes | None] = {}
        lease_ms = self._settings.cache_lease_ttl_ms
        parts = batched(keys)
        look = [(self._look, part, [at_least, token, lease_ms, self._epoch]) for part in parts]
        for part, answers in zip(parts, await self._run(look), strict=True):
            for key, answer in zip(part, answers or [None] * len(part), strict=True):
                if isinstance(answer, list):
                    found[key] = Entry(int(answer[0]), answer[1])
                else:
                    leases[key] = answer
        return found, leases

    async def _keep(self, keys: Sequence[str], loaded: _Loaded, token: bytes, ttl_s: int) -> None:
        """Fills the entries; releases the lease of a body that is too large to be cached."""
        entry_max = self._settings.cache_entry_bytes_max
        large = [key for key in keys if len(loaded.bodies[key]) > entry_max]
        self.too_large += len(large)
        release = [(self._release, part, [token]) for part in batched(large)]
        head = [token, ttl_s, loaded.stamp, self._epoch]
        small = batched([key for key in keys if len(loaded.bodies[key]) <= entry_max])
        fill = [(self._fill, part, [*head, *[loaded.bodies[key] for key in part]]) for part in small]
        await self._run([*release, *fill])

    async def invalidate(self, keys: Sequence[str]) -> bool:
        """Deletes entries and leases. True if Redis has acknowledged it."""

        async def delete() -> list[Any]:
            pipe = self.redis.pipeline(transaction=False)
            for part in batched(keys):
                pipe.delete(*_with_leases(part))
            return await pipe.execute()

        return not keys or await self.attempt(delete) is not None

    async def drain(self) -> None:
        """Waits for loads that still run after their callers have gone."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def clear(self) -> bool:
        """Deletes all entries and leases of this cache. True if Redis has acknowledged it."""
        # Page by page, so that each command stays within the time limit.
        cursor = 0
        while True:
            page = await self.attempt(partial(self.redis.scan, cursor, match=f"{NAMESPACE}:*", count=KEYS_MAX))
            if page is None:
                return False
            cursor, names = page
            if names and await self.attempt(partial(self._unlink, names)) is None:
                return False
            if not cursor:
                return True

    async def _unlink(self, names: Sequence[bytes]) -> list[Any]:
        pipe = self.redis.pipeline(transaction=False)
        for name in names:
            pipe.unlink(name)
        return await pipe.execute()

    async def _run(self, calls: Sequence[_Call]) -> list[Any]:
        """The answers of the scripts, sent together; None for each if Redis fails or is late."""

        async def run() -> list[Any]:
            if len(calls) == 1:
                ((script, keys, arguments),) = calls
                return [await script(keys=_with_leases(keys), args=arguments)]
            pipe = self.redis.pipeline(transaction=False)
            for script, keys, arguments in calls:
                names = _with_leases(keys)
                pipe.evalsha(script.sha, len(names), *names, *arguments)
            try:
                return await pipe.execute()
            except NoScriptError:
                # Redis was restarted. A script that ran all the same finds its own lease, or its own entry, again.
                for script in {script for script, _, _ in calls}:
                    await self.redis.script_load(script.script)
                return await run()

        return await self.attempt(run) or [None] * len(calls) if calls else []

    async def attempt(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of a command, or None if the breaker is open, or Redis fails or is late (which opens the breaker)."""
        if self.away:
            return None
        try:
            async with asyncio.timeout(self._settings.cache_timeout_ms / 1000):
                return await work()
        except _TRANSIENT_ERRORS as error:
            if not self.away:
                log.warning("Redis does not answer", extra={"error": repr(error)})
            self._quiet_until = time.monotonic() + self._settings.cache_breaker_open_ms / 1000
            return None


def batched(keys: Sequence[str]) -> list[Sequence[str]]:
    """The keys in groups of one hash tag and at most KEYS_MAX."""
    by_tag: dict[int, list[str]] = {}
    for key in keys:
        by_tag.setdefault(_tag(key), []).append(key)
    return [of[begin : begin + KEYS_MAX] for of in by_tag.values() for begin in range(0, len(of), KEYS_MAX)]


def _tag(key: str) -> int:
    return crc32(key.encode()) % HASH_TAGS


def entry_name(key: str) -> str:
    """The Redis key of an entry. The braces put entry and lease of all keys with one tag into one slot of a cluster."""
    return f"{NAMESPACE}:{{{_tag(key)}}}:{key}"


def lease_name(key: str) -> str:
    """The Redis key of an entry's lease."""
    return entry_name(key) + _LEASE


def _with_leases(keys: Sequence[str]) -> list[str]:
    return [name for key in keys for name in (entry_name(key), lease_name(key))]


async def _outcome(task: asyncio.Task[_Loaded]) -> _Loaded | None:
    """The result of a load that another caller started; None if it failed."""
    await asyncio.wait([task])
    return None if task.cancelled() or task.exception() is not None else task.result()


@asynccontextmanager
async def open_cache(settings: Settings, epoch: int = 0) -> AsyncIterator[Cache]:
    """Opens the cache with a bounded connection pool. A process that only invalidates needs no epoch of the log. The Redis client retries nothing: a retried command may act
    twice."""
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
        cache = Cache(redis, settings, epoch)
        yield cache
        await cache.drain()
    finally:
        await redis.aclose()
        await pool.aclose()
