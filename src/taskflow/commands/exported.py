"""What makes a project of an exported one: its members and labels, and each task in one append.

An export holds what a task is, not its history: the events say as much of that as its times tell. Ids are
the caller's to derive, so that the same task of the same export is the same command.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for
from taskflow.commands.execute import Target
from taskflow.commands.project import unarchived
from taskflow.commands.ranks import rank_between
from taskflow.errors import Rejected
from taskflow.streams import PROJECT, TASK, Event
from taskflow.streams.project import (
    Category,
    Label,
    LabelSet,
    MemberAdded,
    ProjectArchived,
    ProjectState,
    Role,
    Status,
)
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
    from taskflow.commands.unit import Unit

# --- commands ------------------------------------------------------------------------------------


class FurnishProject(Struct, frozen=True, kw_only=True):
    """What a project has beside its name and its workflow."""

    labels: tuple[Label, ...]
    members: dict[UUID, Role]


class ImportedItem(Struct, frozen=True):
    id: UUID
    text: str
    done: bool


class ImportTask(Struct, frozen=True, kw_only=True):
    """A task as it was exported, its ids those that it has here."""

    project_id: UUID
    external_id: str | None
    title: str
    description: str
    status: str
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
    started_at: datetime | None
    completed_at: datetime | None
    checklist: tuple[ImportedItem, ...]
    relations: tuple[Relation, ...]
    comments: tuple[Comment, ...]


# --- decide --------------------------------------------------------------------------------------


def furnish(project: ProjectState, command: FurnishProject) -> list[Event]:
    labels: list[Event] = [
        LabelSet(name=one.name, colour=one.colour) for one in command.labels if one not in project.labels
    ]
    members = [MemberAdded(user_id=who, role=role) for who, role in command.members.items()]
    return labels + [one for one in members if one.user_id not in project.members]


def create(project: ProjectState, task_id: UUID, task: ImportTask, now: datetime) -> list[tuple[datetime, Event]]:
    """Each event with its time: created, started and completed when the task was, the rest when it last changed."""
    unarchived(project)
    if task.updated_at > now:
        raise Rejected("future", f"the time {task.updated_at.isoformat()} has not come yet")
    final = Status(task.status, task.status, task.category)
    path = _path(project, task, final)
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
                labels=task.labels,
                assignee_id=task.assignee_id,
                parent_id=task.parent_id,
                recurrence=task.recurrence,
                external_id=task.external_id,
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


def _path(project: ProjectState, task: ImportTask, final: Status) -> list[tuple[datetime, Status]]:
    """The statuses by which a task comes to have been started and completed when it was."""
    began = task.started_at if task.category != "in_progress" or task.started_at != task.created_at else None
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


# --- handlers ------------------------------------------------------------------------------------


async def furnish_project(unit: Unit, project_id: UUID, command: FurnishProject) -> Target:
    project = await project_for(unit, project_id, "owner")
    unit.append(PROJECT, project_id, *furnish(project, command))
    return Target(PROJECT, project_id)


async def close_project(unit: Unit, project_id: UUID) -> Target:
    """Of an export of an archived one, once its tasks are there."""
    project = await project_for(unit, project_id, "owner")
    unit.append(PROJECT, project_id, *([] if project.archived_at is not None else [ProjectArchived()]))
    return Target(PROJECT, project_id)


async def import_task(unit: Unit, task_id: UUID, task: ImportTask) -> Target:
    project = await project_for(unit, task.project_id, "admin")
    if await unit.read(TASK, task_id) is None:
        for at, event in create(project, task_id, task, unit.at):
            unit.append(TASK, task_id, event, at=at, actor=task.created_by)
    return Target(TASK, task_id)
