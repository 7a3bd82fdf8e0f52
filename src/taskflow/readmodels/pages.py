"""Pages of tasks, and single tasks, kept in this process's memory for as long as nothing in them has moved.

A page is of named projects. It is kept with the marks of their boards, noted before it was read, and serves
whoever asks for the same while the marks are the same: no way to a server, and never older than the
checkpoints that this process knows. So is a task, with the mark of its project's board. While the marks cannot
be seen, everything is read.
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
"""What a task weighs in memory beside its facts, about."""
TASKS_SHARE = 4
"""One in so many bytes is for single tasks."""


class Wanted(NamedTuple):
    """Which page: equal ones are the same page."""

    filter: TaskFilter
    sort: str
    limit: int
    cursor: str | None


class KeptTask(Struct, eq=False):
    """A task. `rendered`: the answer that was made of it last, with its ETag, and from what."""

    task: ShownTask
    rendered: tuple[Any, bytes, str] | None = None


class Pages:
    """The pages and tasks of one API process, the least recently asked for dropped first."""

    def __init__(self, views: Views, freshness: Freshness, *, bytes_max: int) -> None:
        self._views = views
        self._freshness = freshness
        self._kept: LruCache[Wanted, tuple[tuple[Mark, ...], Page]] = LruCache(bytes_max - bytes_max // TASKS_SHARE)
        self._tasks: LruCache[UUID, tuple[Mark, KeptTask]] = LruCache(bytes_max // TASKS_SHARE)
        self._loading: dict[tuple[Wanted, tuple[Mark, ...]], asyncio.Task[Page]] = {}
        self.hits = self.misses = 0

    async def task(self, task_id: UUID) -> KeptTask | None:
        """A task; None where there is none. Raises what MongoDB raises where it must be asked."""
        found = self._tasks.get(task_id)
        if found is not None and found[0] == self._freshness.mark(VIEW, board_key(found[1].task.project_id)):
            self.hits += 1
            return found[1]
        self.misses += 1
        # Of every project: which one the task is in is not known before it was read.
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
        """Raises Invalid for a cursor of another order, and what MongoDB raises where it must be asked."""
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
        # Shared, so one caller that is cancelled must not cancel it for the others.
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
    """About: the tasks, and as much again for the answer made of them."""
    return TASK_BYTES + sum(TASK_BYTES + 2 * len(bytes(task.facts)) for task in page.tasks)
