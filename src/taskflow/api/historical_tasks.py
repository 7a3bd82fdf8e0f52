"""Tasks at a point in time or version, from the event store, so that every write acknowledged before counts.

Access is decided by the caller's current role in the task's present project. People have their current names; statuses
are resolved by the workflow at that point in time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.api import render
from taskflow.api.committed_state import committed
from taskflow.errors import NotFound
from taskflow.projections.declarations.tasks import shown
from taskflow.store.time_travel import PointInTime, first_known_at, state_at, state_of
from taskflow.streams import PROJECT, TASK

if TYPE_CHECKING:
    from uuid import UUID

    from litestar import Response
    from msgspec import Raw

    from taskflow.api.reads import Reading
    from taskflow.query.query_params import Parameters
    from taskflow.streams.project import Statuses
    from taskflow.streams.task import TaskState

POINT_IN_TIME: Final = ("at", "clock")
CLOCKS: Final = ("occurred", "recorded")
VERSION_MAX: Final = 2**62
"""Largest version that a query may name. No stream is that long: a version beyond its end is not found."""


def moment_of(take: Parameters) -> PointInTime | None:
    """The point in time that `at` and `clock` name, if any; records a fault for `clock` without `at`."""
    at = take.time("at")
    clock = take.one_of("clock", CLOCKS)
    if at is None:
        if clock is not None:
            take.fault("clock", "alone", "expected a time, at, for this clock to tell")
        return None
    return PointInTime("recorded" if clock == "recorded" else "occurred", at)


def requested_point(take: Parameters) -> PointInTime | int | None:
    """The point in time or the version that the query names; None: the present."""
    moment = moment_of(take)
    version = take.number("version", least=0, most=VERSION_MAX)
    if version is not None and moment is not None:
        take.fault("version", "contradiction", "expected a version or a time, at, and not both")
    return moment if version is None else version


async def see(reading: Reading, task_id: UUID) -> TaskState:
    """The present task. Raises NotFound if the caller may not see it, or if it was purged."""
    await reading.read_log()
    task = await committed(reading.context.store, TASK, task_id)
    if task is None or task.purged:
        raise NotFound("task", task_id)
    await reading.require_member(task.project_id, "task", task_id)
    return task


async def answer(reading: Reading, task_id: UUID, then: PointInTime | int) -> Response[bytes]:
    """The task at a point in time or version. Raises NotFound if it did not exist yet, or has no such version."""
    present = await see(reading, task_id)
    if isinstance(then, int):
        body = await at_version(reading, present, then)
        return reading.resource(body, then)
    task = await state_at(reading.context.store, TASK, task_id, then, bytes_max=_bytes_max(reading))
    if task is not None and task.version > present.version:
        # The task has changed meanwhile, and may be in another project, for which access was not checked.
        task = await state_of(reading.context.store, TASK, task_id, present.version, bytes_max=_bytes_max(reading))
    if task is None:
        raise NotFound("task", task_id)
    return reading.resource(await _rendered(reading, task, then), task.version)


async def at_version(reading: Reading, present: TaskState, version: int) -> Raw:
    """The task at a version, as the write of that version answered it: with the workflow at that position of the
    log."""
    store = reading.context.store
    if not 1 <= version <= present.version:
        raise NotFound("version", version)
    (position,) = await store.log.positions(present.id, [version])
    task = await state_of(store, TASK, present.id, version, bytes_max=_bytes_max(reading))
    if task is None:
        raise NotFound("version", version)
    return await _rendered(reading, task, PointInTime("position", position))


async def _rendered(reading: Reading, task: TaskState, moment: PointInTime) -> Raw:
    names = await reading.names(set() if task.assignee_id is None else {task.assignee_id})
    return render.task(shown(task), await _statuses(reading, task.project_id, moment), names)


async def _statuses(reading: Reading, project_id: UUID, moment: PointInTime) -> Statuses | None:
    project = await first_known_at(reading.context.store, PROJECT, project_id, moment, bytes_max=_bytes_max(reading))
    return None if project is None else project.statuses


def _bytes_max(reading: Reading) -> int:
    return reading.context.settings.history_bytes_max
