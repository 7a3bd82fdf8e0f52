"""Pages of tasks, and single tasks, cached in this process's memory until a task of their projects changes.

A page belongs to a set of projects. It is cached with the bucket versions of their boards (see `invalidation_versions`), noted
before the page was read, and is valid while they are unchanged. A valid page needs no query, and is never older
than the checkpoints that this process knows. A task is cached in the same way, with the version of its project's board.
While the checkpoints cannot be read, everything is read from MongoDB.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from taskflow.lru import LruCache
from taskflow.projections.declarations.tasks import board_key
from taskflow.projections.invalidation_versions import bucket

if TYPE_CHECKING:
    from taskflow.projections.declarations.tasks import ShownTask
    from taskflow.projections.invalidation_versions import BucketVersion
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.queries import Page, TaskFilter, Views

VIEW = "tasks"
TASK_BYTES = 500
"""Approximate size in memory of a task without its facts, in bytes."""
TASKS_SHARE = 4
"""One part in TASKS_SHARE of the memory is for single tasks."""


class PageKey(NamedTuple):
    """The key of a page in the cache."""

    filter: TaskFilter
    sort: str
    limit: int
    cursor: str | None


class KeptTask(Struct, eq=False):
    """A cached task. `rendered`: the inputs of the last rendering, the response and its ETag."""

    task: ShownTask
    rendered: tuple[Any, bytes, str] | None = None


class Pages:
    """The cached pages and tasks of one API process; the least recently used are dropped first."""

    def __init__(self, views: Views, freshness: Freshness, *, bytes_max: int) -> None:
        self._views = views
        self._freshness = freshness
        self._kept: LruCache[PageKey, tuple[tuple[BucketVersion, ...], Page]] = LruCache(
            bytes_max - bytes_max // TASKS_SHARE
        )
        self._tasks: LruCache[UUID, tuple[BucketVersion, KeptTask]] = LruCache(bytes_max // TASKS_SHARE)
        self._loading: dict[tuple[PageKey, tuple[BucketVersion, ...]], asyncio.Task[Page]] = {}
        self.hits = self.misses = 0

    async def task(self, task_id: UUID) -> KeptTask | None:
        """Returns a task from the cache or from MongoDB; None if there is none. Raises what `Views.task` raises."""
        found = self._tasks.get(task_id)
        if found is not None and found[0] == self._freshness.bucket_version(VIEW, board_key(found[1].task.project_id)):
            self.hits += 1
            return found[1]
        self.misses += 1
        # The versions of all boards, because the task's project is unknown until the task is read.
        bucket_versions = self._freshness.bucket_versions(VIEW)
        task = await self._views.task(task_id)
        if task is None:
            self._tasks.drop(task_id)
            return None
        kept = KeptTask(task)
        if bucket_versions is not None:
            bucket_version = bucket_versions[bucket(board_key(task.project_id))]
            self._tasks.put(task_id, (bucket_version, kept), TASK_BYTES + 2 * len(bytes(task.facts)))
        return kept

    async def get(self, wanted: PageKey) -> Page:
        """Returns a page from the cache or from MongoDB. Raises Invalid for a cursor of another sort order, and what
        `Views.tasks` raises."""
        bucket_versions = self._bucket_versions(wanted)
        if bucket_versions is None:
            return await self._read(wanted)
        found = self._kept.get(wanted)
        if found is not None and found[0] == bucket_versions:
            self.hits += 1
            return found[1]
        self.misses += 1
        key = (wanted, bucket_versions)
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._load(wanted, bucket_versions))
        # Shielded: the task is shared, so a cancelled caller must not cancel it for the others.
        return await asyncio.shield(loading)

    def _bucket_versions(self, wanted: PageKey) -> tuple[BucketVersion, ...] | None:
        bucket_versions: list[BucketVersion] = []
        for project_id in wanted.filter.projects:
            bucket_version = self._freshness.bucket_version(VIEW, board_key(project_id))
            if bucket_version is None:
                return None
            bucket_versions.append(bucket_version)
        return tuple(bucket_versions)

    async def _load(self, wanted: PageKey, bucket_versions: tuple[BucketVersion, ...]) -> Page:
        try:
            page = await self._read(wanted)
            self._kept.put(wanted, (bucket_versions, page), _bytes(page))
            return page
        finally:
            del self._loading[wanted, bucket_versions]

    async def _read(self, wanted: PageKey) -> Page:
        return await self._views.tasks(wanted.filter, sort=wanted.sort, limit=wanted.limit, cursor=wanted.cursor)


def _bytes(page: Page) -> int:
    """Returns the approximate size of a page: the tasks, and as much again for the response rendered from them."""
    return TASK_BYTES + sum(TASK_BYTES + 2 * len(bytes(task.facts)) for task in page.tasks)
