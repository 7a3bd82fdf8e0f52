"""What people bring along, from another list of tasks or from a project that was exported: each task as it is.

What is brought is a task, not its history: the events say as much of that as its times tell. Ids and ranks are
the caller's to derive, so that the same task of the same source is the same command.
"""

from __future__ import annotations

from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for
from taskflow.commands.comments import add
from taskflow.commands.execute import Target
from taskflow.commands.project import require_not_archived
from taskflow.commands.ranks import rank_between
from taskflow.commands.schedule import end_of
from taskflow.commands.task import check_parent
from taskflow.errors import NotFound, Rejected
from taskflow.names import normal_names
from taskflow.streams import TASK, Event
from taskflow.streams.project import Category, Status
from taskflow.streams.schedule import Series
from taskflow.streams.task import (
    ChecklistItemAdded,
    Comment,
    CommentRestored,
    Priority,
    Relation,
    RelationAdded,
    TaskCreated,
    TaskStatusChanged,
)

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState

# --- commands ------------------------------------------------------------------------------------


class BroughtItem(Struct, frozen=True):
    id: UUID
    text: str
    done: bool


class BroughtTask(Struct, frozen=True, kw_only=True):
    """A task as it was there, its ids those that it has here. `status` None: the first of its category here."""

    project_id: UUID
    external_id: str | None
    title: str
    description: str
    status: str | None = None
    category: Category
    priority: Priority
    due_at: datetime | None
    labels: tuple[str, ...]
    assignee_id: UUID | None
    parent_id: UUID | None
    rank: str
    recurrence: str | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    """None: not known when it was completed, if it was."""
    checklist: tuple[BroughtItem, ...] = ()
    relations: tuple[Relation, ...] = ()
    comments: tuple[Comment, ...] = ()
    source: dict[str, str] | None = None
    due_on: date | None = None
    time_zone: str | None = None
    series: Series | None = None
    """Of one that has begun; None: a rule begins with the task's due."""


class BroughtNote(Struct, frozen=True, kw_only=True):
    """What somebody said about a task."""

    project_id: UUID
    comment_id: UUID
    author_id: UUID | None
    body: str
    at: datetime


# --- decide --------------------------------------------------------------------------------------


def create(project: ProjectState, task_id: UUID, task: BroughtTask, now: datetime) -> list[tuple[datetime, Event]]:
    """Each event with its time: created, started and completed when the task was, the rest when it last changed."""
    require_not_archived(project)
    if task.updated_at > now:
        raise Rejected("future", f"the time {task.updated_at.isoformat()} has not come yet")
    path = _path(project, task)
    _, first = path[0]
    events: list[tuple[datetime, Event]] = [
        (
            task.created_at,
            TaskCreated(
                project_id=project.id,
                title=task.title,
                status=first.key,
                category=first.category,
                rank=task.rank,
                description=task.description,
                priority=task.priority,
                due_at=task.due_at,
                due_on=task.due_on,
                day_ends_at=end_of(task.due_on, task.time_zone),
                time_zone=task.time_zone,
                series=task.series,
                labels=normal_names(task.labels),
                assignee_id=task.assignee_id,
                parent_id=task.parent_id,
                recurrence=task.recurrence,
                external_id=task.external_id,
                source=task.source,
            ),
        )
    ]
    for (_, before), (at, after) in pairwise(path):
        events.append((at, TaskStatusChanged(before.key, after.key, after.category)))
    parts: list[Event] = []
    rank: str | None = None
    for item in task.checklist:
        rank = rank_between(rank, None, item.id)
        parts.append(ChecklistItemAdded(item_id=item.id, text=item.text, rank=rank, done=item.done))
    parts += [RelationAdded(relation=one.type, task_id=one.task_id) for one in task.relations if one.task_id != task_id]
    parts += [CommentRestored(one.id, one.body, one.author_id, one.created_at, one.edited_at) for one in task.comments]
    return events + [(task.updated_at, part) for part in parts]


def _path(project: ProjectState, task: BroughtTask) -> list[tuple[datetime, Status]]:
    """The statuses by which a task comes to have been started and completed when it was."""
    final = _final(project, task)
    began = task.started_at if final.category != "in_progress" or task.started_at != task.created_at else None
    path: list[tuple[datetime, Status]] = []
    if began is not None:
        path.append((began, project.workflow.first("in_progress") or Status("in_progress", "", "in_progress")))
    if task.completed_at is not None and (path or task.completed_at != task.created_at):
        path.append((task.completed_at, final))
    elif not path or path[-1][1].key != final.key:
        path.append((task.updated_at if path else task.created_at, final))
    if path[0][0] > task.created_at:
        path.insert(0, (task.created_at, project.workflow.first("todo") or Status("todo", "", "todo")))
    return path


def _final(project: ProjectState, task: BroughtTask) -> Status:
    """The status it is in: its own, whether the workflow has it or not."""
    if task.status is not None:
        return Status(task.status, task.status, task.category)
    found = project.workflow.initial() if task.category == "todo" else project.workflow.first(task.category)
    if found is None:
        raise Rejected("no-such-status", f"the project's workflow has no status of the category {task.category}")
    return found


def note(task: TaskState, project: ProjectState, said: BroughtNote, by: UUID | None) -> list[Event]:
    """A comment of the time it was made at; it stands where that belongs among the others."""
    if task.project_id != project.id:
        raise Rejected("moved", f"the task is in another project now: {task.project_id}")
    add(task, project, said.comment_id, said.body)
    return [CommentRestored(said.comment_id, said.body, said.author_id or by, said.at)]


# --- handlers ------------------------------------------------------------------------------------


async def bring_task(unit: UnitOfWork, task_id: UUID, task: BroughtTask, *, after_parent: bool) -> Target:
    """Whom it names need not be a member of the project. `after_parent`: not before the task above it is here."""
    project = await project_for(unit, task.project_id, "admin")
    if await unit.read(TASK, task_id) is None:
        events = create(project, task_id, task, unit.at)
        if after_parent:
            try:
                await check_parent(unit, project, task_id, task.parent_id)
            except NotFound:
                raise Rejected("no-such-parent", "the task above it is in this project no more") from None
        for at, event in events:
            unit.append(TASK, task_id, event, at=at, actor=task.created_by)
    return Target(TASK, task_id)


async def bring_note(unit: UnitOfWork, task_id: UUID, said: BroughtNote) -> Target:
    project = await project_for(unit, said.project_id, "admin")
    task = await unit.read(TASK, task_id)
    if task is None or task.purged:
        raise Rejected("no-such-task", "its task is no more")
    if task.comment(said.comment_id) is None:
        unit.append(TASK, task_id, *note(task, project, said, unit.actor), actor=said.author_id)
    return Target(TASK, task_id)
