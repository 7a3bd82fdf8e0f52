"""`/commands`: every write by its name, for clients that queue, retry and import."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
from litestar import Response
from msgspec import Struct

from taskflow.api import encoding
from taskflow.api.answers import answer_headers, render_answer
from taskflow.api.command_messages import (
    CommandBody,
    CommandOutcome,
    outcome_of,
    parse_command,
    pointing_below,
    request_for,
)
from taskflow.api.preferences import APPLIED, prefers_minimal
from taskflow.api.reads import COMMON, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.targets import DIALECT, target_schema
from taskflow.api.writes import execute
from taskflow.commands.catalog import COMMANDS


class CommandKind(Struct, frozen=True, kw_only=True):
    """What may be sent: `target` names what it is done to (null: to nothing that is there yet, or to oneself), and
    `target_schema` says how that is written; `schema` is the JSON Schema of `data`. What one that `creates` has
    made may be named by later commands of its batch."""

    type: str
    creates: bool
    target: str | None
    target_schema: dict[str, Any]
    schema: dict[str, Any]


async def post_command(call: RequestContext) -> Response[bytes]:
    command = parse_command(await call.json())
    with pointing_below("/data"):
        [accepted] = await execute(call, [request_for(call, command)])
        resource, _ = await render_answer(call.context, call.user, command.type.answer, command.target, accepted)
    headers = answer_headers(accepted, resource)
    if prefers_minimal(call.request.scope["headers"]):
        outcome, headers = outcome_of(command.command_id, accepted), headers | APPLIED
    else:
        result = encoding.with_position(resource, accepted.receipt.position)
        outcome = outcome_of(command.command_id, accepted, result)
    return Response(encoding.ENCODER.encode(outcome), headers=headers, media_type="application/json")


async def list_command_types(call: RequestContext) -> Response[bytes]:
    reading = await begin(call)
    return reading.page(_kinds(), None)


@cache
def _kinds() -> tuple[CommandKind, ...]:
    return tuple(
        CommandKind(
            type=name,
            creates=entry.creates,
            target=None if entry.target is None else entry.target.name,
            target_schema=target_schema(entry.target),
            schema={"$schema": DIALECT} | msgspec.json.schema(entry.body),
        )
        for name, entry in sorted(COMMANDS.items())
    )


class CommandKinds(Struct, frozen=True):
    items: tuple[CommandKind, ...]
    next_cursor: str | None


ROUTES: Final = (
    Route("POST", f"{BASE}/commands", post_command, "Send a command", CommandBody, CommandOutcome),
    Route(
        "GET",
        f"{BASE}/commands/types",
        list_command_types,
        "Every type of command, with its JSON Schema",
        answer=CommandKinds,
        query=COMMON,
    ),
)
