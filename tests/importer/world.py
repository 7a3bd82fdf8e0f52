"""An import seen from outside: what a file says, worked out here once more, and what the store holds."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from taskflow.commands.execute import Executor
from taskflow.importer.account import importer
from taskflow.importer.process import Report, import_file
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK, USER, EventMetadata
from taskflow.streams.project import Role
from taskflow.streams.task import TaskState
from tests.commands.world import join

EXAMPLES = Path(str(resources.files("taskflow.importer"))) / "examples"
INCIDENTS, MAPPING = EXAMPLES / "incidents.csv", EXAMPLES / "incidents.toml"
OWNER = "demo@taskflow.example"
PRIORITIES = {"Low": "low", "Medium": "medium", "High": "high", "Major": "urgent"}


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


def told_by(rows: list[list[str]]) -> History:
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
    rows = await store.pool.fetch("select stream_id from streams where kind = $1", kind)
    return [UUID(int=row[0].int) for row in rows]


async def head(store: EventStore) -> int:
    position: int = await store.pool.fetchval("select position from log_head")
    return position


async def run(settings: Settings, file: Path, tmp_path: Path, **more: Any) -> Report:
    arguments: dict[str, Any] = {"project": None, "user": None, "rejects": tmp_path / "rejects.csv"}
    return await import_file(settings, file, more.pop("mapping", MAPPING), **(arguments | more))


async def register(store: EventStore, settings: Settings, email: str) -> UUID:
    """A person who can import."""
    made = await importer(store, Executor(store, settings), settings, owner=email, user=None, register=True)
    return made.user_id


async def add_member(
    store: EventStore, settings: Settings, project_id: UUID, owner: UUID, member: UUID, role: Role
) -> None:
    await join(Executor(store, settings), owner, project_id, member, role)
