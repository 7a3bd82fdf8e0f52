"""A server that is away: an import that has begun waits and loses nothing, another does not begin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow.importer.failures import ServerAway
from taskflow.local.program import unused_port
from taskflow.store.eventstore import EventStore, open_event_store
from tests.conftest import Server
from tests.importer.conftest import Api
from tests.importer.world import (
    INCIDENTS,
    MAPPING,
    Person,
    head,
    history_of,
    imported_people,
    people_in,
    rows_of,
    run,
    stored,
    write,
)

ROWS = rows_of(INCIDENTS)
COPIES = 5
MANY = [ROWS[0]] + [[f"{copy}-{row[0]}", *row[1:]] for copy in range(COPIES) for row in ROWS[1:]]
BOUND_S = 60.0


async def until_begun(store: EventStore, position: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await head(store) < position:
            await asyncio.sleep(0.002)


async def test_an_import_waits_for_a_store_that_was_killed(
    api: Api, ada: Person, store: EventStore, server: Callable[[str], Server], tmp_path: Path
) -> None:
    postgres = server("postgres")
    begun = await head(store)
    work = asyncio.create_task(run(ada, write(tmp_path / "many.csv", MANY), tmp_path, at_once=1))
    await until_begun(store, begun + 200)
    await asyncio.to_thread(postgres.kill)
    assert not work.done()
    await asyncio.to_thread(postgres.start)
    report = await work
    told = history_of(MANY)
    steps = sum(len(steps) for steps in told.values())
    assert (report.counts.applied, report.counts.unchanged) == (steps, len(MANY) - 1 - steps)
    assert (report.counts.already_there, report.counts.rejected) == (0, 0)
    async with open_event_store(api.settings, "after") as after:
        assert await stored(after) == told
        assert await imported_people(after) == sorted(people_in(ROWS))


async def test_a_store_that_stays_away_ends_the_import_with_a_word(
    api: Api, ada: Person, store: EventStore, server: Callable[[str], Server], tmp_path: Path
) -> None:
    postgres = server("postgres")
    begun = await head(store)
    work = asyncio.create_task(run(ada, write(tmp_path / "many.csv", MANY), tmp_path, at_once=1, away_max_s=1))
    await until_begun(store, begun + 200)
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(ServerAway, match="run the import again"):
        await work
    await asyncio.to_thread(postgres.start)
    await run(ada, tmp_path / "many.csv", tmp_path)
    async with open_event_store(api.settings, "after") as after:
        assert await stored(after) == history_of(MANY)


async def test_an_import_does_not_begin_where_the_store_is_away(
    ada: Person, server: Callable[[str], Server], tmp_path: Path
) -> None:
    postgres = server("postgres")
    await asyncio.to_thread(postgres.kill)
    try:
        with pytest.raises(ServerAway, match="run the import again"):
            await run(ada, INCIDENTS, tmp_path)
    finally:
        await asyncio.to_thread(postgres.start)


def test_an_import_without_a_server_does_not_begin_and_says_why(ada: Person) -> None:
    ada.url = f"http://127.0.0.1:{unused_port()}"
    done = ada.types("import", INCIDENTS, "--mapping", MAPPING)
    assert (done.returncode, done.stdout) == (6, "")
    assert "does not answer" in done.stderr
    assert "run the import again" in done.stderr
