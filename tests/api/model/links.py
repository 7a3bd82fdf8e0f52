"""What links tasks to each other: parents, of one project and not too deep, and relations, of any. Neither may lead
round in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from tests.api.model.refusals import NOT_FOUND, Reason, rule

if TYPE_CHECKING:
    from tests.api.model.task import Task
    from tests.api.model.world import World

DEPTH_MAX: Final = 20
RELATIONS: Final = ("blocks", "relates_to", "duplicates")


def above(world: World, task_id: str | None) -> list[str]:
    """A task, what it stands below, and so on: as many as matter."""
    found: list[str] = []
    while task_id is not None and len(found) < DEPTH_MAX:
        found.append(task_id)
        task_id = world.tasks[task_id].now.parent
    return found


def below(world: World, tops: Iterable[str], project: str) -> list[Task]:
    """Everything below these tasks in their project, those in the trash too; not these tasks."""
    found = dict.fromkeys(tops)
    more = list(found)
    while more:
        more = [
            one.id
            for one in world.tasks.values()
            if one.now.parent in more and one.now.project == project and one.id not in found
        ]
        found |= dict.fromkeys(more)
    return [world.tasks[one] for one in found if one not in tops]


def height(world: World, task_id: str) -> int:
    """The levels of a task and what is below it."""
    level, count = [task_id], 0
    while level:
        level, count = [one.id for one in world.tasks.values() if one.now.parent in level], count + 1
    return count


def against_parent(world: World, task_id: str | None, parent: str | None, project: str) -> Iterator[Reason]:
    """What stands against a task's standing below another in a project. None: a new task; no parent."""
    if parent is None:
        return
    there = world.tasks.get(parent)
    if there is None or (there.now.project != project and parent != task_id):
        yield NOT_FOUND
    elif there.now.trashed_at is not None and parent != task_id:
        yield rule("trashed")
    way_up = above(world, parent if there is not None else None)
    if task_id in way_up:
        yield rule("cycle")
    elif len(way_up) + (1 if task_id is None else height(world, task_id)) > DEPTH_MAX:
        yield rule("too-deep")


def against_relation(world: World, task_id: str, type_: str, other: str) -> Iterator[Reason]:
    if task_id == other:
        yield rule("cycle" if type_ == "blocks" else "self-relation")
    elif type_ == "blocks" and task_id in blocked_by(world, other):
        yield rule("cycle")


def blocked_by(world: World, task_id: str) -> set[str]:
    """By one task, itself or through others."""
    found: set[str] = set()
    ahead = [task_id]
    while ahead:
        for relation in world.tasks[ahead.pop()].now.relations:
            if relation.type == "blocks" and relation.task_id not in found:
                found.add(relation.task_id)
                ahead.append(relation.task_id)
    return found
