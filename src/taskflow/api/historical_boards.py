"""A project's board at a point in time, folded from the event store.

Its columns are those of the workflow at that time. It shows the tasks that were in the project then, including those
that have left it since, if the caller may see their present project; purged tasks are left out.

All events of every task that had ever been in the project by then are read, found by an index: 10,000 tasks with five
events each took 1.0 to 1.4 s on two cores, in portions between which other requests run. Boards of more than
`historical_board_events_max` events are refused, and at most `historical_boards_concurrency_max` are folded at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from heapq import nsmallest
from typing import TYPE_CHECKING

from taskflow.api import render
from taskflow.errors import Invalid, NotFound, Unavailable
from taskflow.page_bounds import BOARD_BYTES_MAX, fitting, fitting_rows
from taskflow.projections.declarations.tasks import shown
from taskflow.readmodels.queries import BOARD_TASKS_MAX
from taskflow.store.historical_tasks import states_then_and_now, tasks_ever_in
from taskflow.store.time_travel import PointInTime, first_known_at
from taskflow.streams import PROJECT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from uuid import UUID

    from litestar import Response

    from taskflow.api.reads import Reading
    from taskflow.projections.declarations.tasks import ShownTask
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState


async def answer(reading: Reading, project_id: UUID, moment: PointInTime) -> Response[bytes]:
    """The board; at a time before the project was created, with the project as it was created. Raises Invalid if there
    are too many events to fold."""
    await reading.read_log()
    await reading.require_member(project_id, "project", project_id)
    async with _turn(reading):
        await reading.require_member(project_id, "project", project_id)  # it may have waited
        return await _folded(reading, project_id, moment)


@asynccontextmanager
async def _turn(reading: Reading) -> AsyncIterator[None]:
    """Waits for one of the process's places for folding boards. Raises Unavailable if that takes too long."""
    turns = reading.context.past_boards
    try:
        async with asyncio.timeout(reading.left_s):
            await turns.acquire()
    except TimeoutError:
        raise Unavailable("too many historical boards are being computed; try again shortly") from None
    try:
        yield
    finally:
        turns.release()


async def _folded(reading: Reading, project_id: UUID, moment: PointInTime) -> Response[bytes]:
    bytes_max = reading.context.settings.history_bytes_max
    project = await first_known_at(reading.context.store, PROJECT, project_id, moment, bytes_max=bytes_max)
    if project is None:
        raise NotFound("project", project_id)
    visible = reading.context.follower.projects_of(reading.caller)
    counts, tasks = await _columns(reading, project, moment, visible)
    people = {task.assignee_id for column in tasks.values() for task in column if task.assignee_id is not None}
    names = await reading.names(people)
    columns = [
        {
            "status": status.key,
            "name": status.name,
            "category": status.category,
            "count": counts[status.key],
            "tasks": [render.task(task, project.statuses, names) for task in tasks[status.key]],
            "more": len(tasks[status.key]) < counts[status.key],
        }
        for status in project.workflow.statuses
    ]
    return reading.unversioned({"columns": columns})


async def _columns(
    reading: Reading, project: ProjectState, moment: PointInTime, visible: Collection[UUID]
) -> tuple[Counter[str], dict[str, list[ShownTask]]]:
    """The number of tasks by status, and by status the first tasks by rank, as many as fit."""
    store, settings = reading.context.store, reading.context.settings
    events_max = settings.historical_board_events_max
    placed = await tasks_ever_in(store, project.id, moment, limit=events_max + 1)
    events = sum(task.version for task in placed)
    if events > events_max:
        raise Invalid("at", "too-much", f"this board would have to be computed from more than {events_max} events")
    counts: Counter[str] = Counter()
    keys = [status.key for status in project.workflow.statuses]
    columns = {key: _Column(BOARD_BYTES_MAX // len(keys)) for key in keys}
    async for then, now in states_then_and_now(store, placed, moment, bytes_max=settings.historical_board_bytes_max):
        if then.project_id != project.id or then.trashed_at is not None:
            continue
        status = project.statuses.resolve(then.status)
        if status is None or now.purged or now.project_id not in visible:
            continue
        counts[status.key] += 1
        columns[status.key].add(then)
    first = [columns[key].first() for key in keys]
    fit = fitting_rows([[len(bytes(task.facts)) for task in column] for column in first], BOARD_BYTES_MAX)
    return counts, {key: column[:count] for key, column, count in zip(keys, first, fit, strict=True)}


class _Column:
    """Collects the first tasks of a status by rank, in bounded memory: never much more than BOARD_TASKS_MAX tasks, nor
    than the column's share of the board in bytes."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._size = 0
        self._tasks: list[tuple[str, UUID, ShownTask]] = []

    def add(self, task: TaskState) -> None:
        one = shown(task)
        self._tasks.append((task.rank, task.id, one))
        self._size += len(bytes(one.facts))
        if len(self._tasks) > 2 * BOARD_TASKS_MAX or self._size > 2 * self._bytes_max:
            self._cut()

    def first(self) -> list[ShownTask]:
        self._cut()
        return [one for _, _, one in self._tasks]

    def _cut(self) -> None:
        self._tasks = nsmallest(BOARD_TASKS_MAX, self._tasks, key=lambda entry: entry[:2])
        sizes = [len(bytes(one.facts)) for _, _, one in self._tasks]
        count = fitting(sizes, self._bytes_max)
        del self._tasks[count:]
        self._size = sum(sizes[:count])
