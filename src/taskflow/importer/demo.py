"""`taskflow demo`: a small real log into a running system, and what to look at then."""

from __future__ import annotations

import secrets
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from taskflow.client import ClientError, Rejected
from taskflow.importer.failures import ImportFailure
from taskflow.importer.process import import_file
from taskflow.importer.report import format_report
from taskflow.importer.sender import Pace, Sender

if TYPE_CHECKING:
    from taskflow.client import AsyncClient
    from taskflow.importer.report import Report

EMAIL: Final = "demo@taskflow.example"
PASSWORD_BYTES: Final = 18


async def run(client: AsyncClient, url: str) -> int:
    """Imports the example as whoever is signed in, else as a new account that is signed in from then on; prints what
    the board shows, and real curl lines. Exits 0 or 1."""
    password = None if client.signed_in else await _sign_up(client)
    sender = Sender(client, request_id=uuid4(), pace=Pace(), dry=False)
    examples = resources.files("taskflow.importer") / "examples"
    with resources.as_file(examples) as folder, tempfile.TemporaryDirectory() as scratch:
        report = await import_file(
            sender,
            await client.users.me(),
            folder / "incidents.csv",
            folder / "incidents.toml",
            project=None,
            rejects=Path(scratch) / "rejects.csv",
        )
    lines = format_report(report)
    if password is not None:
        lines.append(f"made the account {EMAIL} with the password {password} (shown this once)")
    for line in (*lines, await _shown(client, report), "", *look(url, report, password)):
        print(line)
    return 0 if report.whole and not report.counts.rejected else 1


async def _sign_up(client: AsyncClient) -> str:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        registered = await client.auth.register(EMAIL, password, "demo")
    except Rejected as refused:
        raise ImportFailure(
            f"{refused}; its password was shown when it was made: sign in with `taskflow login {EMAIL}`"
        ) from None
    if registered.user is None:
        raise ImportFailure("this server confirms addresses by mail: sign in with `taskflow login`, then run it again")
    return password


async def _shown(client: AsyncClient, report: Report) -> str:
    """A line about what the views show, once they hold what was imported."""
    if report.project_id is None:
        return "nothing was imported"
    try:
        board = await client.projects.board(report.project_id)
    except ClientError as error:
        return f"the board does not show it yet ({error})"
    return f"the board shows {', '.join(f'{column.count} {column.status}' for column in board.columns if column.count)}"


def look(url: str, report: Report, password: str | None) -> list[str]:
    """Calls to try, as they are typed into a shell."""
    credentials = f'{{"email": "{report.who.email}", "password": "{password or "your password"}"}}'
    authorised = 'curl -s -H "Authorization: Bearer $TOKEN"'
    signed_in = _piped(
        f"curl -s {url}/api/v1/auth/login -H 'Content-Type: application/json' -d '{credentials}'", "access_token"
    )
    first = _piped(f"{authorised} '{url}/api/v1/tasks?project={report.project_id}&limit=1'", "items", 0, "id")
    return [
        "Sign in:",
        f"  TOKEN={signed_in}",
        "The board, the tasks last changed, and the whole history of one:",
        f"  {authorised} {url}/api/v1/projects/{report.project_id}/board",
        f"  {authorised} '{url}/api/v1/tasks?project={report.project_id}&sort=-updated_at&limit=5'",
        f"  TASK={first}",
        f"  {authorised} {url}/api/v1/tasks/$TASK/events",
    ]


def _piped(call: str, *path: str | int) -> str:
    """A call in a subshell, with one value picked out of its answer."""
    picked = "".join(f"[{step!r}]" for step in path).replace("'", '"')
    return f"$({call} | python3 -c 'import json, sys; print(json.load(sys.stdin){picked})')"
