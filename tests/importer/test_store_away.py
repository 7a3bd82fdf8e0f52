"""A store that is away: an import that has begun waits and loses nothing, another does not begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from taskflow.errors import Unavailable
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from tests.conftest import Server
from tests.importer.world import INCIDENTS, head, imported_people, people_in, rows_of, run, stored, told_by, write

ROWS = rows_of(INCIDENTS)
COPIES = 5
MANY = [ROWS[0]] + [[f"{copy}-{row[0]}", *row[1:]] for copy in range(COPIES) for row in ROWS[1:]]
BOUND_S = 60.0


async def until_begun(store: EventStore, position: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await head(store) < position:
            await asyncio.sleep(0.002)


async def test_an_import_waits_for_a_store_that_was_killed(
    settings: Settings, server: Callable[[str], Server], tmp_path: Path
) -> None:
    slow = replace(settings, import_inflight_max=4, append_deadline_ms=200, append_timeout_ms=200)
    postgres = server("postgres")
    work = asyncio.create_task(run(slow, write(tmp_path / "many.csv", MANY), tmp_path))
    async with open_event_store(settings, "watch") as store:
        await until_begun(store, 200)
    await asyncio.to_thread(postgres.kill)
    assert not work.done()
    await asyncio.to_thread(postgres.start)
    report = await work
    told = told_by(MANY)
    steps = sum(len(steps) for steps in told.values())
    assert (report.counts.applied, report.counts.unchanged) == (steps, len(MANY) - 1 - steps)
    assert (report.counts.already_there, report.counts.rejected) == (0, 0)
    async with open_event_store(settings, "test") as store:
        assert await stored(store) == told
        assert await imported_people(store) == sorted(people_in(ROWS))


async def test_a_store_that_stays_away_ends_the_import_with_a_word(
    settings: Settings, server: Callable[[str], Server], tmp_path: Path
) -> None:
    hasty = replace(
        settings, import_inflight_max=4, append_deadline_ms=100, append_timeout_ms=200, import_outage_max_s=1
    )
    postgres = server("postgres")
    work = asyncio.create_task(run(hasty, write(tmp_path / "many.csv", MANY), tmp_path))
    async with open_event_store(settings, "watch") as store:
        await until_begun(store, 200)
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(Unavailable, match="run the import again"):
        await work
    await asyncio.to_thread(postgres.start)
    await run(settings, tmp_path / "many.csv", tmp_path)
    async with open_event_store(settings, "test") as store:
        assert await stored(store) == told_by(MANY)


async def test_an_import_without_a_store_does_not_begin_and_says_why(
    settings: Settings, server: Callable[[str], Server], tmp_path: Path
) -> None:
    await asyncio.to_thread(server("postgres").kill)
    with pytest.raises(Unavailable, match="does not answer"):
        await run(settings, INCIDENTS, tmp_path)
