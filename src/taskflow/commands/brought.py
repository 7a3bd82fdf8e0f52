"""What people bring along from another list of tasks: each task as it is, and what was said about it.

Ids and ranks are the caller's to derive, so that the same task of the same list is the same command.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for
from taskflow.commands.comments import add
from taskflow.commands.execute import Target
from taskflow.commands.project import unarchived
from taskflow.commands.task import check_parent
from taskflow.errors import NotFound, Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import CommentRestored, Priority, TaskCreated, TaskStatusChanged

if TYPE_CHECKING:
    from taskflow.commands.unit import Unit
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState

# --- commands ------------------------------------------------------------------------------------


class BroughtTask(Struct, frozen=True, kw_only=True):
    """`done_at` None: not known when it was completed, if it was."""

    project_id: UUID
    external_id: str | None
    title: str
    description: str
    priority: Priority
    due_at: datetime | None
    recurrence: str | None
    labels: tuple[str, ...]
    assignee_id: UUID | None
    author_id: UUID | None
    parent_id: UUID | None
    rank: str
    created_at: datetime
    done: bool
    done_at: datetime | None
    source: dict[str, str] | None


class BroughtNote(Struct, frozen=True, kw_only=True):
    """What somebody said about a task."""

    project_id: UUID
    comment_id: UUID
    author_id: UUID | None
    body: str
    at: datetime


# --- decide --------------------------------------------------------------------------------------


def create(project: ProjectState, task: BroughtTask) -> list[tuple[datetime, Event]]:
    """Each event with its time. What is done is in the first status for that, and from when it was, if that is known."""
    unarchived(project)
    initial = project.workflow.initial()
    final = project.workflow.first("done") if task.done else initial
    if final is None:
        raise Rejected("no-such-status", "the project's workflow has no status of the category done")
    first = initial if task.done_at is not None else final
    created = TaskCreated(
        project_id=project.id,
        title=task.title,
        status=first.key,
        category=first.category,
        rank=task.rank,
        description=task.description,
        priority=task.priority,
        due_at=task.due_at,
        labels=task.labels,
        assignee_id=task.assignee_id,
        parent_id=task.parent_id,
        recurrence=task.recurrence,
        external_id=task.external_id,
        source=task.source,
    )
    events: list[tuple[datetime, Event]] = [(task.created_at, created)]
    if final is not first and task.done_at is not None:
        events.append((task.done_at, TaskStatusChanged(first.key, final.key, final.category)))
    return events


def note(task: TaskState, project: ProjectState, said: BroughtNote, by: UUID | None) -> list[Event]:
    """A comment of the time it was made at; it stands where that belongs among the others."""
    if task.project_id != project.id:
        raise Rejected("moved", f"the task is in another project now: {task.project_id}")
    add(task, project, said.comment_id, said.body)
    return [CommentRestored(said.comment_id, said.body, said.author_id or by, said.at)]


# --- handlers ------------------------------------------------------------------------------------


async def bring_task(unit: Unit, task_id: UUID, task: BroughtTask) -> Target:
    """Whom it names need not be a member of the project."""
    project = await project_for(unit, task.project_id, "admin")
    if await unit.read(TASK, task_id) is None:
        events = create(project, task)
        try:
            await check_parent(unit, project, task_id, task.parent_id)
        except NotFound:
            raise Rejected("no-such-parent", "the task above it is in this project no more") from None
        for at, event in events:
            unit.append(TASK, task_id, event, at=at, actor=task.author_id)
    return Target(TASK, task_id)


async def bring_note(unit: Unit, task_id: UUID, said: BroughtNote) -> Target:
    project = await project_for(unit, said.project_id, "admin")
    task = await unit.read(TASK, task_id)
    if task is None or task.purged:
        raise Rejected("no-such-task", "its task is no more")
    if task.comment(said.comment_id) is None:
        unit.append(TASK, task_id, *note(task, project, said, unit.actor), actor=said.author_id)
    return Target(TASK, task_id)
