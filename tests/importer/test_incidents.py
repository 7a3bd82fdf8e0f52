"""The example, a part of a real log: its figures and every ticket's history."""

from __future__ import annotations

import gzip
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskflow.importer.mapping import read_mapping
from taskflow.store.eventstore import EventStore
from taskflow.streams import PROJECT, TASK, USER
from tests.importer.world import (
    INCIDENTS,
    MAPPING,
    SINCE,
    Person,
    head,
    history_of,
    imported_people,
    people_in,
    rows_of,
    run,
    stored,
    streams,
)

ROWS = rows_of(INCIDENTS)
TOLD = history_of(ROWS)


@pytest.fixture(params=["plain", "gzip"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "plain":
        return INCIDENTS
    path = tmp_path / "incidents.csv.gz"
    path.write_bytes(gzip.compress(INCIDENTS.read_bytes()))
    return path


def test_the_example_is_forty_tickets_with_every_status() -> None:
    statuses = {status.key for status in read_mapping(MAPPING).status.values}
    assert len(TOLD) == 40
    assert 300 <= len(ROWS) - 1 <= 400
    assert {f"{row[2]}/{row[3]}" for row in ROWS[1:]} == statuses


async def test_every_ticket_has_its_history_at_its_times(
    file: Path, ada: Person, store: EventStore, tmp_path: Path
) -> None:
    began = datetime.now(UTC)
    report = await run(ada, file, tmp_path)
    history = await stored(store)
    assert history == TOLD
    steps = sum(len(steps) for steps in TOLD.values())
    counts = report.counts
    assert (counts.applied, counts.unchanged) == (steps, len(ROWS) - 1 - steps)
    assert (counts.already_there, counts.rejected, counts.tasks) == (0, 0, len(TOLD))
    assert await imported_people(store) == sorted(people_in(ROWS))
    assert counts.people == len(people_in(ROWS))
    assert report.position == await head(store)
    for stream in await streams(store, "task"):
        assert all(one.recorded_at >= began - timedelta(seconds=1) for one in await store.log.stream(stream))
    assert not report.rejects.exists()


async def test_last_states_are_those_of_the_last_rows(ada: Person, store: EventStore, tmp_path: Path) -> None:
    await run(ada, INCIDENTS, tmp_path)
    last = Counter(f"{row[2]}/{row[3]}" for row in {row[0]: row for row in ROWS[1:]}.values())
    states = [(await store.state_cache.load(TASK, stream)).state for stream in await streams(store, "task")]
    assert Counter(state.status for state in states) == last
    assert {state.title for state in states} == {f"Incident {number}" for number in TOLD}
    finished = [state for state in states if state.category == "done"]
    assert all(state.completed_at is not None and state.completed_at.year < 2013 for state in finished)


async def test_the_project_is_the_owners_with_the_mappings_workflow(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    report = await run(ada, INCIDENTS, tmp_path)
    assert report.project_id is not None
    project = (await store.state_cache.load(PROJECT, report.project_id)).state
    assert project.members == {ada.me.id: "owner"}
    assert (report.who.id, project.name) == (ada.me.id, "Volvo IT incidents")
    assert project.created_at == min(steps[0].at for steps in TOLD.values())
    categories = Counter(status.category for status in project.workflow.statuses)
    assert categories == {"todo": 2, "in_progress": 2, "waiting": 5, "done": 3, "cancelled": 1}


async def test_people_cannot_sign_in_and_their_names_are_sealed(ada: Person, store: EventStore, tmp_path: Path) -> None:
    await run(ada, INCIDENTS, tmp_path)
    data = await store.pool.fetch(
        "select data from events where type = 'UserImported' and position > $1", SINCE.position
    )
    names = [row[11] for row in ROWS[1:] if len(row[11]) > 3]
    assert data
    assert not any(name.encode() in row[0] for row in data for name in names)
    for stream in await streams(store, "user"):
        state = (await store.state_cache.load(USER, stream)).state
        assert (state.password_hash is None) == (state.email is None)


async def test_ids_are_laid_out_by_the_time_of_the_project(ada: Person, store: EventStore, tmp_path: Path) -> None:
    """A key alone says which task it is, whichever of its rows comes first in a file."""
    report = await run(ada, INCIDENTS, tmp_path)
    assert report.project_id is not None
    project = (await store.state_cache.load(PROJECT, report.project_id)).state
    for stream in await streams(store, "task"):
        assert stream.version == 7
        assert stream.int >> 80 == int(project.created_at.timestamp() * 1000)


async def test_events_have_the_time_of_their_row_and_one_cause(ada: Person, store: EventStore, tmp_path: Path) -> None:
    report = await run(ada, INCIDENTS, tmp_path)
    assert report.project_id is not None
    causes = await store.pool.fetch(
        "select distinct correlation_id from events where position > $1 and type in ('TaskCreated', 'TaskChangeImported')",
        SINCE.position,
    )
    assert len(causes) == 1
    founded = (await store.log.stream(report.project_id))[0]
    assert founded.occurred_at == min(steps[0].at for steps in TOLD.values())


async def test_what_has_no_field_of_its_own_stays_in_the_events(ada: Person, store: EventStore, tmp_path: Path) -> None:
    await run(ada, INCIDENTS, tmp_path)
    rows = await store.pool.fetch(
        "select convert_from(data, 'UTF8')::jsonb -> 'source' ->> 'Country' from events "
        "where type in ('TaskCreated', 'TaskChangeImported') and position > $1",
        SINCE.position,
    )
    assert {row[0] for row in rows} == {row[9] for row in ROWS[1:]}
