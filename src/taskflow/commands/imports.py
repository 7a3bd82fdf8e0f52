"""What another system's log may do here: a project with its workflow, the people it names, its rows.

An import looks back: events carry the time of their row, and the project's transitions do not bind
what happened elsewhere. Ids are the caller's to derive, so that the same row is the same command.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for, require_user
from taskflow.commands.execute import Target
from taskflow.commands.project import require_not_archived
from taskflow.commands.ranks import rank_at
from taskflow.errors import NotFound, Rejected
from taskflow.names import normal_name, normal_names
from taskflow.streams import PROJECT, TASK, USER, Event
from taskflow.streams.project import ProjectCreated, ProjectState, Status, Workflow
from taskflow.streams.task import Priority, TaskAssigned, TaskChangeImported, TaskCreated, TaskState
from taskflow.streams.user import UserImported

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork

# --- commands ------------------------------------------------------------------------------------


class ImportProject(Struct, frozen=True, kw_only=True):
    """A project of the source's own; it is as old as its first row, `at`."""

    name: str
    description: str
    workflow: Workflow
    at: datetime


class ImportPerson(Struct, frozen=True, kw_only=True):
    """A person as the source names them, first met at the time `at`."""

    project_id: UUID
    name: str
    at: datetime


class ImportRow(Struct, frozen=True, kw_only=True):
    """One row of a ticket's history: what the ticket was from `at` on.

    None says nothing about that field; `nobody`: that the ticket has no assignee. A label column owns the labels
    that begin with its prefix: those in `labels` come, others with one of the `prefixes` go, and labels beside them stay.
    """

    project_id: UUID
    external_id: str
    at: datetime
    title: str
    status: str
    priority: Priority | None
    labels: tuple[str, ...]
    prefixes: tuple[str, ...]
    assignee_id: UUID | None
    nobody: bool = False
    source: dict[str, str] | None


# --- decide --------------------------------------------------------------------------------------


def found_project(owner: UUID, command: ImportProject) -> list[Event]:
    return [
        ProjectCreated(name=command.name, description=command.description, owner_id=owner, workflow=command.workflow)
    ]


def create(project: ProjectState, row: ImportRow, now: datetime) -> list[Event]:
    """A ticket's first row makes the task, as it was then."""
    status = _status(project, row.status)
    _in_the_past(row, now)
    return [
        TaskCreated(
            project_id=project.id,
            title=row.title,
            status=status.key,
            category=status.category,
            rank=rank_at(row.at),
            priority=row.priority or "medium",
            labels=normal_names(row.labels),
            assignee_id=row.assignee_id,
            external_id=row.external_id,
            source=row.source,
        )
    ]


def change(task: TaskState, project: ProjectState, row: ImportRow, now: datetime) -> list[Event]:
    """A later row is one event with all that it changed, and none where it changed nothing.

    That nobody has the task any more is an event of its own, after it: it cannot say so.
    """
    status = _status(project, row.status)
    _in_the_past(row, now)
    if task.project_id != project.id:
        raise Rejected("moved", f"the task of {row.external_id} is in another project now: {task.project_id}")
    if task.trashed_at is not None:
        raise Rejected("trashed", f"the task of {row.external_id} is in the trash; restore it first")
    if row.at < task.updated_at:
        raise Rejected(
            "goes-back",
            f"the time goes back: expected {task.updated_at.isoformat()} or later, found {row.at.isoformat()}",
        )
    moves = status.key != task.status
    priority = row.priority if row.priority != task.priority else None
    there, labels = set(normal_names(task.labels)), normal_names(row.labels)
    added = tuple(label for label in labels if label not in there)
    removed = tuple(
        label for label in task.labels if label.startswith(row.prefixes) and normal_name(label) not in labels
    )
    assignee_id = row.assignee_id if row.assignee_id != task.assignee_id else None
    left: list[Event] = [TaskAssigned(None)] if row.nobody and task.assignee_id is not None else []
    if not (moves or priority or added or removed or assignee_id or (left and row.source)):
        return left
    return [
        TaskChangeImported(
            status=status.key if moves else None,
            category=status.category if moves else None,
            priority=priority,
            added=added,
            removed=removed,
            assignee_id=assignee_id,
            source=row.source,
        ),
        *left,
    ]


def _status(project: ProjectState, key: str) -> Status:
    require_not_archived(project)
    status = project.workflow.status(key)
    if status is None:
        known = ", ".join(status.key for status in project.workflow.statuses)
        raise Rejected("no-such-status", f"the project has no status {key!r}; it has {known}")
    return status


def _in_the_past(row: ImportRow, now: datetime) -> None:
    # A stream never goes back: a task that was dragged into the future could not be told truly again.
    if row.at > now:
        raise Rejected("future", f"the time {row.at.isoformat()} has not come yet")


# --- handlers ------------------------------------------------------------------------------------


async def import_project(unit: UnitOfWork, project_id: UUID, command: ImportProject) -> Target:
    """Who imports owns the project."""
    owner = require_user(unit)
    await unit.get(USER, owner)
    await unit.read(PROJECT, project_id)
    unit.append(PROJECT, project_id, *found_project(owner, command), at=command.at)
    return Target(PROJECT, project_id)


async def import_person(unit: UnitOfWork, user_id: UUID, command: ImportPerson) -> Target:
    """A person with a key of their own and without a login."""
    await project_for(unit, command.project_id, "admin")
    if await unit.read(USER, user_id) is None:
        unit.make_key(user_id)
        unit.append(USER, user_id, UserImported(name=command.name), at=command.at)
    return Target(USER, user_id)


async def import_row(unit: UnitOfWork, task_id: UUID, row: ImportRow) -> Target:
    """Whom a row names need not be a member of the project: they did their part before it was here."""
    project = await project_for(unit, row.project_id, "admin")
    task = await unit.read(TASK, task_id)
    if row.assignee_id is not None and await unit.read(USER, row.assignee_id) is None:
        raise NotFound("user", row.assignee_id)
    events = create(project, row, unit.at) if task is None else change(task, project, row, unit.at)
    unit.append(TASK, task_id, *events, at=row.at)
    return Target(TASK, task_id)
