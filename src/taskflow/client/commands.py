"""Commands by type: writes that a client can queue, and repeat under the same id at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from taskflow.client.answers import CommandKind, Outcome, Outcomes, Page
from taskflow.client.call import Call, Id, at, given, pages, write
from taskflow.client.resource import F, Resource, call, listed


class Command(Struct, frozen=True, kw_only=True):
    """A command. `data` is the body of the route with the same effect, `target` the id in that route's path. Later
    commands of a batch refer to what this one creates by `made`."""

    type: str
    data: dict[str, Any] = {}
    target: Id | UnsetType = UNSET
    expected_version: int | UnsetType = UNSET
    id: UUID = field(default_factory=uuid4)

    @property
    def made(self) -> str:
        """A reference to what this command creates, for later commands of the same batch."""
        return f"${self.id}"


class Commands(Resource[F]):
    @call
    def send(self, command: Command) -> Call[Outcome]:
        return write("POST", at("commands"), Outcome, _sent(command))

    @call
    def batch(
        self,
        commands: Sequence[Command],
        *,
        atomic: bool,
        dry_run: bool | UnsetType = UNSET,
        minimal: bool = False,
        request_id: str | None = None,
    ) -> Call[Outcomes]:
        """Runs at most 100 commands in order. If `atomic`, all or none, and a refusal is raised; else each has its
        outcome. With `dry_run` nothing is stored; `minimal` leaves the results out. `request_id` is the correlation id of
        the events, for several batches that have one."""
        body = given(atomic=atomic, dry_run=dry_run, commands=[_sent(command) for command in commands])
        headers = {} if request_id is None else {"X-Request-ID": request_id}
        if minimal:
            headers["Prefer"] = "return=minimal"
        return replace(write("POST", at("commands", "batch"), Outcomes, body), headers=headers)

    @listed
    def types(self) -> Call[Page[CommandKind]]:
        """All command types, with JSON Schemas."""
        return pages(at("commands", "types"), CommandKind, fresh=False)


def _sent(command: Command) -> dict[str, Any]:
    names = ("id", "type", "target", "expected_version", "data")
    return {name: value for name in names if (value := getattr(command, name)) is not UNSET}
