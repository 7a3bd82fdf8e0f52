"""What `/commands` and `/commands/batch` exchange: a command sent by its name, and its outcome.

JSON ─▶ CommandBody ─▶ ParsedCommand ─▶ Request ─▶ (the executor) ─▶ Accepted ─▶ CommandOutcome
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Raw, Struct

from taskflow.api.bodies import decode
from taskflow.api.route import RequestContext
from taskflow.api.targets import target_as_text
from taskflow.api.writes import request_of
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.declaration import CommandType
from taskflow.commands.execute import Accepted, AppendedEvent, Handler, Request
from taskflow.commands.fields import Command
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


class ParsedCommand(Struct, frozen=True, kw_only=True):
    """A command that was sent by its name, with its type, target and body. `plain` is its `data` as sent, which the
    fingerprint covers."""

    type: CommandType
    target: Any
    plain: dict[str, Any]
    body: Command
    command_id: UUID
    expected_version: int | None


def parse_command(plain: dict[str, Any], below: str = "") -> ParsedCommand:
    """A command from its JSON. Raises Malformed with every fault; pointers begin with `below`."""
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
    return ParsedCommand(
        type=entry,
        target=target,
        plain=body.data,
        body=command,
        command_id=body.id,
        expected_version=body.expected_version,
    )


def request_for(
    call: RequestContext, command: ParsedCommand, handler: Handler | None = None, *, at: datetime | None = None
) -> Request:
    """The command for the executor, see `request_of`."""
    return request_of(
        call,
        command.type,
        command.target,
        command.plain,
        command.body,
        command_id=command.command_id,
        expected_version=command.expected_version,
        handler=handler,
        at=at,
    )


def outcome_of(command_id: UUID, accepted: Accepted, result: bytes = b"null") -> CommandOutcome:
    receipt = accepted.receipt
    return CommandOutcome(
        id=command_id,
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
