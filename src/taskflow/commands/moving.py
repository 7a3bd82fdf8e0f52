"""A task moves to another project: what belongs to a project is said anew, in one event.

Labels are names and go along; so does the assignee who is a member there. The parent does not: parents are of
one project. The tasks below it stay where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from taskflow.commands.access import project_for, task_for
from taskflow.commands.execute import Target
from taskflow.commands.fields import Command, StatusKey
from taskflow.commands.project import unarchived
from taskflow.commands.ranks import rank_at
from taskflow.commands.task import category_of, change_status, live, named_status
from taskflow.errors import Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import TaskMoved, TaskState

if TYPE_CHECKING:
    from datetime import datetime

    from taskflow.commands.unit import Unit
    from taskflow.streams.project import ProjectState, Status


class MoveTask(Command, frozen=True):
    project_id: UUID
    status: StatusKey | None = None
    """None: the status of the same name there, else the first of the same category."""


# --- decide --------------------------------------------------------------------------------------


def move(
    task: TaskState, here: ProjectState, there: ProjectState, status: str | None, at: datetime, order: int = 0
) -> list[Event]:
    """To the end of another project. Within its own a task changes its status at most."""
    live(task, here)
    if here.id == there.id:
        return [] if status is None else change_status(task, here, named_status(here, status), at)
    unarchived(there)
    entered = _status_there(task, here, there) if status is None else named_status(there, status)
    return [
        TaskMoved(
            from_project_id=here.id,
            project_id=there.id,
            status=entered.key,
            category=entered.category,
            rank=rank_at(at, order),
            assignee_id=task.assignee_id if task.assignee_id in there.members else None,
        )
    ]


def _status_there(task: TaskState, here: ProjectState, there: ProjectState) -> Status:
    category = category_of(task, here)
    status = there.workflow.status(task.status) or there.workflow.first(category)
    if status is None:
        known = ", ".join(status.key for status in there.workflow.statuses)
        raise Rejected(
            "no-such-status", f"the project has neither {task.status!r} nor a status of {category}: name one of {known}"
        )
    return status


# --- handlers ------------------------------------------------------------------------------------


async def move_task(unit: Unit, target: UUID, command: MoveTask) -> Target:
    task, here = await task_for(unit, target, "member")
    there = await project_for(unit, command.project_id, "member")
    unit.expect_version(target)
    unit.append(TASK, target, *move(task, here, there, command.status, unit.at, len(unit.staged)))
    return Target(TASK, target)
