"""Moves a task with all its subtasks to another project; one event per task sets all fields that depend on the project.

Labels are names, and stay; an assignee who is a member of the new project stays too. The moved task has no parent
afterwards, because a parent is in the same project. Its subtasks keep their parents, whether they are in the trash or
not. A subtask that an earlier move has left in another project stays there, with all its subtasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.commands.access import project_for, task_for, with_current_status
from taskflow.commands.declaration import TASK_ID, CommandType, RestRoute
from taskflow.commands.fields import Command, StatusKey
from taskflow.commands.project import require_not_archived
from taskflow.commands.ranks import rank_at
from taskflow.commands.task import category_of, change_status, named_status, require_editable
from taskflow.errors import Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import TaskMoved, TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState, Status


class MoveTask(Command, frozen=True):
    """Moves the task with all its subtasks."""

    project_id: UUID
    status: StatusKey | None = None
    """The task's status in the new project. None, and for every subtask: the status with the same key there, else the
    first status of the same category."""


# --- decide --------------------------------------------------------------------------------------


def move(
    task: TaskState, here: ProjectState, there: ProjectState, status: str | None, at: datetime, order: int = 0
) -> list[Event]:
    """Moves a task to the end of another project. If the project is the same, at most the status changes."""
    require_editable(task, here)
    if here.id == there.id:
        return [] if status is None else change_status(task, here, named_status(here, status), at)
    require_not_archived(there)
    entered = None if status is None else named_status(there, status)
    return [moved(task, here, there, entered, rank=rank_at(at, order), parent_id=None)]


def follow(task: TaskState, here: ProjectState, there: ProjectState, at: datetime, order: int) -> TaskMoved:
    """Moves a subtask along with its parent; its rank is after that of the moved task. Callers go in the order of
    ranks."""
    return moved(with_current_status(task, here), here, there, None, rank=rank_at(at, order), parent_id=task.parent_id)


def moved(
    task: TaskState,
    here: ProjectState,
    there: ProjectState,
    status: Status | None,
    *,
    rank: str,
    parent_id: UUID | None,
) -> TaskMoved:
    entered = _status_there(task, here, there) if status is None else status
    return TaskMoved(
        from_project_id=here.id,
        project_id=there.id,
        status=entered.key,
        category=entered.category,
        rank=rank,
        assignee_id=task.assignee_id if task.assignee_id in there.members else None,
        parent_id=parent_id,
    )


def _status_there(task: TaskState, here: ProjectState, there: ProjectState) -> Status:
    category = category_of(task, here)
    status = there.workflow.status(task.status) or there.workflow.first(category)
    if status is None:
        known = ", ".join(status.key for status in there.workflow.statuses)
        raise Rejected(
            "no-such-status",
            f"the project has neither the status {task.status!r} of task {task.id} nor a status of category {category}; "
            f"it has {known}",
        )
    return status


# --- handlers ------------------------------------------------------------------------------------


async def move_task(unit: UnitOfWork, target: UUID, command: MoveTask) -> UUID:
    task, here = await task_for(unit, target, "member")
    there = await project_for(unit, command.project_id, "member")
    unit.expect_version(target)
    events = move(task, here, there, command.status, unit.at, len(unit.staged))
    below = await subtasks(unit, [target], here) if here.id != there.id else []
    unit.append(TASK, target, *events)
    for one in sorted(below, key=lambda task: (task.rank, task.id)):
        unit.append(TASK, one.id, follow(one, here, there, unit.at, len(unit.staged)))
    return target


async def subtasks(unit: UnitOfWork, tops: Iterable[UUID], project: ProjectState) -> list[TaskState]:
    """All subtasks of these tasks in their project, level by level, including the trash. A subtask that is added
    meanwhile is a conflict for the append. Raises Rejected if there are more than may move at once."""
    level = list(tops)
    seen = set(level)
    found: list[TaskState] = []
    while level:
        ids = [one for one in await unit.children(level, limit=unit.moves_left) if one not in seen]
        unit.families |= dict.fromkeys(level)
        if len(ids) > unit.moves_left:
            raise Rejected(
                "too-many-subtasks", f"too many subtasks would move at once; at most {unit.moves_left} more can"
            )
        seen.update(ids)
        parents = set(level)
        below = [
            task
            for task in await unit.read_many(TASK, ids)
            if task.parent_id in parents and task.project_id == project.id and not task.purged
        ]
        unit.moves_left -= len(below)
        found += below
        level = [task.id for task in below]
    return found


# --- declared ------------------------------------------------------------------------------------

COMMANDS: Final = (
    CommandType(
        body=MoveTask,
        target=TASK_ID,
        handler=move_task,
        answer="task",
        rest=RestRoute("POST", "/move", "Move a task to another project"),
    ),
)
