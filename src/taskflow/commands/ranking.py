"""Ranks a task within its project: after another task, before one, or between two.

    after X ─▶ X's stream: X's rank      the index: Y is next to X ─▶ Y's stream: Y's rank
                     └── a rank between the two; the append checks both versions ──┘

Tasks that are put into one place at the same moment all get there, in an arbitrary order. Equal ranks (of two tasks
created in one microsecond) leave no room between them: a task that is put after one of them is after the other too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands.declaration import TASK_ID, DecisionContext, RestRoute, on_task
from taskflow.commands.fields import Command
from taskflow.commands.ranks import close_after, close_before, is_room, rank_at, rank_between
from taskflow.commands.task import require_editable
from taskflow.errors import Behind, Invalid, NotFound, Rejected, Unavailable
from taskflow.streams import TASK, Event
from taskflow.streams.task import TaskRanked, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from taskflow.commands.adjacent_tasks import Side
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState

ADJACENT_READ_MAX: Final = 10
"""Adjacent tasks that are looked up, if each has moved since it was indexed or leaves no room."""


class RankTask(Command, frozen=True):
    """Ranks a task after another task of its project, before one, or between two."""

    after: UUID | None = None
    before: UUID | None = None


class Place(Struct, frozen=True):
    """The place between two ranks; None: no task on that side. `known`: both are the ranks of adjacent tasks."""

    low: str | None
    high: str | None
    known: bool = True


# --- decide --------------------------------------------------------------------------------------


def rank(task: TaskState, project: ProjectState, place: Place, at: datetime, order: int = 0) -> list[Event]:
    """Moves a task to a place; no event if it is there already. After the last task it gets the rank of a new task."""
    require_editable(task, project)
    if place.known and (place.low or "") < task.rank and (place.high is None or task.rank < place.high):
        return []
    end = rank_at(at, order)
    if place.high is None and (place.low is None or place.low < end):
        return [TaskRanked(rank=end)]
    return [TaskRanked(rank=rank_between(place.low, place.high, task.id))]


# --- handlers ------------------------------------------------------------------------------------


async def _rank(on: DecisionContext[TaskState, ProjectState, UUID, RankTask]) -> list[Event]:
    unit, task, project, command = on.unit, on.state, on.project, on.command
    if command.after is None and command.before is None:
        raise Invalid("/after", "required", "expected the id of a task in after or in before")
    require_editable(task, project)
    if task.id in {command.after, command.before}:
        return []
    after = None if command.after is None else await _named(unit, project, command.after)
    before = None if command.before is None else await _named(unit, project, command.before)
    place = await _place(unit, task.id, after, before)
    return rank(task, project, place, unit.at, len(unit.staged))


async def _named(unit: UnitOfWork, project: ProjectState, task_id: UUID) -> TaskState:
    task = await unit.read(TASK, task_id)
    if task is None or task.purged or task.project_id != project.id:
        raise NotFound("task", task_id)
    if task.trashed_at is not None:
        raise Rejected("trashed", f"task {task_id} is in the trash; restore it first")
    return task


async def _place(unit: UnitOfWork, task_id: UUID, after: TaskState | None, before: TaskState | None) -> Place:
    if after is not None and before is not None:
        if (after.rank, after.id) >= (before.rank, before.id):
            raise Rejected("order", f"task {after.id} is not ranked before {before.id}, so no rank is between them")
        if is_room(after.rank, before.rank):
            return Place(after.rank, before.rank)
    if after is not None:
        return await _beside(unit, task_id, after, "after")
    if before is not None:
        return await _beside(unit, task_id, before, "before")
    raise AssertionError("neither was named")


async def _beside(unit: UnitOfWork, task_id: UUID, named: TaskState, side: Side) -> Place:
    """The place next to a task, on one side of it. If the index cannot answer, the place is so close to the task that
    the neighbour is hardly ever inside it."""
    try:
        found, known = await _next(unit, task_id, named, side), True
    except (Behind, Unavailable):
        nearest = next(_known_adjacent(unit, task_id, named, named.rank, side), None)
        close = close_after(named.rank) if side == "after" else close_before(named.rank)
        pick = min if side == "after" else max
        found, known = close if nearest is None else pick(nearest.rank, close), False
    return Place(named.rank, found, known) if side == "after" else Place(found, named.rank, known)


async def _next(unit: UnitOfWork, task_id: UUID, named: TaskState, side: Side) -> str | None:
    """The next rank on one side that leaves room, taken from the stream of its task; None: no task is there."""
    edge = named.rank
    for _ in range(ADJACENT_READ_MAX):
        besides = [task_id, *unit.streams]
        nearest = next(_known_adjacent(unit, task_id, named, edge, side), None)
        found = await unit.hints.next_to(named.project_id, edge, side, besides)
        if found is None or (nearest is not None and not _is_nearer(found.rank, nearest.rank, side)):
            if nearest is None or _room(named.rank, nearest.rank, side):
                return None if nearest is None else nearest.rank
            edge = nearest.rank
            continue
        # The append checks the version of every stream read. If the task has moved since it was indexed, search again.
        state = await unit.read(TASK, found.task_id)
        if state is None or state.rank != found.rank or not _is_ranked(state, named.project_id):
            continue
        if _room(named.rank, found.rank, side):
            return found.rank
        edge = found.rank
    raise Unavailable("the adjacent tasks moved during every attempt")


def _known_adjacent(unit: UnitOfWork, task_id: UUID, named: TaskState, edge: str, side: Side) -> Iterator[TaskState]:
    """The tasks that this unit of work has read, and whose ranks are beyond `edge`, nearest first."""
    tasks = [
        stream.state
        for stream in unit.streams.values()
        if isinstance(stream.state, TaskState)
        and stream.state.id not in {task_id, named.id}
        and _is_ranked(stream.state, named.project_id)
        and _is_nearer(edge, stream.state.rank, side)
    ]
    return iter(sorted(tasks, key=lambda task: task.rank, reverse=side == "before"))


def _is_ranked(task: TaskState, project_id: UUID) -> bool:
    return task.project_id == project_id and task.trashed_at is None


def _is_nearer(one: str, other: str, side: Side) -> bool:
    return one < other if side == "after" else one > other


def _room(named: str, found: str, side: Side) -> bool:
    return is_room(named, found) if side == "after" else is_room(found, named)


# --- declared ------------------------------------------------------------------------------------

COMMANDS: Final = (
    on_task(RankTask, TASK_ID, _rank, RestRoute("POST", "/rank", "Put a task after or before another of its project")),
)
