"""An import seen from outside: what a file says, worked out here once more, and what the store holds."""

from __future__ import annotations

import csv
import gzip
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from msgspec import Struct

from taskflow.client import AsyncClient
from taskflow.client.answers import Profile
from taskflow.importer.process import import_file
from taskflow.importer.report import Report
from taskflow.importer.sender import Pace, Sender
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK, USER, EventMetadata
from taskflow.streams.task import TaskState
from tests.api.stack import ROOT

EXAMPLES = Path(str(resources.files("taskflow.importer"))) / "examples"
INCIDENTS, MAPPING = EXAMPLES / "incidents.csv", EXAMPLES / "incidents.toml"
PASSWORD = "correct horse battery"
PATIENCE_S = 120.0
PRIORITIES = {"Low": "low", "Medium": "medium", "High": "high", "Major": "urgent"}


class Since:
    """Where the log was as the test began: others have written what is before."""

    position = 0


SINCE = Since()


class Person(Struct):
    """Somebody who is signed in at the API."""

    client: AsyncClient
    url: str
    me: Profile
    token: str

    def sender(self, *, dry: bool = False, at_once: int = 4, away_max_s: float = 60.0) -> Sender:
        pace = Pace(batches_max=at_once, away_max_s=away_max_s)
        return Sender(self.client, request_id=uuid4(), pace=pace, dry=dry)

    @property
    def env(self) -> dict[str, str]:
        """Of a command that is typed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TASKFLOW_")}
        paths = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
        own = {"XDG_CONFIG_HOME": f"{tempfile.gettempdir()}/taskflow-{self.me.id}"}
        return kept | own | {"TASKFLOW_URL": self.url, "TASKFLOW_TOKEN": self.token, "PYTHONPATH": paths}

    def types(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskflow", *map(str, arguments)],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    async def adds(self, project: UUID, other: Person, role: str) -> None:
        """Makes somebody a member, by an invitation that they accept."""
        invitation = await self.client.projects.invitations.create(project, f"{uuid4().hex}@example.com", "viewer")
        assert invitation.token is not None
        await other.client.projects.invitations.accept(invitation.token)
        if role != "viewer":
            await self.client.projects.set_member(project, other.me.id, role)


class Step(NamedTuple):
    """A ticket from one moment on."""

    at: datetime
    status: str
    priority: str
    labels: frozenset[str]
    who: str


History = dict[str, list[Step]]


def rows_of(path: Path) -> list[list[str]]:
    """The records of a file, its header first."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return list(csv.reader(file))


def write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def history_of(rows: list[list[str]]) -> History:
    """What the tickets went through, by the columns of the incident log: a row that says nothing new is no step."""
    history: History = {}
    for row in rows[1:]:
        number, time, status, sub_status, _, _, team, impact, product, _, country, name = row
        step = Step(
            datetime.fromisoformat(time).astimezone(UTC),
            f"{status}/{sub_status}",
            PRIORITIES[impact],
            frozenset({f"team:{team}", f"product:{product}"}),
            f"{name} ({country})",
        )
        steps = history.setdefault(number, [])
        if not steps or steps[-1][1:] != step[1:]:
            steps.append(step)
    return history


def people_in(rows: list[list[str]]) -> set[str]:
    return {f"{row[11]} ({row[10]})" for row in rows[1:]}


async def stored(store: EventStore) -> History:
    """The same of what is in the store, each task's stream folded event by event."""
    history: History = {}
    for stream in await streams(store, "task"):
        state: TaskState | None = None
        steps = []
        recorded = await store.log.stream(stream)
        for one, event in zip(recorded, await store.mapper.decode(recorded), strict=True):
            state = TASK.evolve(state, event, EventMetadata(stream, one.stream_version, one.occurred_at, one.actor))
            who = (
                "" if state.assignee_id is None else (await store.state_cache.load(USER, state.assignee_id)).state.name
            )
            steps.append(Step(one.occurred_at, state.status, state.priority, frozenset(state.labels), who))
        assert state is not None
        assert state.external_id is not None
        assert state.external_id not in history, "two tasks of one ticket"
        history[state.external_id] = steps
    return history


async def imported_people(store: EventStore) -> list[str]:
    """The names of the people without a login, sorted."""
    states = [(await store.state_cache.load(USER, stream)).state for stream in await streams(store, "user")]
    return sorted(state.name for state in states if state.claim_id is None)


async def streams(store: EventStore, kind: str) -> list[UUID]:
    """Those that the test has made."""
    rows = await store.pool.fetch(
        "select stream_id from streams where kind = $1 and first_position > $2", kind, SINCE.position
    )
    return [UUID(int=row[0].int) for row in rows]


async def head(store: EventStore) -> int:
    position: int = await store.pool.fetchval("select position from log_head")
    return position


async def run(person: Person, file: Path, tmp_path: Path, **more: Any) -> Report:
    sender = person.sender(**{name: more.pop(name) for name in ("dry", "at_once", "away_max_s") if name in more})
    arguments: dict[str, Any] = {"project": None, "rejects": tmp_path / "rejects.csv"}
    return await import_file(sender, person.me, file, more.pop("mapping", MAPPING), **(arguments | more))
