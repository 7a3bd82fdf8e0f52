"""`/commands`: every write by its name, for clients that queue, retry and import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from litestar import Response
from msgspec import Meta, Raw, Struct

from taskflow.api import render
from taskflow.api.bodies import decode
from taskflow.api.preferences import APPLIED, prefers_minimal
from taskflow.api.reads import COMMON, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.targets import DIALECT, target_as_text, target_schema
from taskflow.api.writes import Sent, send
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.execute import Accepted, AppendedEvent
from taskflow.errors import Fault, Invalid, Malformed
from taskflow.store.append import Outcome


class CommandBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command as a client sends it; `id` is its own, and never expires."""

    id: UUID
    type: str
    target: str | None = None
    expected_version: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    data: dict[str, Any] = {}


class CommandOutcome(Struct, frozen=True, kw_only=True):
    """`result` is what the route answers that the type stands behind; null under `Prefer: return=minimal`."""

    id: UUID
    outcome: Literal["applied", "unchanged"]
    replayed: bool
    """Whether this is the outcome of an earlier copy."""
    events: tuple[AppendedEvent, ...]
    version: int
    position: int
    result: Raw


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
    sent = read_command(await call.json())
    with pointing_below("/data"):
        done = await send(call, sent)
    outcome, headers = outcome_of(sent, done.accepted, done.body), done.headers
    if prefers_minimal(call.request.scope["headers"]):
        outcome, headers = outcome_of(sent, done.accepted), headers | APPLIED
    return Response(render.ENCODER.encode(outcome), headers=headers, media_type="application/json")


def read_command(plain: dict[str, Any], below: str = "") -> Sent:
    """A command as it was sent. Raises Malformed with every fault; pointers begin with `below`."""
    body = decode(plain, CommandBody, below=below)
    entry = COMMANDS.get(body.type)
    if entry is None:
        raise Malformed([Fault(f"{below}/type", "choice", "expected a type of GET /commands/types")])
    faults: list[Fault] = []
    target, command = None, None
    try:
        target = target_as_text(entry, body.target, f"{below}/target")
    except Malformed as error:
        faults += error.faults
    try:
        command = decode(body.data, entry.body, below=f"{below}/data")
    except Malformed as error:
        faults += error.faults
    if command is None or faults:
        raise Malformed(faults)
    return Sent(
        name=body.type,
        target=target,
        plain=body.data,
        command=command,
        command_id=body.id,
        expected_version=body.expected_version,
    )


def outcome_of(sent: Sent, accepted: Accepted, result: bytes = b"null") -> CommandOutcome:
    receipt = accepted.receipt
    return CommandOutcome(
        id=sent.command_id,
        outcome="applied" if receipt.outcome is Outcome.APPLIED else "unchanged",
        replayed=receipt.replayed,
        events=accepted.appended,
        version=receipt.version,
        position=receipt.position,
        result=Raw(result),
    )


@contextmanager
def pointing_below(place: str) -> Iterator[None]:
    """A decider's pointers begin at the command's body: here they begin where that stands in the request's."""
    try:
        yield
    except Invalid as invalid:
        invalid.pointer = place + invalid.pointer
        raise


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
