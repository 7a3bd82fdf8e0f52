"""A task: its whole story (edits, status, assignment, trash) is one stream."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.streams.kind import Event, Happened, Kind
from taskflow.streams.project import Category

Priority = Literal["low", "medium", "high", "urgent"]
PRIORITIES: Final[tuple[Priority, ...]] = ("low", "medium", "high", "urgent")

# --- events --------------------------------------------------------------------------------------


class TaskCreated(Event, frozen=True):
    project_id: UUID
    title: str
    status: str
    category: Category
    rank: str
    description: str = ""
    priority: Priority = "medium"
    due_at: datetime | None = None
    labels: tuple[str, ...] = ()
    assignee_id: UUID | None = None
    parent_id: UUID | None = None
    recurrence: str | None = None
    external_id: str | None = None
    source: dict[str, str] | None = None
    """What an imported row said that has no field of its own."""


class TaskRetitled(Event, frozen=True):
    title: str


class TaskDescribed(Event, frozen=True):
    description: str


class TaskStatusChanged(Event, frozen=True):
    from_status: str
    status: str
    category: Category
    """The status's category at the time; what a reader is shown follows the project's workflow."""


class TaskPrioritised(Event, frozen=True):
    priority: Priority


class TaskDueSet(Event, frozen=True):
    """Version 1 held a date, `due`; since version 2 it is a time."""

    schema_version = 2
    due_at: datetime | None


class TaskLabelled(Event, frozen=True):
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class TaskAssigned(Event, frozen=True):
    assignee_id: UUID | None


class TaskParentSet(Event, frozen=True):
    parent_id: UUID | None


class TaskTrashed(Event, frozen=True):
    pass


class TaskRestored(Event, frozen=True):
    pass


class TaskChangeImported(Event, frozen=True):
    """One row of another system's log: what it changed, and what it said beside."""

    status: str | None = None
    category: Category | None = None
    priority: Priority | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    assignee_id: UUID | None = None
    source: dict[str, str] | None = None


# --- state ---------------------------------------------------------------------------------------


class TaskState(Struct, frozen=True, kw_only=True, gc=False):
    """A task as its events leave it. Names of people and categories are joined when it is read."""

    id: UUID
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
    trashed_at: datetime | None
    version: int


def _entered(state: TaskState, status: str, category: Category, at: datetime) -> dict[str, Any]:
    """The fields that a change of status touches: first start, last completion."""
    completed_at = state.completed_at if category == state.category else at
    return {
        "status": status,
        "category": category,
        "started_at": state.started_at or (at if category == "in_progress" else None),
        "completed_at": completed_at if category == "done" else None,
    }


def relabel(labels: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    """Labels in the order they were given, without those removed, each once."""
    return tuple(dict.fromkeys([label for label in labels if label not in removed] + list(added)))


def evolve(state: TaskState | None, event: Event, happened: Happened) -> TaskState:
    at = happened.occurred_at
    if isinstance(event, TaskCreated):
        return TaskState(
            id=happened.stream_id,
            project_id=event.project_id,
            external_id=event.external_id,
            title=event.title,
            description=event.description,
            status=event.status,
            category=event.category,
            priority=event.priority,
            due_at=event.due_at,
            labels=event.labels,
            assignee_id=event.assignee_id,
            parent_id=event.parent_id,
            rank=event.rank,
            recurrence=event.recurrence,
            created_by=happened.actor,
            created_at=at,
            updated_at=at,
            started_at=at if event.category == "in_progress" else None,
            completed_at=at if event.category == "done" else None,
            trashed_at=None,
            version=happened.version,
        )
    if state is None:
        raise AssertionError(f"stream {happened.stream_id} does not begin with TaskCreated")
    changed: dict[str, Any]
    match event:
        case TaskRetitled(title=title):
            changed = {"title": title}
        case TaskDescribed(description=description):
            changed = {"description": description}
        case TaskStatusChanged(status=status, category=category):
            changed = _entered(state, status, category, at)
        case TaskPrioritised(priority=priority):
            changed = {"priority": priority}
        case TaskDueSet(due_at=due_at):
            changed = {"due_at": due_at}
        case TaskLabelled(added=added, removed=removed):
            changed = {"labels": relabel(state.labels, added, removed)}
        case TaskAssigned(assignee_id=assignee_id):
            changed = {"assignee_id": assignee_id}
        case TaskParentSet(parent_id=parent_id):
            changed = {"parent_id": parent_id}
        case TaskTrashed():
            changed = {"trashed_at": at}
        case TaskRestored():
            changed = {"trashed_at": None}
        case TaskChangeImported():
            changed = {"labels": relabel(state.labels, event.added, event.removed)}
            if event.status is not None and event.category is not None:
                changed |= _entered(state, event.status, event.category, at)
            if event.priority is not None:
                changed["priority"] = event.priority
            if event.assignee_id is not None:
                changed["assignee_id"] = event.assignee_id
        case _:
            raise AssertionError(f"a task has no {type(event).__name__}")
    return replace(state, updated_at=at, version=happened.version, **changed)


TASK: Final = Kind(
    name="task",
    state=TaskState,
    events=(
        TaskCreated,
        TaskRetitled,
        TaskDescribed,
        TaskStatusChanged,
        TaskPrioritised,
        TaskDueSet,
        TaskLabelled,
        TaskAssigned,
        TaskParentSet,
        TaskTrashed,
        TaskRestored,
        TaskChangeImported,
    ),
    evolve=evolve,
)
