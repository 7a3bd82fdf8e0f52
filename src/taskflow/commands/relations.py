"""How a task is related to others. A relation is kept by the task that it was put on, whatever it means for
the other: `relates_to` may stand on both."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import task_for
from taskflow.commands.execute import Target
from taskflow.commands.fields import BLOCKED_MAX, RELATIONS_MAX, Command
from taskflow.commands.task import live
from taskflow.errors import NotFound, Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import Relation, RelationAdded, RelationRemoved, RelationType

if TYPE_CHECKING:
    from taskflow.commands.unit import Unit
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
    live(task, project)
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
    live(task, project)
    if relation not in task.relations:
        raise NotFound("relation", f"{relation.type} {relation.task_id}")
    return [RelationRemoved(relation=relation.type, task_id=relation.task_id)]


# --- handlers ------------------------------------------------------------------------------------


async def add_relation(unit: Unit, target: UUID, command: AddRelation) -> Target:
    task, project = await task_for(unit, target, "member")
    unit.expect_version(target)
    await task_for(unit, command.task_id, "viewer")
    events = add(task, project, Relation(command.type, command.task_id))
    if events and command.type == "blocks":
        await check_way_back(unit, target, command.task_id)
    unit.append(TASK, target, *events)
    return Target(TASK, target)


async def remove_relation(unit: Unit, target: TaskRelation, _: RemoveRelation) -> Target:
    """The other task need not be there, or be the caller's to see, any more."""
    task, project = await task_for(unit, target.task_id, "member")
    unit.expect_version(target.task_id)
    unit.append(TASK, target.task_id, *remove(task, project, Relation(target.type, target.related_id)))
    return Target(TASK, target.task_id)


async def check_way_back(unit: Unit, task_id: UUID, blocked_id: UUID) -> None:
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
