"""The task stream: all changes of a task (edits, status, assignment, comments, checklist, relations, trash)."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.streams.project import Category
from taskflow.streams.schedule import Series, TaskDueSet, TaskRecurred, TaskRecurrenceSet, begin_series, scheduled
from taskflow.streams.stream_type import Annulment, Event, EventMetadata, StreamType

if TYPE_CHECKING:
    from collections.abc import Iterable

Priority = Literal["low", "medium", "high", "urgent"]
PRIORITIES: Final[tuple[Priority, ...]] = ("low", "medium", "high", "urgent")
RelationType = Literal["blocks", "relates_to", "duplicates"]

# --- events --------------------------------------------------------------------------------------


class TaskCreated(Event, frozen=True):
    """A task was created. Version 1 had no time zones: due times and recurrence were in UTC."""

    schema_version = 2
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
    """Columns of an imported row that have no field of their own."""
    due_on: date | None = None
    day_ends_at: datetime | None = None
    time_zone: str | None = None
    series: Series | None = None
    """The series of the recurrence rule; None: the series starts with this task."""


class TaskRetitled(Event, frozen=True):
    title: str


class TaskDescribed(Event, frozen=True):
    description: str


class TaskStatusChanged(Event, frozen=True):
    from_status: str
    status: str
    category: Category
    """The category of the status at that time. Readers see the category from the project's current workflow."""


class TaskPrioritised(Event, frozen=True):
    priority: Priority


class TaskLabelled(Event, frozen=True):
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class TaskAssigned(Event, frozen=True):
    assignee_id: UUID | None


class TaskParentSet(Event, frozen=True):
    parent_id: UUID | None


class TaskRanked(Event, frozen=True):
    rank: str


class TaskMoved(Event, frozen=True):
    """A task moved to another project: the event carries new values of every field that depends on the project."""

    from_project_id: UUID
    project_id: UUID
    status: str
    category: Category
    rank: str
    assignee_id: UUID | None = None
    parent_id: UUID | None = None


class TaskTrashed(Event, frozen=True):
    pass


class TaskRestored(Event, frozen=True):
    pass


class TaskPurged(Event, frozen=True):
    """A task was removed after its retention time in the trash: no query finds it. The log keeps its events."""


class CommentAdded(Event, frozen=True):
    """The event's actor added a comment. The body mentions people as `@[id]`."""

    part_field = "comment_id"
    comment_id: UUID
    body: str


class CommentEdited(Event, frozen=True):
    comment_id: UUID
    body: str


class CommentDeleted(Event, frozen=True):
    comment_id: UUID


class CommentRestored(Event, frozen=True):
    """The deletion of a comment was undone: the event carries the deleted comment."""

    comment_id: UUID
    body: str
    author_id: UUID | None
    created_at: datetime
    edited_at: datetime | None = None


class ChecklistItemAdded(Event, frozen=True):
    part_field = "item_id"
    item_id: UUID
    text: str
    rank: str
    done: bool = False


class ChecklistItemReworded(Event, frozen=True):
    item_id: UUID
    text: str


class ChecklistItemChecked(Event, frozen=True):
    item_id: UUID
    done: bool


class ChecklistItemRanked(Event, frozen=True):
    item_id: UUID
    rank: str


class ChecklistItemRemoved(Event, frozen=True):
    item_id: UUID


class RelationAdded(Event, frozen=True):
    """A relation from this task to another was added, for example: this task `blocks` the other."""

    relation: RelationType
    task_id: UUID


class RelationRemoved(Event, frozen=True):
    relation: RelationType
    task_id: UUID


class TaskEventAnnulled(Event, frozen=True):
    """An admin annulled the event of an earlier `version` of the task. The log keeps both; from this version on, folds
    skip the annulled one."""

    annuls = True
    version: int
    reason: str


class TaskChangeImported(Event, frozen=True):
    """One row of another system's log was imported: the changes, and the row's other columns in `source`."""

    status: str | None = None
    category: Category | None = None
    priority: Priority | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    assignee_id: UUID | None = None
    source: dict[str, str] | None = None


# --- state ---------------------------------------------------------------------------------------


class Comment(Struct, frozen=True, gc=False):
    id: UUID
    author_id: UUID | None
    body: str
    created_at: datetime
    edited_at: datetime | None = None


class ChecklistItem(Struct, frozen=True, gc=False):
    id: UUID
    text: str
    rank: str
    done: bool = False


class Relation(Struct, frozen=True, gc=False):
    type: RelationType
    task_id: UUID


class TaskState(Struct, frozen=True, kw_only=True, gc=False):
    """The state of a task. People's names and the current categories are joined when the task is read."""

    id: UUID
    project_id: UUID
    external_id: str | None
    title: str
    description: str
    status: str
    category: Category
    priority: Priority
    due_at: datetime | None
    due_on: date | None = None
    day_ends_at: datetime | None = None
    """The moment at which the day `due_on` ends."""
    time_zone: str | None = None
    """The time zone of the day's end and of the recurrence rule."""
    labels: tuple[str, ...]
    assignee_id: UUID | None
    parent_id: UUID | None
    rank: str
    recurrence: str | None
    series: Series | None = None
    """Only set for a task with a recurrence rule."""
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    trashed_at: datetime | None
    purged: bool = False
    comments: tuple[Comment, ...] = ()
    """In order of creation."""
    checklist: tuple[ChecklistItem, ...] = ()
    """Ordered by rank."""
    relations: tuple[Relation, ...] = ()
    former_projects: tuple[UUID, ...] = ()
    """Projects that the task was moved out of; clients that sync one of these projects are told that the task left."""
    annulments: tuple[Annulment, ...] = ()
    """States that were stored before events could be annulled have none, as the default says."""
    version: int

    @property
    def due(self) -> datetime | None:
        """The moment by which the task is due, whether it was given as a moment or as a day."""
        return self.day_ends_at if self.due_at is None else self.due_at

    def comment(self, comment_id: UUID) -> Comment | None:
        return next((comment for comment in self.comments if comment.id == comment_id), None)

    def item(self, item_id: UUID) -> ChecklistItem | None:
        return next((item for item in self.checklist if item.id == item_id), None)


def _entered(state: TaskState, status: str, category: Category, at: datetime) -> dict[str, Any]:
    """Returns the fields that a change of status sets, including the first start and the last completion."""
    completed_at = state.completed_at if category == state.category else at
    return {
        "status": status,
        "category": category,
        "started_at": state.started_at or (at if category == "in_progress" else None),
        "completed_at": completed_at if category == "done" else None,
    }


def relabel(labels: tuple[str, ...], added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the labels without `removed` and with `added` at the end, each label once."""
    return tuple(dict.fromkeys([label for label in labels if label not in removed] + list(added)))


def _moved(state: TaskState, event: TaskMoved, at: datetime) -> dict[str, Any]:
    former = tuple(project for project in state.former_projects if project != event.project_id)
    return _entered(state, event.status, event.category, at) | {
        "project_id": event.project_id,
        "rank": event.rank,
        "assignee_id": event.assignee_id,
        "parent_id": event.parent_id,
        "former_projects": (*former, state.project_id),
    }


def _parts(state: TaskState, event: Event, metadata: EventMetadata) -> dict[str, Any]:
    """Returns the fields changed by an event about a comment, a checklist item or a relation."""
    match event:
        case CommentAdded(comment_id=comment_id, body=body):
            comment = Comment(comment_id, metadata.actor, body, metadata.occurred_at)
            return {"comments": (*state.comments, comment)}
        case CommentEdited(comment_id=comment_id, body=body):
            edited = [
                replace(one, body=body, edited_at=metadata.occurred_at) if one.id == comment_id else one
                for one in state.comments
            ]
            return {"comments": tuple(edited)}
        case CommentDeleted(comment_id=comment_id):
            return {"comments": tuple(one for one in state.comments if one.id != comment_id)}
        case CommentRestored():
            comment = Comment(event.comment_id, event.author_id, event.body, event.created_at, event.edited_at)
            others = [one for one in state.comments if one.id != comment.id]  # its deletion may have been annulled
            return {"comments": tuple(sorted((*others, comment), key=lambda one: (one.created_at, one.id)))}
        case ChecklistItemAdded(item_id=item_id, text=text, rank=rank, done=done):
            rest = [item for item in state.checklist if item.id != item_id]  # its removal may have been annulled
            return {"checklist": _by_rank((*rest, ChecklistItem(item_id, text, rank, done)))}
        case ChecklistItemReworded(item_id=item_id, text=text):
            return {"checklist": _changed_item(state, item_id, text=text)}
        case ChecklistItemChecked(item_id=item_id, done=done):
            return {"checklist": _changed_item(state, item_id, done=done)}
        case ChecklistItemRanked(item_id=item_id, rank=rank):
            return {"checklist": _changed_item(state, item_id, rank=rank)}
        case ChecklistItemRemoved(item_id=item_id):
            return {"checklist": tuple(item for item in state.checklist if item.id != item_id)}
        case RelationAdded(relation=relation, task_id=task_id):
            added = Relation(relation, task_id)  # its removal may have been annulled
            return {"relations": state.relations if added in state.relations else (*state.relations, added)}
        case RelationRemoved(relation=relation, task_id=task_id):
            removed = Relation(relation, task_id)
            return {"relations": tuple(one for one in state.relations if one != removed)}
        case _:
            raise AssertionError(f"a task has no {type(event).__name__}")


def _changed_item(state: TaskState, item_id: UUID, **changed: Any) -> tuple[ChecklistItem, ...]:
    return _by_rank(replace(item, **changed) if item.id == item_id else item for item in state.checklist)


def _by_rank(items: Iterable[ChecklistItem]) -> tuple[ChecklistItem, ...]:
    return tuple(sorted(items, key=lambda item: (item.rank, item.id)))


def evolve(state: TaskState | None, event: Event, metadata: EventMetadata) -> TaskState:
    at = metadata.occurred_at
    if isinstance(event, TaskCreated):
        return TaskState(
            id=metadata.stream_id,
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
            due_on=event.due_on,
            day_ends_at=event.day_ends_at,
            time_zone=event.time_zone,
            series=None if event.recurrence is None else event.series or begin_series(event.due_at, event.due_on, at),
            created_by=metadata.actor,
            created_at=at,
            updated_at=at,
            started_at=at if event.category == "in_progress" else None,
            completed_at=at if event.category == "done" else None,
            trashed_at=None,
            version=metadata.version,
        )
    if state is None:
        raise AssertionError(f"stream {metadata.stream_id} does not begin with TaskCreated")
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
        case TaskDueSet() | TaskRecurrenceSet():
            changed = scheduled(state, event, at)
        case TaskRecurred(unticked=unticked):
            unticked_items = [replace(item, done=False) if item.id in unticked else item for item in state.checklist]
            changed = scheduled(state, event, at) | _entered(state, event.status, event.category, at)
            changed["checklist"] = tuple(unticked_items)
        case TaskLabelled(added=added, removed=removed):
            changed = {"labels": relabel(state.labels, added, removed)}
        case TaskAssigned(assignee_id=assignee_id):
            changed = {"assignee_id": assignee_id}
        case TaskParentSet(parent_id=parent_id):
            changed = {"parent_id": parent_id}
        case TaskRanked(rank=rank):
            changed = {"rank": rank}
        case TaskMoved():
            changed = _moved(state, event, at)
        case TaskTrashed():
            changed = {"trashed_at": at}
        case TaskPurged():
            changed = {"purged": True}
        case TaskRestored():
            changed = {"trashed_at": None}
        case TaskEventAnnulled(version=version):
            changed = {"annulments": (*state.annulments, Annulment(version, metadata.version))}
        case TaskChangeImported():
            changed = {"labels": relabel(state.labels, event.added, event.removed)}
            if event.status is not None and event.category is not None:
                changed |= _entered(state, event.status, event.category, at)
            if event.priority is not None:
                changed["priority"] = event.priority
            if event.assignee_id is not None:
                changed["assignee_id"] = event.assignee_id
        case _:
            changed = _parts(state, event, metadata)
    return replace(state, updated_at=at, version=metadata.version, **changed)


TASK: Final = StreamType(
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
        TaskRanked,
        TaskMoved,
        TaskRecurrenceSet,
        TaskRecurred,
        TaskTrashed,
        TaskRestored,
        TaskPurged,
        TaskEventAnnulled,
        TaskChangeImported,
        CommentAdded,
        CommentEdited,
        CommentDeleted,
        CommentRestored,
        ChecklistItemAdded,
        ChecklistItemReworded,
        ChecklistItemChecked,
        ChecklistItemRanked,
        ChecklistItemRemoved,
        RelationAdded,
        RelationRemoved,
    ),
    evolve=evolve,
    state_version=3,  # 1: no comments, checklist, relations; 2: no days, time zones, series
    annulments=lambda task: task.annulments,
)
