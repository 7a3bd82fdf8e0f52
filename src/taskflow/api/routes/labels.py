"""A project's labels over HTTP. A name is the rest of the path as it was sent, slashes included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import msgspec

from taskflow.api import render
from taskflow.api.route import BASE, Call, Route
from taskflow.api.writes import Method, write
from taskflow.commands.catalog import COMMANDS
from taskflow.commands.fields import LABEL_MAX
from taskflow.commands.labels import ProjectLabel
from taskflow.errors import Fault, Malformed
from taskflow.names import normal_name

if TYPE_CHECKING:
    from litestar import Response

_BEFORE_NAME: Final = b"/labels/"


def _target(call: Call) -> ProjectLabel:
    """Raises Malformed for what is no name. The router's own idea of the path has lost slashes at its ends."""
    project_id = call.id("project_id", "project")
    sent: bytes = call.request.scope["raw_path"]
    try:
        name = unquote_to_bytes(sent.partition(_BEFORE_NAME)[2]).decode()
        return msgspec.convert({"project_id": project_id, "name": normal_name(name)}, ProjectLabel)
    except ValueError:
        fault = Fault("name", "format", f"expected a label's name in UTF-8, of 1 to {LABEL_MAX} characters")
        raise Malformed([fault]) from None


def _command(method: Method, name: str, summary: str) -> Route:
    async def run(call: Call) -> Response[bytes]:
        return await write(call, name, _target(call))

    path = f"{BASE}/projects/{{project_id:str}}/labels/{{name:path}}"
    return Route(method, path, run, summary, COMMANDS[name].body, render.WrittenProject)


ROUTES: Final = (
    _command("PUT", "SetLabel", "Define a label, or change its colour"),
    _command("DELETE", "RemoveLabel", "Remove a label from those that the project defines"),
)
