"""What an accepted command answers: the resource that it wrote, as of its version, and where that is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.api import render
from taskflow.api.routes import BASE
from taskflow.api.stored import committed
from taskflow.projections.tasks import shown
from taskflow.streams import PROJECT, SAVED_VIEW, TASK, USER

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.commands.execute import Accepted
    from taskflow.commands.fields import Command


class Answer(Struct, frozen=True):
    """A body with `version` and without `position`, and its path."""

    body: bytes
    location: str


async def answer_of(context: Context, caller: UUID, command: type[Command], accepted: Accepted) -> Answer:
    """The stream's whole resource, but for the few commands that answer a part of it."""
    part = _PARTS.get(command)
    if part is not None:
        return await part(context, caller, accepted)
    location = f"{BASE}/{accepted.kind.name}s/{accepted.receipt.stream_id}"
    state = accepted.state
    if accepted.kind is PROJECT:
        return Answer(render.ENCODER.encode(render.project(state, state.members.get(caller))), location)
    if accepted.kind is USER:
        return Answer(render.ENCODER.encode(render.profile(state)), location)
    if accepted.kind is SAVED_VIEW:
        return Answer(render.ENCODER.encode(render.saved_view(state)), f"{BASE}/views/{accepted.receipt.stream_id}")
    if accepted.kind is not TASK:
        raise AssertionError(f"no route shows a {accepted.kind.name}")
    project = await committed(context.store, PROJECT, state.project_id)
    names = await context.people.stored_names({state.assignee_id} - {None})
    return Answer(bytes(render.task(shown(state), None if project is None else project.statuses, names)), location)


_PARTS: Final[dict[type[Command], Callable[[Context, UUID, Accepted], Awaitable[Answer]]]] = {}
"""Commands that answer something else than the whole resource."""
