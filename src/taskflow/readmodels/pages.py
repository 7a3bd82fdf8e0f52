"""Pages of tasks, and single tasks, cached in this process's memory until a task of their projects changes.

A page belongs to a set of projects. It is cached with the marks of their boards (see `invalidation_versions`), noted
before the page was read, and is valid while the marks are unchanged. A valid page needs no query, and is never older
than the checkpoints that this process knows. A task is cached in the same way, with the mark of its project's board.
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
    from taskflow.projections.invalidation_versions import Mark
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.queries import Page, TaskFilter, Views

VIEW = "tasks"
TASK_BYTES = 500
"""Approximate size in memory of a task without its facts, in bytes."""
TASKS_SHARE = 4
"""One part in TASKS_SHARE of the memory is for single tasks."""


class Wanted(NamedTuple):
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
        self._kept: LruCache[Wanted, tuple[tuple[Mark, ...], Page]] = LruCache(bytes_max - bytes_max // TASKS_SHARE)
        self._tasks: LruCache[UUID, tuple[Mark, KeptTask]] = LruCache(bytes_max // TASKS_SHARE)
        self._loading: dict[tuple[Wanted, tuple[Mark, ...]], asyncio.Task[Page]] = {}
        self.hits = self.misses = 0

    async def task(self, task_id: UUID) -> KeptTask | None:
        """Returns a task from the cache or from MongoDB; None if there is none. Raises what `Views.task` raises."""
        found = self._tasks.get(task_id)
        if found is not None and found[0] == self._freshness.mark(VIEW, board_key(found[1].task.project_id)):
            self.hits += 1
            return found[1]
        self.misses += 1
        # The marks of all boards, because the task's project is unknown until the task is read.
        marks = self._freshness.marks(VIEW)
        task = await self._views.task(task_id)
        if task is None:
            self._tasks.drop(task_id)
            return None
        kept = KeptTask(task)
        if marks is not None:
            mark = marks[bucket(board_key(task.project_id))]
            self._tasks.put(task_id, (mark, kept), TASK_BYTES + 2 * len(bytes(task.facts)))
        return kept

    async def get(self, wanted: Wanted) -> Page:
        """Returns a page from the cache or from MongoDB. Raises Invalid for a cursor of another sort order, and what
        `Views.tasks` raises."""
        marks = self._marks(wanted)
        if marks is None:
            return await self._read(wanted)
        found = self._kept.get(wanted)
        if found is not None and found[0] == marks:
            self.hits += 1
            return found[1]
        self.misses += 1
        key = (wanted, marks)
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._load(wanted, marks))
        # Shielded: the task is shared, so a cancelled caller must not cancel it for the others.
        return await asyncio.shield(loading)

    def _marks(self, wanted: Wanted) -> tuple[Mark, ...] | None:
        marks: list[Mark] = []
        for project_id in wanted.filter.projects:
            mark = self._freshness.mark(VIEW, board_key(project_id))
            if mark is None:
                return None
            marks.append(mark)
        return tuple(marks)

    async def _load(self, wanted: Wanted, marks: tuple[Mark, ...]) -> Page:
        try:
            page = await self._read(wanted)
            self._kept.put(wanted, (marks, page), _bytes(page))
            return page
        finally:
            del self._loading[wanted, marks]

    async def _read(self, wanted: Wanted) -> Page:
        return await self._views.tasks(wanted.filter, sort=wanted.sort, limit=wanted.limit, cursor=wanted.cursor)


def _bytes(page: Page) -> int:
    """Returns the approximate size of a page: the tasks, and as much again for the response rendered from them."""
    return TASK_BYTES + sum(TASK_BYTES + 2 * len(bytes(task.facts)) for task in page.tasks)
