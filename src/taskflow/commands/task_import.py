"""Another system's people and tasks, as they were there: `ImportPerson`, `ImportTask`, `ImportTaskChange`.

An import looks back: events carry the time at which something happened in the source, and the project's transitions
do not bind what happened elsewhere. People, parents and tasks are named by the source's keys (see `import_scope`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from taskflow.commands.access import require_user
from taskflow.commands.comments import add
from taskflow.commands.declaration import PROJECT_ID, CommandType
from taskflow.commands.fields import (
    DESCRIPTION_BYTES_MAX,
    ITEMS_MAX,
    LABELS_MAX,
    RELATIONS_MAX,
    CommentText,
    Day,
    Description,
    ItemText,
    Label,
    Labels,
    Name,
    Recurrence,
    StatusKey,
    Time,
    TimeZone,
    Title,
)
from taskflow.commands.import_scope import ImportCommand, Key, import_scope, require_past
from taskflow.commands.project import require_not_archived
from taskflow.commands.ranks import DIGITS, rank_at, rank_between
from taskflow.commands.recurrence_rule import plain, readable
from taskflow.commands.schedule import Schedule, new_schedule, zone_for
from taskflow.commands.task import check_parent, named_status
from taskflow.errors import Invalid, NotFound, Rejected
from taskflow.streams import TASK, USER, Event
from taskflow.streams.project import Category, Status
from taskflow.streams.schedule import Series
from taskflow.streams.task import (
    ChecklistItemAdded,
    CommentRestored,
    Priority,
    Relation,
    RelationAdded,
    RelationType,
    TaskAssigned,
    TaskChangeImported,
    TaskCreated,
    TaskStatusChanged,
)
from taskflow.streams.user import UserImported
from taskflow.text.names import normal_name, normal_names

if TYPE_CHECKING:
    from taskflow.commands.import_scope import ImportScope
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState

EXTERNAL_ID_MAX: Final = 200
COLUMNS_MAX: Final = 100
COLUMN_NAME_MAX: Final = 500
COLUMN_MAX: Final = 2_000
RANK_MAX: Final = 100

ExternalId = Annotated[str, Meta(min_length=1, max_length=EXTERNAL_ID_MAX)]
Columns = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=COLUMN_NAME_MAX)],
        Annotated[str, Meta(max_length=COLUMN_MAX)],
    ],
    Meta(max_length=COLUMNS_MAX),
]
Rank = Annotated[str, Meta(min_length=1, max_length=RANK_MAX, pattern=rf"^[{DIGITS}]+(?![\s\S])")]
Prefixes = Annotated[tuple[Label, ...], Meta(max_length=LABELS_MAX)]

# --- commands ------------------------------------------------------------------------------------


class ImportPerson(ImportCommand, frozen=True, kw_only=True):
    """A person whom the source names. They can be assigned to tasks; they are no member and cannot sign in. `at` is
    the time at which the source first names them."""

    key: Key
    name: Name
    at: Time


class ImportedItem(Struct, frozen=True, forbid_unknown_fields=True):
    key: Key
    text: ItemText
    done: bool = False


class ImportedRelation(Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: of the other task, which may be imported later."""

    type: RelationType
    key: Key


class ImportedSeries(Struct, frozen=True, forbid_unknown_fields=True):
    """The start from which a recurrence rule is counted, and the slot of the current occurrence."""

    start: Time
    slot: Time
    days: bool = False


class ImportedComment(Struct, frozen=True, forbid_unknown_fields=True):
    """A comment made at the command's `at`. The author is `author`, a person of the source, or `author_id`, who must be
    the caller. With neither, the author is unknown."""

    key: Key
    body: CommentText
    author: Key | None = None
    author_id: UUID | None = None
    edited_at: Time | None = None


class ImportTask(ImportCommand, frozen=True, kw_only=True):
    """A task as it was from `at` on. Where the task exists, this is an ImportTaskChange that says the same.

    `status` is one of the project's; with a `category` beside it, it may be one that the project no longer has. With a
    category alone it is the first status of that category. What happened between creation and `updated_at` is told by
    `started_at` and `completed_at`. `columns` keeps what the source says that has no field here.
    """

    key: Key
    at: Time
    title: Title
    external_id: ExternalId | None = None
    description: Description = ""
    status: StatusKey | None = None
    category: Category | None = None
    priority: Priority | None = None
    due_at: Time | None = None
    due_on: Day | None = None
    time_zone: TimeZone | None = None
    recurrence: Recurrence | None = None
    series: ImportedSeries | None = None
    labels: Labels = ()
    prefixes: Prefixes = ()
    assignee: Key | None = None
    assignee_id: UUID | None = None
    nobody: bool = False
    actor: Key | None = None
    parent: Key | None = None
    rank: Rank | None = None
    updated_at: Time | None = None
    started_at: Time | None = None
    completed_at: Time | None = None
    checklist: Annotated[tuple[ImportedItem, ...], Meta(max_length=ITEMS_MAX)] = ()
    relations: Annotated[tuple[ImportedRelation, ...], Meta(max_length=RELATIONS_MAX)] = ()
    columns: Columns | None = None


class ImportTaskChange(ImportCommand, frozen=True, kw_only=True):
    """What a task was from `at` on, or what was said about it then.

    A field of null says nothing; `nobody`: that the task has no assignee. `prefixes` are those of labels that the source
    owns: of these, the ones in `labels` come and the others go, and labels beside them stay.
    """

    key: Key
    at: Time
    status: StatusKey | None = None
    category: Category | None = None
    priority: Priority | None = None
    labels: Labels = ()
    prefixes: Prefixes = ()
    assignee: Key | None = None
    assignee_id: UUID | None = None
    nobody: bool = False
    actor: Key | None = None
    comment: ImportedComment | None = None
    columns: Columns | None = None


class Named(Struct, frozen=True, kw_only=True):
    """The ids of what an ImportTask names by keys."""

    assignee_id: UUID | None = None
    parent_id: UUID | None = None
    items: tuple[UUID, ...] = ()
    relations: tuple[Relation, ...] = ()


# --- decide --------------------------------------------------------------------------------------


def create(
    project: ProjectState, task_id: UUID, task: ImportTask, named: Named, now: datetime, zone: str
) -> list[tuple[datetime, Event]]:
    """Each event with its time: created, started and completed when the task was, its parts when it last changed.
    `zone`: for a due or a rule that names none."""
    require_not_archived(project)
    updated_at = task.at if task.updated_at is None else task.updated_at
    for pointer, at in (("/at", task.at), ("/updated_at", updated_at)):
        require_past(pointer, at, now)
    if updated_at < task.at:
        raise Invalid("/updated_at", "out-of-range", "expected a time that is not before `at`")
    path = _path(project, task, updated_at)
    created_at, first = path[0]
    events: list[tuple[datetime, Event]] = [(created_at, _created(project, task, named, first, zone))]
    events += [
        (at, TaskStatusChanged(before.key, after.key, after.category)) for (_, before), (at, after) in pairwise(path)
    ]
    parts: list[Event] = []
    rank: str | None = None
    for item_id, item in zip(named.items, task.checklist, strict=True):
        rank = rank_between(rank, None, item_id)
        parts.append(ChecklistItemAdded(item_id=item_id, text=item.text, rank=rank, done=item.done))
    parts += [
        RelationAdded(relation=one.type, task_id=one.task_id) for one in named.relations if one.task_id != task_id
    ]
    return events + [(updated_at, part) for part in parts]


def _created(project: ProjectState, task: ImportTask, named: Named, status: Status, zone: str) -> TaskCreated:
    if len(task.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise Invalid("/description", "too-long", f"expected at most {DESCRIPTION_BYTES_MAX} bytes")
    schedule = schedule_of(task)
    if task.recurrence is not None and task.series is not None:
        # It has begun elsewhere: whether it ever happens again is not asked.
        schedule = Schedule(due_at=task.due_at, due_on=task.due_on, time_zone=task.time_zone or zone)
    due = new_schedule(schedule, task.at, zone)
    recurrence, series = due.recurrence, None
    if task.recurrence is not None and task.series is not None:
        recurrence = plain(task.recurrence)
        readable(recurrence, days=task.series.days)
        series = Series(task.series.start.astimezone(UTC), task.series.slot.astimezone(UTC), task.series.days)
    return TaskCreated(
        project_id=project.id,
        title=task.title,
        status=status.key,
        category=status.category,
        rank=rank_at(task.at) if task.rank is None else task.rank,
        description=task.description,
        priority=task.priority or "medium",
        due_at=due.at,
        due_on=due.on,
        day_ends_at=due.ends_at,
        time_zone=due.zone,
        series=series,
        labels=normal_names(task.labels),
        assignee_id=named.assignee_id,
        parent_id=named.parent_id,
        recurrence=recurrence,
        external_id=task.external_id,
        source=task.columns or None,
    )


def schedule_of(task: ImportTask) -> Schedule:
    return Schedule(due_at=task.due_at, due_on=task.due_on, time_zone=task.time_zone, recurrence=task.recurrence)


def _path(project: ProjectState, task: ImportTask, updated_at: datetime) -> list[tuple[datetime, Status]]:
    """The statuses by which a task comes to have been started and completed when it was."""
    final = _status_of(project, task.status, task.category) or project.workflow.initial()
    began = task.started_at if final.category != "in_progress" or task.started_at != task.at else None
    path: list[tuple[datetime, Status]] = []
    if began is not None:
        path.append((began, project.workflow.first("in_progress") or Status("in_progress", "", "in_progress")))
    if task.completed_at is not None and (path or task.completed_at != task.at):
        path.append((task.completed_at, final))
    elif not path or path[-1][1].key != final.key:
        path.append((updated_at if path else task.at, final))
    if path[0][0] > task.at:
        path.insert(0, (task.at, project.workflow.first("todo") or Status("todo", "", "todo")))
    return path


def _status_of(project: ProjectState, key: str | None, category: Category | None) -> Status | None:
    """The status that is meant: with a category it is taken as it is, whether the workflow has it or not."""
    if key is not None:
        return named_status(project, key) if category is None else Status(key, key, category)
    if category is None:
        return None
    found = project.workflow.initial() if category == "todo" else project.workflow.first(category)
    if found is None:
        raise Rejected("no-such-status", f"the project's workflow has no status of the category {category}")
    return found


def change(
    task: TaskState,
    project: ProjectState,
    imported: ImportTask | ImportTaskChange,
    assignee_id: UUID | None,
    now: datetime,
) -> list[Event]:
    """One event with all that is changed, and none where nothing is.

    That nobody has the task any more is an event of its own, after it: it cannot say so.
    """
    require_not_archived(project)
    status = _status_of(project, imported.status, imported.category)
    _require_here(task, project, imported.key)
    require_past("/at", imported.at, now)
    if imported.at < task.updated_at:
        raise Rejected(
            "goes-back",
            f"the time is before the last change: expected {task.updated_at.isoformat()} or later, "
            f"found {imported.at.astimezone(UTC).isoformat()}",
        )
    moves = status is not None and status.key != task.status
    priority = imported.priority if imported.priority != task.priority else None
    there, labels = set(normal_names(task.labels)), normal_names(imported.labels)
    added = tuple(label for label in labels if label not in there)
    removed = tuple(
        label for label in task.labels if label.startswith(imported.prefixes) and normal_name(label) not in labels
    )
    assignee_id = assignee_id if assignee_id != task.assignee_id else None
    left: list[Event] = [TaskAssigned(None)] if imported.nobody and task.assignee_id is not None else []
    if not (moves or priority or added or removed or assignee_id or (left and imported.columns)):
        return left
    return [
        TaskChangeImported(
            status=status.key if moves and status is not None else None,
            category=status.category if moves and status is not None else None,
            priority=priority,
            added=added,
            removed=removed,
            assignee_id=assignee_id,
            source=imported.columns or None,
        ),
        *left,
    ]


def comment(
    task: TaskState, project: ProjectState, imported: ImportTaskChange, comment_id: UUID, author_id: UUID | None
) -> list[Event]:
    """What was said, as of its time: it stands where that belongs among the task's comments. Nothing where it is there."""
    if imported.comment is None or task.comment(comment_id) is not None:
        return []
    _require_here(task, project, imported.key)
    add(task, project, comment_id, imported.comment.body)
    edited_at = None if imported.comment.edited_at is None else imported.comment.edited_at.astimezone(UTC)
    return [CommentRestored(comment_id, imported.comment.body, author_id, imported.at.astimezone(UTC), edited_at)]


def _require_here(task: TaskState, project: ProjectState, key: str) -> None:
    if task.project_id != project.id:
        raise Rejected("moved", f"the task of {key} is in another project now: {task.project_id}")
    if task.trashed_at is not None:
        raise Rejected("trashed", f"the task of {key} is in the trash; restore it first")


# --- handlers ------------------------------------------------------------------------------------


async def import_person(unit: UnitOfWork, target: UUID, command: ImportPerson) -> UUID:
    """A person with a key of their own."""
    scope = await import_scope(unit, target, command.source)
    user_id = scope.id_of("person", command.key)
    known = await unit.read(USER, user_id)
    unit.expect_version(user_id)
    if known is None:
        require_past("/at", command.at, unit.at)
        unit.make_key(user_id)
        unit.append(USER, user_id, UserImported(name=command.name), at=command.at.astimezone(UTC))
    return user_id


async def import_task(unit: UnitOfWork, target: UUID, command: ImportTask) -> UUID:
    scope = await import_scope(unit, target, command.source)
    task_id = scope.id_of("task", command.key)
    task = await unit.read(TASK, task_id)
    unit.expect_version(task_id)
    actor, assignee_id = await _people(scope, command)
    if task is not None:
        events = change(task, scope.project, command, assignee_id, unit.at)
        unit.append(TASK, task_id, *events, at=command.at.astimezone(UTC), actor=actor)
        return task_id
    parent_id = None if command.parent is None else scope.id_of("task", command.parent)
    named = Named(
        assignee_id=assignee_id,
        parent_id=parent_id,
        items=tuple(scope.id_of("item", command.key, item.key) for item in command.checklist),
        relations=tuple(Relation(one.type, scope.id_of("task", one.key)) for one in command.relations),
    )
    zone = await zone_for(unit, schedule_of(command))
    created = create(scope.project, task_id, command, named, unit.at, zone)
    try:
        await check_parent(unit, scope.project, task_id, parent_id)
    except NotFound:
        raise Rejected("no-such-parent", "the parent task is not in this project") from None
    for at, event in created:
        unit.append(TASK, task_id, event, at=at.astimezone(UTC), actor=actor)
    return task_id


async def import_task_change(unit: UnitOfWork, target: UUID, command: ImportTaskChange) -> UUID:
    scope = await import_scope(unit, target, command.source)
    task_id = scope.id_of("task", command.key)
    task = await unit.read(TASK, task_id)
    unit.expect_version(task_id)
    if task is None or task.purged:
        raise Rejected(
            "no-such-task", f"the source has imported no task with the key {command.key!r} into this project"
        )
    actor, assignee_id = await _people(scope, command)
    at = command.at.astimezone(UTC)
    if command.comment is None:
        unit.append(TASK, task_id, *change(task, scope.project, command, assignee_id, unit.at), at=at, actor=actor)
        return task_id
    require_past("/at", command.at, unit.at)
    author_id = await _author(unit, scope, command.comment)
    comment_id = scope.id_of("comment", command.key, command.comment.key)
    events = comment(task, scope.project, command, comment_id, author_id)
    unit.append(TASK, task_id, *events, at=at, actor=author_id)
    return task_id


async def _people(scope: ImportScope, imported: ImportTask | ImportTaskChange) -> tuple[UUID | None, UUID | None]:
    """Who did it (None: the caller), and who has the task from then on."""
    actor = None if imported.actor is None else await scope.person(imported.actor)
    if imported.assignee is not None and imported.assignee_id is not None:
        raise Invalid("/assignee_id", "contradiction", "expected a person of the source or a member, and not both")
    if imported.assignee is not None:
        return actor, await scope.person(imported.assignee)
    if imported.assignee_id is not None and imported.assignee_id not in scope.project.members:
        raise Rejected("not-a-member", f"user {imported.assignee_id} is not a member of the project")
    return actor, imported.assignee_id


async def _author(unit: UnitOfWork, scope: ImportScope, imported: ImportedComment) -> UUID | None:
    if imported.author is not None:
        return await scope.person(imported.author)
    if imported.author_id is not None and imported.author_id != require_user(unit):
        raise Rejected("not-the-caller", "expected as author a person of the source, or none for the importing user")
    return imported.author_id


# --- declared ------------------------------------------------------------------------------------

COMMANDS: Final = (
    CommandType(
        body=ImportPerson,
        target=PROJECT_ID,
        handler=import_person,
        answer="person",
        rest=None,
        role="admin",
        creates=True,
    ),
    CommandType(
        body=ImportTask, target=PROJECT_ID, handler=import_task, answer="task", rest=None, role="admin", creates=True
    ),
    CommandType(
        body=ImportTaskChange, target=PROJECT_ID, handler=import_task_change, answer="task", rest=None, role="admin"
    ),
)
