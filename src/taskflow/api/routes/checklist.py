"""A task's checklist over HTTP. It is read with the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.api.parts import WrittenItem
from taskflow.api.render import WrittenTask
from taskflow.api.route import BASE, Call, Route
from taskflow.api.writes import write
from taskflow.commands.checklist import AddChecklistItem, EditChecklistItem, RemoveChecklistItem, TaskItem

if TYPE_CHECKING:
    from litestar import Response


def _target(call: Call) -> TaskItem:
    return TaskItem(call.id("task_id", "task"), call.id("item_id", "checklist item"))


async def add_item(call: Call) -> Response[bytes]:
    return await write(call, "AddChecklistItem", call.id("task_id", "task"))


async def edit_item(call: Call) -> Response[bytes]:
    return await write(call, "EditChecklistItem", _target(call))


async def remove_item(call: Call) -> Response[bytes]:
    return await write(call, "RemoveChecklistItem", _target(call))


ALL: Final = f"{BASE}/tasks/{{task_id:str}}/checklist"
ONE: Final = f"{ALL}/{{item_id:str}}"
ROUTES: Final = (
    Route("POST", ALL, add_item, "Add an item at the end of the checklist", AddChecklistItem, WrittenItem, 201),
    Route("PATCH", ONE, edit_item, "Reword, check or move an item; answers the task", EditChecklistItem, WrittenTask),
    Route("DELETE", ONE, remove_item, "Remove an item; answers the task", RemoveChecklistItem, WrittenTask),
)
