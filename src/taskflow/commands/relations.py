"""How a task is related to others. A relation is kept by the task that it was put on, whatever it means for
the other: `relates_to` may stand on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import task_for
from taskflow.commands.declaration import TASK_ID, DecisionContext, RestRoute, TargetType, on_task
from taskflow.commands.fields import BLOCKED_MAX, RELATIONS_MAX, Command
from taskflow.commands.task import require_editable
from taskflow.errors import NotFound, Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import Relation, RelationAdded, RelationRemoved, RelationType

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState

# --- commands ------------------------------------------------------------------------------------


class TaskRelation(Struct, frozen=True):
    """The target of what is done to one relation."""

    task_id: UUID
    type: RelationType
    related_id: UUID


class AddRelation(Command, frozen=True):
    """`task_id` is the other task, in whatever project: one that the caller can see."""

    type: RelationType
    task_id: UUID


class RemoveRelation(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def add(task: TaskState, project: ProjectState, relation: Relation) -> list[Event]:
    """Whether it closes a cycle is for the handler to see, which can walk."""
    require_editable(task, project)
    if relation.task_id == task.id:
        if relation.type == "blocks":
            raise Rejected("cycle", "a task cannot block itself")
        raise Rejected("self-relation", "a task is not related to itself")
    if relation in task.relations:
        return []
    if len(task.relations) >= RELATIONS_MAX:
        raise Rejected("too-many-relations", f"a task has at most {RELATIONS_MAX} relations; remove one first")
    return [RelationAdded(relation=relation.type, task_id=relation.task_id)]


def remove(task: TaskState, project: ProjectState, relation: Relation) -> list[Event]:
    require_editable(task, project)
    if relation not in task.relations:
        raise NotFound("relation", f"{relation.type} {relation.task_id}")
    return [RelationRemoved(relation=relation.type, task_id=relation.task_id)]


# --- handlers ------------------------------------------------------------------------------------


async def _add(on: DecisionContext[TaskState, ProjectState, UUID, AddRelation]) -> list[Event]:
    await task_for(on.unit, on.command.task_id, "viewer")
    events = add(on.state, on.project, Relation(on.command.type, on.command.task_id))
    if events and on.command.type == "blocks":
        await check_way_back(on.unit, on.target, on.command.task_id)
    return events


async def check_way_back(unit: UnitOfWork, task_id: UUID, blocked_id: UUID) -> None:
    """Walks along `blocks` from the task that is to be blocked. Each stream on the way becomes a guard, so that
    of the writers who would close a cycle between them, one does not win.

    The walk goes through tasks that the caller may not see, and through the trash: a cycle is one all the
    same. A refusal names none of them. One that does not come to its end is refused.
    """
    found, ahead = {blocked_id}, [blocked_id]
    while ahead:
        blocker = await unit.read(TASK, ahead.pop())
        for relation in () if blocker is None else blocker.relations:
            if relation.type != "blocks" or relation.task_id in found:
                continue
            if relation.task_id == task_id:
                raise Rejected("cycle", f"task {blocked_id} blocks this one already, itself or through others")
            if len(found) == BLOCKED_MAX:
                raise Rejected("too-deep", f"more than {BLOCKED_MAX} tasks wait for task {blocked_id}")
            found.add(relation.task_id)
            ahead.append(relation.task_id)


# --- declared ------------------------------------------------------------------------------------

RELATION: Final = TargetType("relation", TASK_ID.path + "/relations/{type:str}/{related_id:str}", TaskRelation)
COMMANDS: Final = (
    on_task(AddRelation, TASK_ID, _add, RestRoute("PUT", "/relations", "Relate a task to another")),
    on_task(
        RemoveRelation,
        RELATION,
        # The other task need not exist, or be visible to the caller, any more.
        lambda on: remove(on.state, on.project, Relation(on.target.type, on.target.related_id)),
        RestRoute("DELETE", "", "Take a relation from a task"),
    ),
)
