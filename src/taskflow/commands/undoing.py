"""The command that undoes a change of a task: finds the change, decides what can be set back, and for a move also moves
back the tasks that moved along."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for, require_user, task_for, with_current_status
from taskflow.commands.declaration import TASK_ID, CommandType, RestRoute
from taskflow.commands.move import follow, subtasks
from taskflow.commands.project import require_not_archived
from taskflow.commands.relations import check_way_back
from taskflow.commands.task import check_parent
from taskflow.commands.undo import (
    CHANGES_READ_MAX,
    SET_BY_MOVE,
    Change,
    Effect,
    Story,
    Undoing,
    UndoTask,
    candidates,
    change_of,
    move_back,
    set_by,
    still_set,
    undo,
)
from taskflow.commands.unit_history import EVENTS_PER_TURN_MAX
from taskflow.errors import NotFound, NothingToUndo, Rejected
from taskflow.streams import PROJECT, TASK, Event
from taskflow.streams.task import Relation, RelationAdded, TaskMoved, TaskParentSet
from taskflow.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from taskflow.commands.undo import Values
    from taskflow.commands.unit_history import PastEvent
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import TaskState


async def undo_task(unit: UnitOfWork, target: UUID, command: UndoTask) -> UUID:
    task, project = await task_for(unit, target, "member")
    unit.expect_version(target)
    require_not_archived(project)
    change, effect = await _to_undo(unit, task, command.version)
    back = still_set(effect, await unit.get(TASK, target))
    if "project" in back:
        home = await project_for(unit, effect.before.project_id, "member")
        require_not_archived(home)
        await _take_back(
            unit, change, Undoing(task=task, before=effect.before, home=home, actor=require_user(unit)), back
        )
        return target
    events = undo(Undoing(task=task, before=effect.before, home=project, actor=require_user(unit)), back)
    for event in events:
        match event:
            case TaskParentSet(parent_id=parent_id):
                await _check_former_parent(unit, project, target, parent_id)
            case RelationAdded(relation=relation, task_id=task_id):
                await _check_relation(unit, target, Relation(relation, task_id))
    unit.append(TASK, target, *events, causation_id=change.event_id)
    return target


# --- moves


class Returning(Struct, frozen=True):
    """The events that move a task back to its former project."""

    events: list[Event]
    parent_id: UUID | None
    """Its parent after that."""
    undoes: UUID | None = None
    """The change that the events undo; None: the task only moves along with its parent."""


async def _take_back(unit: UnitOfWork, change: Change, undoing: Undoing, back: Values) -> None:
    """Moves the task back with all tasks that moved along with it, and with subtasks that any of them got since. Raises
    Rejected if one of them cannot move back."""
    task, home = undoing.task, undoing.home
    here = await unit.get(PROJECT, task.project_id)
    returning = {task.id: _returning(undo(undoing, back), change)}
    for other in await unit.history.streams_of(change.actor, change.command, TaskMoved):
        state = await unit.get(TASK, other)
        if other != task.id and not state.purged:
            returning[other] = await _also_returning(unit, state, change, here, home)
    # One undo may move back as many tasks as one move may move.
    unit.moves_left -= len(returning) - 1
    if unit.moves_left < 0:
        raise Rejected("too-many-subtasks", "too many tasks would move back at once")
    below = await subtasks(unit, returning, here)
    for one in sorted(below, key=lambda task: (task.rank, task.id)):
        goes_along = follow(one, here, home, unit.at, len(unit.staged) + len(returning))
        returning[one.id] = Returning([goes_along], one.parent_id)
    for task_id in _parents_first(returning):
        goes = returning[task_id]
        if goes.parent_id not in returning:
            await _check_former_parent(unit, home, task_id, goes.parent_id)
        unit.append(TASK, task_id, *goes.events, causation_id=goes.undoes)
    # Checked after the tasks have moved back, because a relation may lead to one of them.
    for event in returning[task.id].events:
        if isinstance(event, RelationAdded):
            await _check_relation(unit, task.id, Relation(event.relation, event.task_id))


async def _also_returning(
    unit: UnitOfWork, task: TaskState, change: Change, here: ProjectState, home: ProjectState
) -> Returning:
    """The events for another task that the same command moved. Raises Rejected if that task was moved again since."""
    history = await unit.history.of(task.id)
    for same in await _changes(history, task):
        if (same.command, same.actor) == (change.command, change.actor):
            effect = await _effect(unit, task, history, same)
            back = still_set(effect, task)
            if "project" in back and task.project_id == here.id and effect.before.project_id == home.id:
                undoing = Undoing(
                    task=with_current_status(task, here), before=effect.before, home=home, actor=require_user(unit)
                )
                requested = {name: back[name][None] for name in SET_BY_MOVE if name in back}
                return _returning(move_back(undoing, requested), same)
    raise Rejected("changed-since", f"task {task.id} was moved along with this task, and has been moved again since")


def _returning(events: list[Event], change: Change) -> Returning:
    parent_id = next(event.parent_id for event in events if isinstance(event, TaskMoved))
    return Returning(events, parent_id, change.event_id)


def _parents_first(returning: Mapping[UUID, Returning]) -> Iterator[UUID]:
    """The ids of the returning tasks, parents before their subtasks: the check of a subtask needs its parent moved."""
    done: set[UUID] = set()
    for task_id in returning:
        way: list[UUID] = []
        above: UUID | None = task_id
        while above is not None and above in returning and above not in done and above not in way:
            way.append(above)
            above = returning[above].parent_id
        for one in reversed(way):
            done.add(one)
            yield one


# --- what is undone


async def _to_undo(unit: UnitOfWork, task: TaskState, version: int | None) -> tuple[Change, Effect]:
    """The change that produced `version`; if None, the newest change that can be undone and that set a value. Raises
    NothingToUndo."""
    history = await unit.history.of(task.id)
    changes = await _changes(history, task)
    if version is not None:
        change = change_of(changes, version)
        return change, await _effect(unit, task, history, change)
    for change in islice(candidates(changes), CHANGES_READ_MAX):
        effect = await _effect(unit, task, history, change)
        if set_by(effect):
            return change, effect
    raise NothingToUndo("every change is already undone")


async def _changes(history: Sequence[PastEvent], task: TaskState) -> list[Change]:
    """The changes of a history. A long history is read in pieces, and other tasks of the event loop run in between."""
    story = Story(task.annulments)
    for first in range(0, len(history), EVENTS_PER_TURN_MAX):
        await turn()
        story.add(history[first : first + EVENTS_PER_TURN_MAX])
    return story.changes


async def _effect(unit: UnitOfWork, task: TaskState, history: Sequence[PastEvent], change: Change) -> Effect:
    """The states before and after a change, folded from the log without whatever is annulled today. Only the change's
    own events are held in memory."""
    annulled = TASK.annulled(task)
    before = after = await unit.history.at_version(TASK, task.id, change.first - 1, annulled=annulled)
    versions = [version for version in change.versions if version not in annulled]
    for version, event in zip(versions, await unit.history.events(task.id, versions), strict=True):
        after = TASK.evolve(after, event, history[version - 1].metadata)
    return Effect(before, after)


async def _check_former_parent(unit: UnitOfWork, project: ProjectState, task_id: UUID, parent_id: UUID | None) -> None:
    """As `check_parent`, but a missing parent is Rejected, not NotFound, since the caller named no parent."""
    try:
        await check_parent(unit, project, task_id, parent_id)
    except NotFound:
        raise Rejected("no-such-parent", f"task {parent_id} is no longer in project {project.id}") from None


async def _check_relation(unit: UnitOfWork, task_id: UUID, relation: Relation) -> None:
    """Raises Rejected if the caller cannot see the other task (any more), or if the relation would close a cycle."""
    try:
        await task_for(unit, relation.task_id, "viewer")
    except NotFound:
        raise Rejected("no-such-task", f"the related task {relation.task_id} no longer exists") from None
    if relation.type == "blocks":
        await check_way_back(unit, task_id, relation.task_id)


# --- declared

COMMANDS: Final = (
    CommandType(
        body=UndoTask,
        target=TASK_ID,
        handler=undo_task,
        answer="task",
        rest=RestRoute("POST", "/undo", "Undo the newest change of a task, or one that is named; or redo"),
    ),
)
