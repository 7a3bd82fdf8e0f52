"""Writes by their names: what a client queues, and sends again under the same id whenever it likes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from msgspec import UNSET, Struct, UnsetType, field

from taskflow.client.answers import CommandKind, Outcome, Outcomes, Page
from taskflow.client.call import Call, Id, at, pages, write
from taskflow.client.resource import F, Resource, call, listed


class Command(Struct, frozen=True, kw_only=True):
    """`data` is the body of the route that the type stands behind, `target` the id in its path. In a batch a
    later command names what an earlier one makes by `$` and that one's id: see `made`."""

    type: str
    data: dict[str, Any] = {}
    target: Id | UnsetType = UNSET
    expected_version: int | UnsetType = UNSET
    id: UUID = field(default_factory=uuid4)

    @property
    def made(self) -> str:
        """What this command makes, for those after it in a batch."""
        return f"${self.id}"


class Commands(Resource[F]):
    @call
    def send(self, command: Command) -> Call[Outcome]:
        return write("POST", at("commands"), Outcome, _sent(command))

    @call
    def batch(self, commands: Sequence[Command], *, atomic: bool) -> Call[Outcomes]:
        """In order, at most 100. `atomic`: all or none, and a refusal is raised; else each has its own outcome."""
        body = {"atomic": atomic, "commands": [_sent(command) for command in commands]}
        return write("POST", at("commands", "batch"), Outcomes, body)

    @listed
    def types(self) -> Call[Page[CommandKind]]:
        """What can be sent, with JSON Schemas."""
        return pages(at("commands", "types"), CommandKind, fresh=False)


def _sent(command: Command) -> dict[str, Any]:
    names = ("id", "type", "target", "expected_version", "data")
    return {name: value for name in names if (value := getattr(command, name)) is not UNSET}
