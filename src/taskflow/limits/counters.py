"""Rate limit counters: in Redis for all processes together, in this process alone while Redis does not answer in time.

Limits never fail open: if requests passed whenever Redis is slow, an attacker could switch the limit off by making
Redis slow. Therefore each process also counts locally what it grants, and while Redis is away (gone, late, full,
read-only) it grants its share of each limit, `1 / api_processes`. A process still has its local count after Redis lost
its own (a restart, an eviction): see `Window.remembered`. A request that Redis counts but answers too late is counted
locally as well, so a limit may be reached early.

The counters have their own connection pool, so that large cache entries in transfer do not delay them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from taskflow.limits.limit import Bucket, Counted, Window
from taskflow.limits.local_counters import LocalBuckets, LocalWindows, weight_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

NAMESPACE: Final = "taskflow:limit"
_TRANSIENT_ERRORS: Final = (RedisError, OSError, TimeoutError)


class Reservation(Struct, frozen=True):
    """What was counted, so that it can be released."""

    counted: tuple[tuple[Window, str, float], ...] = ()
    """Limit, key, and the weight that was added to the local counter."""


class Full(Exception):
    """A limit is reached; nothing was counted."""

    def __init__(self, limit: Window, reset_s: int) -> None:
        super().__init__(f"{limit.name}: {limit.quota} in {limit.window_s} s")
        self.limit = limit
        self.reset_s = reset_s


class Counters:
    """All counters of one process. Created by `open_counters`."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._timeout_s = settings.limits_timeout_ms / 1000
        self._pause_s = settings.limits_breaker_open_ms / 1000
        self._processes = settings.api_processes
        self._windows = redis.register_script(_script("windows.lua"))
        self._bucket = redis.register_script(_script("bucket.lua"))
        self._give_back = redis.register_script(_script("give_back.lua"))
        self._local_windows: dict[Window, LocalWindows] = {}
        self._local_buckets: dict[Bucket, LocalBuckets] = {}
        self._quiet_until = 0.0
        self.counted_here = 0
        """How many requests were counted locally because Redis was away."""

    @property
    def is_local(self) -> bool:
        """Whether only this process counts: after a failure Redis is not called for `limits_breaker_open_ms`."""
        return time.monotonic() < self._quiet_until

    async def take(self, limit: Bucket, key: str, cost: int = 1) -> Counted:
        """Takes `cost` tokens, at most as many as the bucket can hold."""
        cost = min(cost, limit.size)
        local = self._local_buckets.get(limit)
        if local is None:
            local = self._local_buckets[limit] = LocalBuckets(limit)
        answer = await self._call_redis(
            lambda: self._bucket(keys=[_name(limit, key)], args=[limit.size, limit.per_s, cost])
        )
        now = time.monotonic()
        if answer is None:
            self.counted_here += 1
            share = max(1, limit.size // self._processes)
            return local.take(key, min(cost, share), self._processes, now)
        counted = Counted(answer[0], max(1, answer[1]))
        if not counted.is_refused:
            local.add(key, cost, now)
        return counted

    async def count(self, limit: Window, key: str, cost: int = 1) -> Counted:
        """Counts against one window."""
        try:
            return (await self._reserve([limit], key, cost))[1]
        except Full as full:
            return Counted(-1, full.reset_s)

    async def reserve(self, wanted: Sequence[tuple[Sequence[Window], str]], cost: int = 1) -> Reservation:
        """Counts against all of these limits, each under its key, or against none of them. Raises Full."""
        counted: tuple[tuple[Window, str, float], ...] = ()
        for limits, key in wanted:
            try:
                counted += (await self._reserve(limits, key, cost))[0]
            except Full:
                await self.give_back(Reservation(counted), cost)
                raise
        return Reservation(counted)

    async def give_back(self, reservation: Reservation, cost: int = 1) -> None:
        """Subtracts what was reserved, for an attempt that turned out not to be a failure. Redis keeps the count if it
        is away."""
        now = time.monotonic()
        by_key: dict[str, list[Window]] = {}
        for limit, key, weight in reservation.counted:
            self._local(limit).add(key, -weight, now)
            by_key.setdefault(key, []).append(limit)
        for key, limits in by_key.items():
            names = [_name(limit, key) for limit in limits]
            await self._call_redis(partial(self._give_back, keys=names, args=[cost]))

    async def uncount(self, limit: Window, key: str, cost: int = 1) -> None:
        """Subtracts what was counted against one window."""
        await self.give_back(Reservation(((limit, key, float(cost)),)), cost)

    async def _reserve(
        self, limits: Sequence[Window], key: str, cost: int
    ) -> tuple[tuple[tuple[Window, str, float], ...], Counted]:
        now = time.monotonic()
        for limit in limits:
            # The local count alone is enough to refuse: Redis may have forgotten its own, and need not be asked.
            if limit.remembered and self._local(limit).look(key, now) + cost > limit.quota:
                raise Full(limit, self._local(limit).reset_s(now))
        # Counted locally before Redis is asked, so that concurrent requests see each other while Redis answers.
        for limit in limits:
            self._local(limit).add(key, cost, now)
        arguments = [one for limit in limits for one in (limit.quota, limit.window_s)]
        names = [_name(limit, key) for limit in limits]
        answer = None
        try:
            answer = await self._call_redis(lambda: self._windows(keys=names, args=[cost, *arguments]))
        finally:
            if answer is None or answer[0]:
                for limit in limits:
                    self._local(limit).add(key, -cost, now)
        if answer is None:
            self.counted_here += 1
            return self._reserve_here(limits, key, cost, time.monotonic())
        if answer[0]:
            raise Full(limits[answer[0] - 1], max(1, answer[2]))
        return tuple((limit, key, float(cost)) for limit in limits), Counted(answer[1], max(1, answer[2]))

    def _reserve_here(
        self, limits: Sequence[Window], key: str, cost: int, now: float
    ) -> tuple[tuple[tuple[Window, str, float], ...], Counted]:
        counted: list[tuple[Window, str, float]] = []
        least: Counted | None = None
        for limit in limits:
            one = self._local(limit).take(key, cost, self._processes, now)
            if one.is_refused:
                for other, _, weight in counted:
                    self._local(other).add(key, -weight, now)
                raise Full(limit, one.reset_s)
            counted.append((limit, key, weight_of(limit.quota, self._processes) * cost))
            least = one if least is None or one.left < least.left else least
        if least is None:
            raise AssertionError("expected at least one limit to count against")
        return tuple(counted), least

    def _local(self, limit: Window) -> LocalWindows:
        local = self._local_windows.get(limit)
        if local is None:
            local = self._local_windows[limit] = LocalWindows(limit)
        return local

    async def _call_redis(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of Redis, or None if it fails or is late; then Redis is not called again for `limits_breaker_open_ms`."""
        if self.is_local:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work()
        except _TRANSIENT_ERRORS as error:
            if not self.is_local:
                log.warning(
                    "Redis is unavailable; this process counts its share of the limits", extra={"error": repr(error)}
                )
            self._quiet_until = time.monotonic() + self._pause_s
            return None


def _name(limit: Window | Bucket, key: str) -> str:
    """The Redis key of a counter. The braces put all counters of one caller into one cluster slot."""
    return f"{NAMESPACE}:{{{key}}}:{limit.name}"


def _script(name: str) -> str:
    return (resources.files("taskflow.limits") / name).read_text()


@asynccontextmanager
async def open_counters(settings: Settings) -> AsyncIterator[Counters]:
    """Opens counters with a bounded connection pool. The Redis client retries nothing: a retried command would count
    twice."""
    timeout_s = settings.limits_timeout_ms / 1000
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=settings.limits_connections_max,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
    redis = Redis(connection_pool=pool)
    try:
        yield Counters(redis, settings)
    finally:
        await redis.aclose()
        await pool.aclose()
