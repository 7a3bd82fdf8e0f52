"""`taskflow demo`: a small real log into the running system, and what to look at then."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from taskflow.dev_secrets import with_secrets
from taskflow.importer.process import Report, import_file, told
from taskflow.local.addresses import with_local_urls

if TYPE_CHECKING:
    from taskflow.settings import Settings

VIEWS_WAIT_MS: Final = 10_000


async def run(settings: Settings) -> int:
    """Imports the example, waits until the board shows it, and prints real curl lines. Exits 0 or 1."""
    settings = with_local_urls(with_secrets(settings), ["postgres_url"])
    examples = resources.files("taskflow.importer") / "examples"
    with resources.as_file(examples) as folder:
        report = await import_file(
            settings,
            folder / "incidents.csv",
            folder / "incidents.toml",
            project=None,
            user=None,
            rejects=_rejects(settings),
        )
    api = f"http://{settings.api_host}:{settings.api_port}"
    for line in (*told(report), await seen(api, report), "", *look(api, report)):
        print(line)
    return 0 if report.whole and not report.counts.rejected else 1


def _rejects(settings: Settings) -> Path:
    settings.data_path.mkdir(parents=True, exist_ok=True)
    return settings.data_path / "demo.rejects.csv"


async def seen(api: str, report: Report) -> str:
    """Waits until the views hold what was imported; a line about what they show."""
    if report.who.password is None:
        return "the account was there already: its password was shown when it was made"
    try:
        async with httpx.AsyncClient(base_url=f"{api}/api/v1", trust_env=False, timeout=30) as client:
            login = await client.post("/auth/login", json={"email": report.who.email, "password": report.who.password})
            login.raise_for_status()
            board = await client.get(
                f"/projects/{report.project_id}/board",
                params={"min_position": report.position, "wait_ms": VIEWS_WAIT_MS},
                headers={"Authorization": f"Bearer {login.json()['access_token']}"},
            )
            board.raise_for_status()
    except httpx.HTTPError as error:
        return f"the API at {api} does not show it yet ({error!r}); is `taskflow up` running?"
    columns = [f"{column['count']} {column['status']}" for column in board.json()["columns"] if column["count"]]
    return f"the board shows {', '.join(columns)}"


def look(api: str, report: Report) -> list[str]:
    """Calls to try, as they are typed into a shell."""
    password = report.who.password or "the password shown when the account was made"
    credentials = f'{{"email": "{report.who.email}", "password": "{password}"}}'
    authorised = 'curl -s -H "Authorization: Bearer $TOKEN"'
    signed_in = _piped(
        f"curl -s {api}/api/v1/auth/login -H 'Content-Type: application/json' -d '{credentials}'", "access_token"
    )
    first = _piped(f"{authorised} '{api}/api/v1/tasks?project={report.project_id}&limit=1'", "items", 0, "id")
    return [
        "Sign in:",
        f"  TOKEN={signed_in}",
        "The board, the tasks last changed, and the whole history of one:",
        f"  {authorised} {api}/api/v1/projects/{report.project_id}/board",
        f"  {authorised} '{api}/api/v1/tasks?project={report.project_id}&sort=-updated_at&limit=5'",
        f"  TASK={first}",
        f"  {authorised} {api}/api/v1/tasks/$TASK/events",
    ]


def _piped(call: str, *path: str | int) -> str:
    """A call in a subshell, with one value picked out of its answer."""
    picked = "".join(f"[{step!r}]" for step in path).replace("'", '"')
    return f"$({call} | python3 -c 'import json, sys; print(json.load(sys.stdin){picked})')"
