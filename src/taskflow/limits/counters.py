"""Counts against limits: in Redis for all processes together, and in this process while Redis does not answer in time.

Never neither: a limit that lets everybody pass while Redis is slow is one that a stranger can turn off. So a process
always counts what it grants for itself too, and while Redis is away (gone, late, full, read only) it grants its share
of each limit, `1 / api_processes`. What Redis lost (a restart, an eviction) this process still knows: see
`Window.remembered`. An answer that comes too late has counted in Redis all the same: then a limit holds early.

The connections are these counters' own: large entries of the cache that are on their way do not make them late.
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
_AWAY: Final = (RedisError, OSError, TimeoutError)


class Reservation(Struct, frozen=True):
    """What was counted, so that it can be given back."""

    counted: tuple[tuple[Window, str, float], ...] = ()
    """Limit, key, and what it counted as in this process."""


class Full(Exception):
    """A limit is used up: nothing was counted."""

    def __init__(self, limit: Window, reset_s: int) -> None:
        super().__init__(f"{limit.name}: {limit.quota} in {limit.window_s} s")
        self.limit = limit
        self.reset_s = reset_s


class Counters:
    """The counters of one process. Made by `open_counters`."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._timeout_s = settings.limits_timeout_ms / 1000
        self._pause_s = settings.limits_pause_ms / 1000
        self._processes = settings.api_processes
        self._windows = redis.register_script(_script("windows.lua"))
        self._bucket = redis.register_script(_script("bucket.lua"))
        self._give_back = redis.register_script(_script("give_back.lua"))
        self._local_windows: dict[Window, LocalWindows] = {}
        self._local_buckets: dict[Bucket, LocalBuckets] = {}
        self._quiet_until = 0.0
        self.counted_here = 0
        """What was counted in this process alone, because Redis was away."""

    @property
    def is_local(self) -> bool:
        """Whether Redis is being left alone after a failure, and each process counts for itself."""
        return time.monotonic() < self._quiet_until

    async def take(self, limit: Bucket, key: str, cost: int = 1) -> Counted:
        """Takes tokens; more than the bucket holds are as many as it holds."""
        cost = min(cost, limit.size)
        local = self._local_buckets.get(limit)
        if local is None:
            local = self._local_buckets[limit] = LocalBuckets(limit)
        answer = await self._ask(lambda: self._bucket(keys=[_name(limit, key)], args=[limit.size, limit.per_s, cost]))
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
        """Counts against all of these limits, each under its key, or against none. Raises Full."""
        counted: tuple[tuple[Window, str, float], ...] = ()
        for limits, key in wanted:
            try:
                counted += (await self._reserve(limits, key, cost))[0]
            except Full:
                await self.give_back(Reservation(counted), cost)
                raise
        return Reservation(counted)

    async def give_back(self, reservation: Reservation, cost: int = 1) -> None:
        """Uncounts what was reserved: it was no failure after all. Where Redis does not hear of it, it stays counted."""
        now = time.monotonic()
        by_key: dict[str, list[Window]] = {}
        for limit, key, weight in reservation.counted:
            self._local(limit).add(key, -weight, now)
            by_key.setdefault(key, []).append(limit)
        for key, limits in by_key.items():
            names = [_name(limit, key) for limit in limits]
            await self._ask(partial(self._give_back, keys=names, args=[cost]))

    async def uncount(self, limit: Window, key: str, cost: int = 1) -> None:
        """Uncounts what was counted against one window."""
        await self.give_back(Reservation(((limit, key, float(cost)),)), cost)

    async def _reserve(
        self, limits: Sequence[Window], key: str, cost: int
    ) -> tuple[tuple[tuple[Window, str, float], ...], Counted]:
        now = time.monotonic()
        for limit in limits:
            # What this process knows of is refused whether or not Redis remembers it, and is not asked for.
            if limit.remembered and self._local(limit).look(key, now) + cost > limit.quota:
                raise Full(limit, self._local(limit).reset_s(now))
        # Counted here before Redis is asked: of many at once none slips through while it is.
        for limit in limits:
            self._local(limit).add(key, cost, now)
        arguments = [one for limit in limits for one in (limit.quota, limit.window_s)]
        names = [_name(limit, key) for limit in limits]
        answer = None
        try:
            answer = await self._ask(lambda: self._windows(keys=names, args=[cost, *arguments]))
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
            raise AssertionError("nothing is reserved against no limit")
        return tuple(counted), least

    def _local(self, limit: Window) -> LocalWindows:
        local = self._local_windows.get(limit)
        if local is None:
            local = self._local_windows[limit] = LocalWindows(limit)
        return local

    async def _ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """What Redis answers in time, else None; after that it is left alone for a moment."""
        if self.is_local:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work()
        except _AWAY as error:
            if not self.is_local:
                log.warning("limits are counted by this process alone", extra={"error": repr(error)})
            self._quiet_until = time.monotonic() + self._pause_s
            return None


def _name(limit: Window | Bucket, key: str) -> str:
    """All counters of one key are of one slot of a cluster."""
    return f"{NAMESPACE}:{{{key}}}:{limit.name}"


def _script(name: str) -> str:
    return (resources.files("taskflow.limits") / name).read_text()


@asynccontextmanager
async def open_counters(settings: Settings) -> AsyncIterator[Counters]:
    """Counters over a bounded pool of their own. Nothing is retried by the client: a retried command counts twice."""
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
