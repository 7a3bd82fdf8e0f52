"""A task's relations over HTTP. They are read with the task that they were put on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from taskflow.api.render import WrittenTask
from taskflow.api.route import BASE, Call, Route
from taskflow.api.writes import write
from taskflow.commands.relations import AddRelation, RemoveRelation, TaskRelation
from taskflow.errors import NotFound
from taskflow.streams.task import RelationType

if TYPE_CHECKING:
    from litestar import Response


async def add_relation(call: Call) -> Response[bytes]:
    return await write(call, "AddRelation", call.id("task_id", "task"))


async def remove_relation(call: Call) -> Response[bytes]:
    task_id, related_id = call.id("task_id", "task"), call.id("related_id", "task")
    return await write(call, "RemoveRelation", TaskRelation(task_id, _type(call), related_id))


def _type(call: Call) -> RelationType:
    text = call.request.path_params["type"]
    try:
        found: RelationType = msgspec.convert(text, RelationType)
    except msgspec.ValidationError:
        raise NotFound("relation", text) from None
    return found


ALL: Final = f"{BASE}/tasks/{{task_id:str}}/relations"
ROUTES: Final = (
    Route("PUT", ALL, add_relation, "Relate a task to another", AddRelation, WrittenTask),
    Route(
        "DELETE",
        f"{ALL}/{{type:str}}/{{related_id:str}}",
        remove_relation,
        "Take a relation from a task",
        RemoveRelation,
        WrittenTask,
    ),
)
