"""Tells how fresh the views are: one watcher task per API process reads the checkpoints for all requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from pymongo.errors import PyMongoError

from taskflow.cancellation import raise_if_cancelled
from taskflow.errors import Behind, Unavailable
from taskflow.ids import shard_of
from taskflow.projections.collection_names import CHECKPOINTS, PARKED
from taskflow.projections.invalidation_versions import NO_VERSIONS, BucketVersion, bucket, by_bucket
from taskflow.projections.projection import ATTEMPT
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.mongo_breaker import MongoBreaker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence
    from uuid import UUID

    from taskflow.projections.mongo import Database
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

IDLE_POLL_S: Final = 0.25
CHECKPOINTS_AGE_S_MAX: Final = 2.0
"""Maximum age of the last read of the checkpoints for validating pages in memory."""
RATE_SAMPLES: Final = 11
RATE_SAMPLE_S: Final = 1.0
"""The rate of a view is taken over the last samples, so over about ten seconds."""
_FIELDS: Final = {"projection": 1, "partition": 1, "position": 1, "halted": 1, "marks": 1}
CONFIRM_TIMEOUT_S: Final = 5.0
"""Timeout for reading the checkpoints again after the documents have been read."""
READ_S: Final = 0.9
"""Timeout of one read of the checkpoints; after it they are read again, on another connection."""
LATE_S: Final = 0.3
_SERVING: Final = {
    "attempt": ATTEMPT,
    "$or": [{"projection": view.name, "version": view.version} for view in PROJECTIONS.values()],
}
"""Selects the checkpoints of this release's views: during a rolling upgrade there are checkpoints of other versions."""
_SERVING_PARKED: Final = {"collection": {"$in": [view.collection for view in PROJECTIONS.values()]}}


class RecentPositions(Protocol):
    """The recent positions known to the log follower; see `follower.recent_positions`."""

    partitions: int

    def last_event_of(self, kind: str, partition: int, *, at_or_before: int) -> int | None: ...
    def fresh_up_to(self, kind: str, partition: int, checkpoint: int) -> int: ...


class Freshness:
    """The checkpoints of every view, as last read. Created by `open_freshness`."""

    def __init__(
        self, database: Database, recent_positions: RecentPositions, generation: int, settings: Settings
    ) -> None:
        self._collection = database[CHECKPOINTS]
        self._parked = database[PARKED]
        self._recent_positions = recent_positions
        self.generation = generation
        """The number of the topic generation under which the checkpoints are kept."""
        self._settings = settings
        self.breaker = MongoBreaker()
        self._checkpoints: dict[tuple[str, int], int] = {}
        self.halted: dict[str, str] = {}
        self.parked: dict[UUID, int] = {}
        """Stream parked in any view → the position of its first waiting event."""
        self._raw_versions: dict[str, list[bytes]] = {}
        self._bucket_versions: dict[str, list[BucketVersion]] = {}
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=RATE_SAMPLES)
        """When the checkpoints were read, and the sum of each view's positions over its partitions."""
        self._read_at = float("-inf")
        self._waiting = 0
        self._read_requested = asyncio.Event()
        self._read_done = asyncio.Event()
        self._begun = self._ended = 0
        """Numbers of the last read of the checkpoints that began, and of the last that ended."""

    def partition_of(self, stream_id: UUID) -> int:
        return shard_of(stream_id) % self._recent_positions.partitions

    def position(self, views: Iterable[str], partitions: Iterable[int] | None = None) -> int:
        """Returns the position that these views are at least as fresh as: the minimum over their partitions."""
        numbers = range(self._recent_positions.partitions) if partitions is None else list(partitions)
        return min(
            (
                self._recent_positions.fresh_up_to(
                    PROJECTIONS[view].kind.name, number, self._checkpoints.get((view, number), 0)
                )
                for view in views
                for number in numbers
            ),
            default=0,
        )

    def rate(self, view: str) -> float:
        """Returns the events of the log that this view went past, per second, lately."""
        if not self._samples:
            return 0.0
        (since, first), (until, last) = self._samples[0], self._samples[-1]
        if since == until:
            return 0.0
        return max(0, last[view] - first[view]) / self._recent_positions.partitions / (until - since)

    def is_fresh(self, view: str, position: int, partitions: Iterable[int] | None = None) -> bool:
        """Whether `wait` would return at once."""
        return self._fresh([view], position, None if partitions is None else list(partitions))

    async def wait(
        self, views: Iterable[str], position: int, *, timeout_s: float, partitions: Iterable[int] | None = None
    ) -> None:
        """Returns once the views are at least as fresh as `position`. Raises Behind if they are not in time, and
        Unavailable if that is unknown, because MongoDB is unavailable or did not answer the last read."""
        names, numbers = list(views), None if partitions is None else list(partitions)
        if self._fresh(names, position, numbers):
            return
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while not self._fresh(names, position, numbers):
                    await self._next_read()
        except TimeoutError:
            if self.breaker.unanswered:
                raise Unavailable("the checkpoints cannot be read now; try again shortly") from None
            raise Behind(position, self.position(names, numbers)) from None
        finally:
            self._waiting -= 1

    async def confirm(
        self, drawn: Iterable[tuple[str, Collection[int] | None]], position: int, *, timeout_s: float
    ) -> None:
        """Checks by newly read checkpoints that each view, on the given partitions or on all, is fresh to `position`.

        Called after documents were read: if a view was dropped and is being rebuilt, the checkpoints known before are
        those of the old view. Raises Behind, and Unavailable while MongoDB is unavailable.
        """
        await self.read_again(timeout_s=timeout_s)
        for view, partitions in drawn:
            numbers = None if partitions is None else list(partitions)
            if not self._fresh([view], position, numbers):
                raise Behind(position, self.position([view], numbers))

    async def confirmed(self, stamp: int, views: Iterable[str], partitions: Collection[int] | None = None) -> int:
        """Returns the position that documents are as fresh as, given the `stamp` noted before they were read: less than
        `stamp` if a view was dropped meanwhile. Raises Unavailable."""
        await self.read_again()
        return min(stamp, self.position(views, partitions))

    async def read_again(self, *, timeout_s: float = CONFIRM_TIMEOUT_S) -> None:
        """Waits for a read of the checkpoints that began after this call. Raises Unavailable."""
        mine = self._begun + 1
        try:
            async with asyncio.timeout(timeout_s):
                while self._ended < mine:
                    await self._next_read()
        except TimeoutError:
            raise Unavailable("the checkpoints cannot be read now; try again shortly") from None

    async def _next_read(self) -> None:
        self.breaker.require_available()
        self._read_requested.set()
        self._read_done.clear()
        await self._read_done.wait()

    def _fresh(self, views: list[str], position: int, partitions: list[int] | None) -> bool:
        """Whether the views are fresh to `position`. A partition is fresh if it has no event between its checkpoint and
        the position, so idle partitions need no checkpoint update."""
        for number in range(self._recent_positions.partitions) if partitions is None else partitions:
            for view in views:
                needed = self._recent_positions.last_event_of(
                    PROJECTIONS[view].kind.name, number, at_or_before=position
                )
                if self._checkpoints.get((view, number), 0) < (position if needed is None else needed):
                    return False
        return True

    def bucket_version(self, view: str, key: str) -> BucketVersion | None:
        """Returns the version of a cache key, which changes whenever the documents behind the key do. None if the
        checkpoints were not read within CHECKPOINTS_AGE_S_MAX."""
        bucket_versions = self.bucket_versions(view)
        return None if bucket_versions is None else bucket_versions[bucket(key)]

    def bucket_versions(self, view: str) -> Sequence[BucketVersion] | None:
        """Returns the versions of all buckets of cache keys, as last read. The sequence is never changed, only replaced by
        the next read. None if the checkpoints were not read within CHECKPOINTS_AGE_S_MAX."""
        return None if time.monotonic() - self._read_at > CHECKPOINTS_AGE_S_MAX else self._bucket_versions[view]

    def build(self, view: str) -> BucketVersion | None:
        """Returns the random numbers that identify the builds of a view's partitions; they change if it is dropped
        and rebuilt. None if the checkpoints were not read within CHECKPOINTS_AGE_S_MAX."""
        bucket_version = self.bucket_version(view, "")
        return None if bucket_version is None else bucket_version[self._recent_positions.partitions :]

    async def watch(self) -> None:
        """Reads the checkpoints until cancelled: often while a request waits, seldom otherwise."""
        while True:
            raise_if_cancelled()
            started = time.monotonic()
            try:
                async with asyncio.timeout(READ_S):
                    await self._read()
                self.breaker.answered()
            except (PyMongoError, TimeoutError) as error:
                # If the timeout fired much later than READ_S, this process is slow, not MongoDB.
                if time.monotonic() - started < READ_S + LATE_S:
                    self.breaker.failed()
                self._read_done.set()
                log.warning("checkpoints cannot be read", extra={"error": repr(error)})
                await asyncio.sleep(IDLE_POLL_S)
            if self._waiting:
                await asyncio.sleep(self._settings.checkpoint_poll_ms / 1000)
                continue
            self._read_requested.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_POLL_S):
                    await self._read_requested.wait()

    async def _read(self) -> None:
        self._begun += 1
        begun = self._begun
        checkpoints: dict[tuple[str, int], int] = {}
        halted: dict[str, str] = {}
        bucket_versions = {
            view.name: [NO_VERSIONS] * self._recent_positions.partitions
            for view in PROJECTIONS.values()
            if view.bucket_versions
        }
        started = time.monotonic()
        query = _SERVING | {"generation": self.generation}
        async for found in self._collection.find(query, _FIELDS):
            checkpoints[found["projection"], found["partition"]] = found["position"]
            if found["halted"]:
                halted[found["projection"]] = found["halted"]
            if found.get("marks"):
                bucket_versions[found["projection"]][found["partition"]] = found["marks"]
        parked: dict[UUID, int] = {}
        async for found in self._parked.find(_SERVING_PARKED, {"stream_id": 1, "position": 1}):
            stream = found["stream_id"]
            parked[stream] = min(found["position"], parked.get(stream, found["position"]))
        # Replaced together, and parked streams are read after the checkpoints: so for every checkpoint, the streams
        # that were parked before it are known.
        self._checkpoints, self.halted, self.parked = checkpoints, halted, parked
        if bucket_versions != self._raw_versions:
            self._raw_versions = bucket_versions
            self._bucket_versions = {view: by_bucket(partitions) for view, partitions in bucket_versions.items()}
        if not self._samples or started - self._samples[-1][0] >= RATE_SAMPLE_S:
            sums = dict.fromkeys(PROJECTIONS, 0)
            for (view, _), position in checkpoints.items():
                sums[view] += position
            self._samples.append((started, sums))
        self._read_at = started
        self._ended = begun
        self._read_done.set()

    async def silent_s(self) -> dict[str, float]:
        """Returns for each view the seconds since its slowest partition was last saved; infinite if never."""
        pipeline: list[dict[str, Any]] = [
            {"$match": _SERVING | {"generation": self.generation}},
            {
                "$group": {
                    "_id": "$projection",
                    "partitions": {"$sum": {"$cond": [{"$gt": ["$saved_at", None]}, 1, 0]}},
                    "age_ms": {"$max": {"$subtract": ["$$NOW", "$saved_at"]}},
                }
            },
        ]
        silent = dict.fromkeys(PROJECTIONS, float("inf"))
        async for found in await self._collection.aggregate(pipeline):
            if found["partitions"] == self._recent_positions.partitions and found["age_ms"] is not None:
                silent[found["_id"]] = found["age_ms"] / 1000
        return silent


@asynccontextmanager
async def open_freshness(
    database: Database, recent_positions: RecentPositions, generation: int, settings: Settings
) -> AsyncIterator[Freshness]:
    """Opens Freshness with its watcher task running."""
    freshness = Freshness(database, recent_positions, generation, settings)
    task = asyncio.create_task(freshness.watch(), name="checkpoint watcher")
    try:
        yield freshness
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
