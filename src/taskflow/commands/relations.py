"""Commands that relate a task to another. Only the task to which a relation was added stores it, so that two tasks may
each have a `relates_to` to the other."""

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
    """The target of commands that change one relation."""

    task_id: UUID
    type: RelationType
    related_id: UUID


class AddRelation(Command, frozen=True):
    """`task_id` is the other task, in any project that the caller can see."""

    type: RelationType
    task_id: UUID


class RemoveRelation(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def add(task: TaskState, project: ProjectState, relation: Relation) -> list[Event]:
    """Adds a relation. The handler checks for cycles, since only it can read other streams."""
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
    """Raises Rejected if `blocked_id` blocks `task_id` already, directly or through other tasks, or if too many tasks
    would have to be read. The append checks the version of every stream read, so that of two writers whose relations
    together would make a cycle, one fails.

    The search includes tasks that the caller may not see and tasks in the trash, which can be part of a cycle too. The
    error names none of them.
    """
    found, ahead = {blocked_id}, [blocked_id]
    while ahead:
        blocker = await unit.read(TASK, ahead.pop())
        for relation in () if blocker is None else blocker.relations:
            if relation.type != "blocks" or relation.task_id in found:
                continue
            if relation.task_id == task_id:
                raise Rejected("cycle", f"task {blocked_id} already blocks this one, directly or through others")
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
        # The other task need not exist any more, nor be visible to the caller.
        lambda on: remove(on.state, on.project, Relation(on.target.type, on.target.related_id)),
        RestRoute("DELETE", "", "Take a relation from a task"),
    ),
)
