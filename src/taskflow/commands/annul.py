"""The command that annuls an event of a task: from then on, no fold to the new version or a later one contains it.

The log keeps the event. What annulling changes is the task's state, so the task is folded once more without the event,
and every field that this alters is judged by the rules that a command which sets the field would have to keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from taskflow.commands.access import require_system_role
from taskflow.commands.declaration import CommandType, RestRoute, TargetType
from taskflow.commands.fields import END_OF_TEXT, VISIBLE, Command
from taskflow.commands.project import require_not_archived
from taskflow.commands.relations import check_way_back
from taskflow.commands.schedule import check_schedule
from taskflow.commands.task import assignable, check_parent
from taskflow.commands.undo import check_room
from taskflow.errors import Invalid, NotFound, Rejected
from taskflow.streams import EVENT_TYPES, PROJECT, STREAM_TYPE_OF_EVENT, TASK
from taskflow.streams.task import TaskCreated, TaskEventAnnulled, TaskMoved, TaskPurged

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import Relation, TaskState

REASON_MAX: Final = 1_000
ANNULMENTS_MAX: Final = 1_000
"""Of one task: all of them are part of its state."""
KEPT: Final = (TaskCreated, TaskMoved, TaskPurged, TaskEventAnnulled)
"""Events of a task that are never annulled: where a task belongs, and that it exists, never change in retrospect."""

# --- commands ------------------------------------------------------------------------------------


class LogPosition(Struct, frozen=True):
    """The target: the position of an event in the log, as it stands in a path."""

    position: Annotated[
        str, Meta(min_length=1, max_length=18, pattern=rf"^[1-9][0-9]*{END_OF_TEXT}", examples=["1234"])
    ]


class AnnulEvent(Command, frozen=True):
    """`reason` is stored with the annulment, for everybody who may read the task's history."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_MAX, pattern=VISIBLE, examples=["Imported twice"])]


# --- decide --------------------------------------------------------------------------------------


def check_event(event: RecordedEvent, task: TaskState) -> None:
    """Raises Rejected for an event that cannot be annulled, whatever the task's state would be."""
    version = event.stream_version
    if issubclass(EVENT_TYPES[event.type], KEPT):
        raise _refusal(f"an event of the type {event.type} is never annulled")
    if task.purged:
        raise _refusal("the task is purged, and nobody finds it any more")
    earlier = next((one for one in task.annulments if one.version == version), None)
    if earlier is not None:
        raise _refusal(f"the event was annulled before, by version {earlier.by} of the task")
    if len(task.annulments) >= ANNULMENTS_MAX:
        raise _refusal(f"at most {ANNULMENTS_MAX} events of a task are annulled")


def check_fields(now: TaskState, then: TaskState, project: ProjectState) -> None:
    """Raises Rejected or Invalid if a field that differs breaks a rule that needs no stream but the project's."""
    require_not_archived(project)
    if then.status != now.status and project.statuses.resolve(then.status) is None:
        raise Rejected("no-such-status", f"the status {then.status!r} has left the project's workflow")
    if then.assignee_id != now.assignee_id:
        assignable(project, then.assignee_id)
    check_schedule(now, then)
    check_room(now, then)


def _refusal(detail: str) -> Rejected:
    return Rejected("cannot-annul", detail)


# --- handlers ------------------------------------------------------------------------------------


async def annul_event(unit: UnitOfWork, target: LogPosition, command: AnnulEvent) -> UUID:
    """Raises Forbidden for everybody but an admin of the system, NotFound for a position without an event, and Rejected
    with the code `cannot-annul`."""
    await require_system_role(unit, "admin")
    event = await unit.history.event_at(int(target.position))
    if event is None:
        raise NotFound("event", target.position)
    if STREAM_TYPE_OF_EVENT.get(event.type) is not TASK:
        raise _refusal(f"only events of tasks are annulled, found {event.type}")
    task_id = event.stream_id
    task = await unit.get(TASK, task_id)
    unit.expect_version(task_id)
    check_event(event, task)
    try:
        then = await unit.history.at_version(
            TASK, task_id, task.version, annulled=TASK.annulled(task) | {event.stream_version}
        )
        await _check(unit, task, then)
    except (Rejected, Invalid, NotFound) as broken:
        raise _refusal(f"the task would break a rule without this event: {broken}") from None
    unit.append(TASK, task_id, TaskEventAnnulled(version=event.stream_version, reason=command.reason), onto=then)
    return task_id


async def _check(unit: UnitOfWork, now: TaskState, then: TaskState) -> None:
    """Checks every field that differs. Each stream that is read for it becomes a guard of the append."""
    project = await unit.get(PROJECT, now.project_id)
    check_fields(now, then, project)
    if then.parent_id != now.parent_id:
        await check_parent(unit, project, now.id, then.parent_id)
    for relation in set(then.relations) - set(now.relations):
        await _check_relation(unit, now.id, relation)


async def _check_relation(unit: UnitOfWork, task_id: UUID, relation: Relation) -> None:
    other = await unit.get(TASK, relation.task_id)
    if other.purged:
        raise NotFound("task", relation.task_id)
    if relation.type == "blocks":
        await check_way_back(unit, task_id, relation.task_id)


# --- declared ------------------------------------------------------------------------------------

POSITION: Final = TargetType("event", "/admin/events/{position:str}", LogPosition)
COMMANDS: Final = (
    CommandType(
        body=AnnulEvent,
        target=POSITION,
        handler=annul_event,
        answer="annulment",
        rest=RestRoute("POST", "/annul", "Annul an event of a task; takes an admin of the system"),
        system_role="admin",
        creates=True,
    ),
)
