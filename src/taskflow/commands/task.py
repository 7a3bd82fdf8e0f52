"""Commands that create and change a task."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from taskflow.commands.access import project_for, require_user
from taskflow.commands.declaration import TASK_ID, CommandType, DecisionContext, RestRoute, on_task
from taskflow.commands.fields import (
    DESCRIPTION_BYTES_MAX,
    LEVEL_TASKS_MAX,
    PARENT_DEPTH_MAX,
    Command,
    Day,
    Description,
    Labels,
    Recurrence,
    StatusKey,
    Time,
    TimeZone,
    Title,
)
from taskflow.commands.project import require_not_archived
from taskflow.commands.ranks import rank_at
from taskflow.commands.schedule import Schedule, new_schedule, recur, reschedule, zone_for
from taskflow.dates.time_zones import UTC_NAME
from taskflow.errors import Invalid, NotFound, Rejected
from taskflow.streams import TASK, USER, Event
from taskflow.streams.project import Category, ProjectState, Status
from taskflow.streams.schedule import scheduled
from taskflow.streams.task import (
    Priority,
    TaskAssigned,
    TaskCreated,
    TaskDescribed,
    TaskLabelled,
    TaskParentSet,
    TaskPrioritised,
    TaskRestored,
    TaskRetitled,
    TaskState,
    TaskStatusChanged,
    TaskTrashed,
)
from taskflow.text.names import normal_name, normal_names

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork

# --- commands ------------------------------------------------------------------------------------


class CreateTask(Command, frozen=True, kw_only=True):
    project_id: UUID | None = None
    """None: the caller's Inbox."""
    title: Title
    description: Description = ""
    status: StatusKey | None = None
    priority: Priority = "medium"
    due_at: Time | None = None
    due_on: Day | None = None
    time_zone: TimeZone | None = None
    labels: Labels = ()
    assignee_id: UUID | None = None
    parent_id: UUID | None = None
    recurrence: Recurrence | None = None


class EditTask(Command, frozen=True):
    """A JSON merge patch: what is left out stays, `null` clears."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    status: StatusKey | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    due_at: Time | UnsetType | None = UNSET
    due_on: Day | UnsetType | None = UNSET
    time_zone: TimeZone | UnsetType | None = UNSET
    labels: Labels | UnsetType | None = UNSET
    assignee_id: UUID | UnsetType | None = UNSET
    parent_id: UUID | UnsetType | None = UNSET
    recurrence: Recurrence | UnsetType | None = UNSET


class StartTask(Command, frozen=True):
    pass


class CompleteTask(Command, frozen=True):
    pass


class ReopenTask(Command, frozen=True):
    pass


class CancelTask(Command, frozen=True):
    pass


class AssignTask(Command, frozen=True):
    user_id: UUID | None


class TrashTask(Command, frozen=True):
    pass


class RestoreTask(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def create(
    project: ProjectState, command: CreateTask, at: datetime, order: int = 0, zone: str = UTC_NAME
) -> list[Event]:
    """`zone`: the sender's, for a due or a rule without one."""
    require_not_archived(project)
    status = project.workflow.initial() if command.status is None else named_status(project, command.status)
    assignable(project, command.assignee_id)
    due = new_schedule(schedule_of(command), at, zone)
    return [
        TaskCreated(
            project_id=project.id,
            title=command.title,
            description=_description(command.description),
            status=status.key,
            category=status.category,
            rank=rank_at(at, order),
            priority=command.priority,
            due_at=due.at,
            due_on=due.on,
            day_ends_at=due.ends_at,
            time_zone=due.zone,
            labels=normal_names(command.labels),
            assignee_id=command.assignee_id,
            parent_id=command.parent_id,
            recurrence=due.recurrence,
        )
    ]


def edit(task: TaskState, project: ProjectState, command: EditTask, at: datetime, zone: str = UTC_NAME) -> list[Event]:
    """One event for each field that differs. `zone` as in `create`."""
    require_editable(task, project)
    events: list[Event] = []
    if command.title is not UNSET and command.title != task.title:
        events.append(TaskRetitled(title=command.title))
    if command.description is not UNSET and (command.description or "") != task.description:
        events.append(TaskDescribed(description=_description(command.description or "")))
    if command.priority is not UNSET and command.priority != task.priority:
        events.append(TaskPrioritised(priority=command.priority))
    for event in reschedule(task, schedule_of(command), at, zone):
        events.append(event)
        task = replace(task, **scheduled(task, event, at))
    if command.labels is not UNSET:
        events += label_changes(task.labels, command.labels or ())
    if command.assignee_id is not UNSET:
        events += assign(task, project, command.assignee_id)
    if command.parent_id is not UNSET and command.parent_id != task.parent_id:
        events.append(TaskParentSet(parent_id=command.parent_id))
    if command.status is not UNSET:
        # Last, because completing a task depends on the due and the rule that the same command may set.
        events += change_status(task, project, named_status(project, command.status), at)
    return events


def intend(task: TaskState, project: ProjectState, category: Category, at: datetime) -> list[Event]:
    """Changes to the first status of a category, in workflow order."""
    require_editable(task, project)
    status = project.workflow.first(category)
    if status is None:
        raise Rejected("no-such-status", f"the project's workflow has no status of the category {category}")
    return change_status(task, project, status, at)


def change_status(task: TaskState, project: ProjectState, status: Status, at: datetime) -> list[Event]:
    """Changes a task's status. Completing a task that recurs gives one event, which opens its next occurrence."""
    if status.key == task.status:
        return []
    if not project.workflow.allows(task.status, status.key):
        raise Rejected("transition", f"the workflow has no transition from {task.status} to {status.key}")
    if status.category == "done" and category_of(task, project) != "done":
        recurred = recur(task, project.workflow.initial(), at)
        if recurred is not None:
            return [recurred]
    return [TaskStatusChanged(from_status=task.status, status=status.key, category=status.category)]


def category_of(task: TaskState, project: ProjectState) -> Category:
    """The category of the task's status in the current workflow."""
    today = project.statuses.resolve(task.status)
    return task.category if today is None else today.category


def assign(task: TaskState, project: ProjectState, user_id: UUID | None) -> list[Event]:
    require_editable(task, project)
    if user_id == task.assignee_id:
        return []
    assignable(project, user_id)
    return [TaskAssigned(assignee_id=user_id)]


def trash(task: TaskState, project: ProjectState) -> list[Event]:
    require_not_archived(project)
    return [] if task.trashed_at is not None else [TaskTrashed()]


def restore(task: TaskState, project: ProjectState) -> list[Event]:
    require_not_archived(project)
    return [] if task.trashed_at is None else [TaskRestored()]


def label_changes(labels: tuple[str, ...], wanted: tuple[str, ...]) -> list[Event]:
    """The event that changes `labels` to `wanted`. Labels that were stored before names were normalised are compared by
    their normal form."""
    there, names = set(normal_names(labels)), normal_names(wanted)
    added = tuple(label for label in names if label not in there)
    removed = tuple(label for label in labels if normal_name(label) not in names)
    return [TaskLabelled(added=added, removed=removed)] if added or removed else []


def require_editable(task: TaskState, project: ProjectState) -> None:
    """Raises Rejected for a task in an archived project or in the trash; restoring is the one change without this
    check."""
    require_not_archived(project)
    if task.trashed_at is not None:
        raise Rejected("trashed", "the task is in the trash; restore it first")


def named_status(project: ProjectState, key: str) -> Status:
    workflow = project.workflow
    # Keys that were set before keys were normalised are compared by their normal form.
    alike = (one for one in workflow.statuses if normal_name(one.key) == normal_name(key))
    status = workflow.status(key) or next(alike, None)
    if status is None:
        known = ", ".join(status.key for status in project.workflow.statuses)
        raise Rejected("no-such-status", f"the project has no status {key!r}; it has {known}")
    return status


def assignable(project: ProjectState, user_id: UUID | None) -> None:
    if user_id is not None and user_id not in project.members:
        raise Rejected("not-a-member", f"user {user_id} is not a member of the project")


def _description(text: str) -> str:
    size = len(text.encode())
    if size > DESCRIPTION_BYTES_MAX:
        raise Invalid("/description", "too-long", f"expected at most {DESCRIPTION_BYTES_MAX} bytes, found {size}")
    return text


def schedule_of(command: CreateTask | EditTask) -> Schedule:
    return Schedule(
        due_at=command.due_at, due_on=command.due_on, time_zone=command.time_zone, recurrence=command.recurrence
    )


# --- handlers ------------------------------------------------------------------------------------


async def create_task(unit: UnitOfWork, target: UUID | None, command: CreateTask) -> UUID:
    project = await project_for(unit, command.project_id or await _inbox(unit), "member")
    task_id = await unit.new(TASK, target)
    unit.expect_version(task_id)
    await check_parent(unit, project, task_id, command.parent_id)
    zone = await zone_for(unit, schedule_of(command))
    unit.append(TASK, task_id, *create(project, command, unit.at, len(unit.staged), zone))
    return task_id


async def _edit(on: DecisionContext[TaskState, ProjectState, UUID, EditTask]) -> list[Event]:
    task, project, command = on.state, on.project, on.command
    if command.parent_id is not UNSET and command.parent_id != task.parent_id:
        await check_parent(on.unit, project, task.id, command.parent_id)
    zone = await zone_for(on.unit, schedule_of(command), task)
    return edit(task, project, command, on.unit.at, zone)


async def _inbox(unit: UnitOfWork) -> UUID:
    user = await unit.get(USER, require_user(unit))
    if user.inbox_id is None:
        raise Invalid("/project_id", "required", "expected a project's id: the caller has no Inbox")
    return user.inbox_id


async def check_parent(unit: UnitOfWork, project: ProjectState, task_id: UUID, parent_id: UUID | None) -> None:
    """Checks a new parent: raises NotFound or Rejected if it is not usable, or if tasks would form a cycle or nest too
    deep.

    All ancestors of the parent are read, and the append checks the version of each, so that two writers whose changes
    together would make a cycle cannot both succeed. The parent must be in the task's project. Its ancestors may be in
    another project or in the trash; they are followed all the same, and the error does not name them.

    The levels of the task's own subtasks count too.
    """
    above = parent_id
    for depth in range(PARENT_DEPTH_MAX):
        if above is None:
            await _check_height(unit, task_id, PARENT_DEPTH_MAX - depth)
            return
        if above == task_id:
            raise Rejected("cycle", "a task cannot be its own parent or ancestor")
        ancestor = await unit.read(TASK, above)
        if above == parent_id:
            _fit_for_parent(above, ancestor, project)
        above = None if ancestor is None else ancestor.parent_id
    raise Rejected("too-deep", f"tasks can be nested at most {PARENT_DEPTH_MAX} deep")


async def _check_height(unit: UnitOfWork, task_id: UUID, levels: int) -> None:
    """Raises Rejected if the task and its subtasks have more than `levels` levels. Not checked for a new task, nor for
    a task without a parent."""
    if levels == PARENT_DEPTH_MAX or not unit.streams[task_id].version:
        return
    level = [task_id]
    for _ in range(levels):
        level = await unit.children(level, limit=LEVEL_TASKS_MAX)
        if not level:
            return
    raise Rejected(
        "too-deep", f"tasks can be nested at most {PARENT_DEPTH_MAX} deep, including the subtasks of this one"
    )


def _fit_for_parent(task_id: UUID, parent: TaskState | None, project: ProjectState) -> None:
    if parent is None or parent.purged or parent.project_id != project.id:
        raise NotFound("task", task_id)
    if parent.trashed_at is not None:
        raise Rejected("trashed", "the parent is in the trash; restore it first")


# --- declared ------------------------------------------------------------------------------------


def _intent(body: type[Command], category: Category, rest: RestRoute) -> CommandType:
    return on_task(body, TASK_ID, lambda on: intend(on.state, on.project, category, on.unit.at), rest)


COMMANDS: Final = (
    CommandType(
        body=CreateTask,
        target=None,
        handler=create_task,
        answer="task",
        rest=RestRoute("POST", "/tasks", "Create a task"),
        creates=True,
    ),
    on_task(EditTask, TASK_ID, _edit, RestRoute("PATCH", "", "Change a task by a JSON merge patch")),
    _intent(StartTask, "in_progress", RestRoute("POST", "/start", "To the first status in progress")),
    _intent(CompleteTask, "done", RestRoute("POST", "/complete", "To the first status of done")),
    _intent(ReopenTask, "todo", RestRoute("POST", "/reopen", "To the first status of to do")),
    _intent(CancelTask, "cancelled", RestRoute("POST", "/cancel", "To the first status of cancelled")),
    on_task(
        AssignTask,
        TASK_ID,
        lambda on: assign(on.state, on.project, on.command.user_id),
        RestRoute("POST", "/assign", "Give a task to somebody, or to nobody"),
    ),
    on_task(
        TrashTask, TASK_ID, lambda on: trash(on.state, on.project), RestRoute("DELETE", "", "Put a task in the trash")
    ),
    on_task(
        RestoreTask,
        TASK_ID,
        lambda on: restore(on.state, on.project),
        RestRoute("POST", "/restore", "Take a task out of the trash"),
    ),
)
