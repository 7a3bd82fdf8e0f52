"""`/commands`: every write by its name, for clients that queue, retry and import."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Response
from msgspec import Meta, Raw, Struct

from taskflow.api import render
from taskflow.api.bodies import decode
from taskflow.api.reads import COMMON, Reading
from taskflow.api.routes import BASE, Call, Route
from taskflow.api.writes import Sent, send
from taskflow.commands.catalog import COMMANDS, TARGETS, CommandType
from taskflow.commands.execute import AppendedEvent
from taskflow.errors import Fault, Malformed
from taskflow.store.append import Outcome


class CommandBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command as a client sends it; `id` is its own, and never expires."""

    id: UUID
    type: str
    target: str | None = None
    expected_version: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    data: dict[str, Any] = {}


class CommandOutcome(Struct, frozen=True, kw_only=True):
    id: UUID
    outcome: Literal["applied", "unchanged"]
    events: tuple[AppendedEvent, ...]
    version: int
    position: int
    result: Raw


class CommandKind(Struct, frozen=True, kw_only=True):
    """What may be sent: `target` says what its target is the id of, `data` is its JSON Schema."""

    type: str
    target: str | None
    schema: dict[str, Any]


async def post_command(call: Call) -> Response[bytes]:
    body = decode(await call.json(), CommandBody)
    entry = COMMANDS.get(body.type)
    if entry is None:
        raise Malformed([Fault("/type", "choice", "expected a type of GET /commands/types")])
    sent = Sent(
        name=body.type,
        target=_target(entry, body.target),
        plain=body.data,
        command=decode(body.data, entry.body, below="/data"),
        command_id=body.id,
        expected_version=body.expected_version,
    )
    written = await send(call, sent)
    receipt = written.accepted.receipt
    outcome = CommandOutcome(
        id=body.id,
        outcome="applied" if receipt.outcome is Outcome.APPLIED else "unchanged",
        events=written.accepted.appended,
        version=receipt.version,
        position=receipt.position,
        result=Raw(written.body),
    )
    return Response(render.ENCODER.encode(outcome), headers=written.headers, media_type="application/json")


def _target(entry: CommandType, text: str | None) -> Any:
    """A target as it is written here: an id, or the parts of one. Raises Malformed."""
    if entry.target is None:
        if text is not None:
            raise Malformed([Fault("/target", "unknown-field", f"{entry.body.__name__} has no target")])
        return None
    try:
        if entry.target not in TARGETS:
            return UUID(text or "")
        shape = TARGETS[entry.target]
        parts = (text or "").split("/", len(shape.__struct_fields__) - 1)
        return msgspec.convert(dict(zip(shape.__struct_fields__, parts, strict=True)), shape)
    except ValueError:
        raise Malformed([Fault("/target", "format", f"expected {_written_as(entry.target)}")]) from None


def _written_as(target: str) -> str:
    if target not in TARGETS:
        return f"the id of a {target}"
    return "/".join(f"<{field.replace('_', ' ')}>" for field in TARGETS[target].__struct_fields__)


async def list_command_types(call: Call) -> Response[bytes]:
    reading = Reading(call)
    await reading.begin()
    return reading.page(_kinds(), None)


@cache
def _kinds() -> tuple[CommandKind, ...]:
    return tuple(
        CommandKind(type=name, target=entry.target, schema=msgspec.json.schema(entry.body))
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
