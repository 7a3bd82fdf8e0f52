"""The changes of a task between two versions, from the event store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from taskflow.api.historical_tasks import VERSION_MAX, at_version, see
from taskflow.api.reads import COMMON, begin
from taskflow.api.route import BASE, RequestContext, Route

if TYPE_CHECKING:
    from litestar import Response

NOT_COMPARED: Final = frozenset(("version", "updated_at"))
"""Fields that every change sets, and that are left out."""


class FieldChange(Struct, frozen=True, rename={"from_": "from"}):
    """A field of a task, and what it was in the one version and in the other. A person is an id here."""

    field: str
    from_: Any
    to: Any


class DiffBody(Struct, frozen=True):
    changes: list[FieldChange]


async def diff_task(call: RequestContext) -> Response[bytes]:
    """The changes between any two versions, in either direction; by default from the creation to the present."""
    task_id = call.id("task_id", "task")
    first = call.parameters.number("from", least=0, most=VERSION_MAX)
    last = call.parameters.number("to", least=0, most=VERSION_MAX)
    reading = await begin(call)
    present = await see(reading, task_id)
    before = _fields(await at_version(reading, present, 1 if first is None else first))
    after = _fields(await at_version(reading, present, present.version if last is None else last))
    changes = [
        FieldChange(field, before[field], after[field])
        for field in before
        if field not in NOT_COMPARED and before[field] != after[field]
    ]
    return reading.unversioned(DiffBody(changes))


def _fields(rendered: Raw) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(rendered)
    if fields["assignee"] is not None:
        fields["assignee"] = fields["assignee"]["id"]
    return fields


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/tasks/{{task_id:str}}/diff",
        diff_task,
        "What changed in a task between two versions",
        answer=DiffBody,
        query=("from", "to", *COMMON),
    ),
)
