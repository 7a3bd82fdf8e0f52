"""Commands that change a task's checklist, whose items have ranks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from taskflow.commands.declaration import TASK_ID, RestRoute, TargetType, on_task
from taskflow.commands.fields import ITEMS_MAX, Command, ItemText
from taskflow.commands.ranks import rank_between
from taskflow.commands.task import require_editable
from taskflow.errors import NotFound, Rejected
from taskflow.streams import Event
from taskflow.streams.task import (
    ChecklistItemAdded,
    ChecklistItemChecked,
    ChecklistItemRanked,
    ChecklistItemRemoved,
    ChecklistItemReworded,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import ChecklistItem, TaskState

# --- commands ------------------------------------------------------------------------------------


class TaskItem(Struct, frozen=True):
    """The target of commands that change one item."""

    task_id: UUID
    item_id: UUID


class AddChecklistItem(Command, frozen=True):
    text: ItemText


class EditChecklistItem(Command, frozen=True):
    """A JSON merge patch: what is left out stays. `after`: the item that it comes after; null: it comes first."""

    text: ItemText | UnsetType = UNSET
    done: bool | UnsetType = UNSET
    after: UUID | UnsetType | None = UNSET


class RemoveChecklistItem(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def add(task: TaskState, project: ProjectState, item_id: UUID, text: str) -> list[Event]:
    """Adds an item at the end. Raises Rejected if the checklist is full."""
    require_editable(task, project)
    if len(task.checklist) >= ITEMS_MAX:
        raise Rejected("too-many-items", f"a checklist has at most {ITEMS_MAX} items; remove one first")
    rank = _rank(task.checklist, len(task.checklist), item_id)
    return [ChecklistItemAdded(item_id=item_id, text=text, rank=rank)]


def edit(task: TaskState, project: ProjectState, item_id: UUID, command: EditChecklistItem) -> list[Event]:
    """One event for each field that differs; moving an item to the place where it is already gives none."""
    require_editable(task, project)
    item = _item(task, item_id)
    events: list[Event] = []
    if command.text is not UNSET and command.text != item.text:
        events.append(ChecklistItemReworded(item_id=item_id, text=command.text))
    if command.done is not UNSET and command.done != item.done:
        events.append(ChecklistItemChecked(item_id=item_id, done=command.done))
    if command.after is not UNSET:
        others = [other for other in task.checklist if other.id != item_id]
        place = _place_after(others, command.after)
        if place != task.checklist.index(item):
            events.append(ChecklistItemRanked(item_id=item_id, rank=_rank(others, place, item_id)))
    return events


def remove(task: TaskState, project: ProjectState, item_id: UUID) -> list[Event]:
    require_editable(task, project)
    _item(task, item_id)
    return [ChecklistItemRemoved(item_id=item_id)]


def _item(task: TaskState, item_id: UUID) -> ChecklistItem:
    item = task.item(item_id)
    if item is None:
        raise NotFound("checklist item", item_id)
    return item


def _place_after(others: Sequence[ChecklistItem], after: UUID | None) -> int:
    if after is None:
        return 0
    for place, other in enumerate(others, 1):
        if other.id == after:
            return place
    raise Rejected("no-such-item", f"the checklist has no other item {after}")


def _rank(others: Sequence[ChecklistItem], place: int, item_id: UUID) -> str:
    """A rank between the neighbours of an index in `others`."""
    after = others[place - 1].rank if place > 0 else None
    before = others[place].rank if place < len(others) else None
    return rank_between(after, before, item_id)


# --- declared ------------------------------------------------------------------------------------

ITEM: Final = TargetType("checklist_item", TASK_ID.path + "/checklist/{item_id:str}", TaskItem)
COMMANDS: Final = (
    on_task(
        AddChecklistItem,
        TASK_ID,
        lambda on: add(on.state, on.project, on.unit.fresh_id(), on.command.text),
        RestRoute("POST", "/checklist", "Add an item at the end of the checklist"),
        answer="checklist_item",
        creates=True,
    ),
    on_task(
        EditChecklistItem,
        ITEM,
        lambda on: edit(on.state, on.project, on.target.item_id, on.command),
        RestRoute("PATCH", "", "Reword, check or move an item; answers the task"),
    ),
    on_task(
        RemoveChecklistItem,
        ITEM,
        lambda on: remove(on.state, on.project, on.target.item_id),
        RestRoute("DELETE", "", "Remove an item; answers the task"),
    ),
)
