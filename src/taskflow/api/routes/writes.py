"""The REST routes of commands, each made from the command's declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.api.answers import ANSWERS
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.targets import target_in_path
from taskflow.api.writes import write
from taskflow.commands.catalog import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from litestar import Response

    from taskflow.commands.declaration import CommandType


def _routes() -> Iterator[Route]:
    for command in COMMANDS.values():
        if (rest := command.rest) is not None:
            above = "" if command.target is None else command.target.path
            yield Route(
                rest.method,
                f"{BASE}{above}{rest.path}",
                _handler(command),
                rest.summary,
                command.body,
                ANSWERS[command.answer],
                201 if command.creates else 200,
            )


def _handler(command: CommandType) -> Callable[[RequestContext], Awaitable[Response[bytes]]]:
    async def run(call: RequestContext) -> Response[bytes]:
        return await write(call, command, target_in_path(command.target, call))

    return run


ROUTES: Final = tuple(_routes())
