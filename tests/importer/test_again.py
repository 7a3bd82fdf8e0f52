"""Whoever imports again, from wherever it stopped, adds nothing twice and misses nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

import pytest

from taskflow.client import Forbidden, NotFound
from taskflow.importer.report import Report
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK
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
    streams,
    write,
)

MakePerson = Callable[[str], Awaitable[Person]]
ROWS = rows_of(INCIDENTS)
TOLD = history_of(ROWS)
BOUND_S = 60.0


def project_of(report: Report) -> UUID:
    assert report.project_id is not None
    return report.project_id


async def test_a_second_run_changes_nothing(ada: Person, store: EventStore, tmp_path: Path) -> None:
    first = await run(ada, INCIDENTS, tmp_path)
    before = await head(store)
    second = await run(ada, INCIDENTS, tmp_path)
    assert await head(store) == before
    assert second.counts.already_there == len(ROWS) - 1 == second.counts.rows
    assert second.project_id == first.project_id


async def test_a_row_that_says_nobody_unassigns_and_once(ada: Person, store: EventStore, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(MAPPING.read_text() + 'nobody = ["", "-"]\n')
    away, back = [*ROWS[1]], [*ROWS[1]]
    away[1], away[10:] = "2013-01-01T00:00:00+01:00", ["", "-"]
    back[1] = "2013-01-02T00:00:00+01:00"
    for rows, assigned in (([*ROWS[:2], away], False), ([*ROWS[:2], away, back], True)):
        file = write(tmp_path / "a.csv", rows)
        report = await run(ada, file, tmp_path, mapping=mapping)
        assert (report.counts.rejected, report.counts.people) == (0, 0 if assigned else 1)
        (task_id,) = await streams(store, "task")
        assert ((await store.state_cache.load(TASK, task_id)).state.assignee_id is not None) == assigned
        store.state_cache.invalidate_through(task_id, 1_000)
        before = await head(store)
        assert (await run(ada, file, tmp_path, mapping=mapping)).counts.applied == 0
        assert await head(store) == before


async def test_another_admin_meets_the_same_receipts(
    ada: Person, person: MakePerson, store: EventStore, tmp_path: Path
) -> None:
    first = await run(ada, INCIDENTS, tmp_path)
    other = await person("Other")
    await ada.adds(project_of(first), other, "admin")
    before = await head(store)
    second = await run(other, INCIDENTS, tmp_path, project=str(first.project_id))
    assert second.who.id == other.me.id
    assert second.counts.already_there == len(ROWS) - 1
    assert await head(store) == before


async def test_a_former_admin_is_refused_also_what_was_theirs(
    ada: Person, person: MakePerson, store: EventStore, tmp_path: Path
) -> None:
    first = await run(ada, write(tmp_path / "one.csv", ROWS[:2]), tmp_path)
    other = await person("Other")
    project = project_of(first)
    await ada.adds(project, other, "admin")
    await run(other, INCIDENTS, tmp_path, project=str(project))
    await ada.client.projects.set_member(project, other.me.id, "member")
    before = await head(store)
    with pytest.raises(Forbidden):
        await run(other, INCIDENTS, tmp_path, project=str(project))
    await ada.client.projects.remove_member(project, other.me.id)
    with pytest.raises(NotFound):
        await run(other, INCIDENTS, tmp_path, project=str(project))
    assert await head(store) == before + 1, "the removal"


async def test_who_is_no_admin_is_refused(ada: Person, person: MakePerson, store: EventStore, tmp_path: Path) -> None:
    first = await run(ada, INCIDENTS, tmp_path)
    member, viewer, stranger = await person("Member"), await person("Viewer"), await person("Stranger")
    await ada.adds(project_of(first), member, "member")
    await ada.adds(project_of(first), viewer, "viewer")
    before = await head(store)
    for refused in (member, viewer):
        with pytest.raises(Forbidden):
            await run(refused, INCIDENTS, tmp_path, project=str(first.project_id))
    with pytest.raises(NotFound, match="no project"):
        await run(stranger, INCIDENTS, tmp_path, project=str(first.project_id))
    assert await head(store) == before


async def test_somebody_else_who_names_no_project_has_one_of_their_own(
    ada: Person, person: MakePerson, store: EventStore, tmp_path: Path
) -> None:
    first = await run(ada, write(tmp_path / "one.csv", ROWS[:20]), tmp_path)
    other = await person("Other")
    second = await run(other, tmp_path / "one.csv", tmp_path)
    assert second.project_id != first.project_id
    assert second.counts == first.counts
    assert len(await imported_people(store)) == 2 * first.counts.people


async def test_two_at_once_share_the_work(ada: Person, store: EventStore, tmp_path: Path) -> None:
    whole = await run(ada, write(tmp_path / "one.csv", ROWS[:2]), tmp_path)
    one, other = await asyncio.gather(
        run(ada, INCIDENTS, tmp_path, rejects=tmp_path / "a"),
        run(ada, INCIDENTS, tmp_path, rejects=tmp_path / "b"),
    )
    assert await stored(store) == TOLD
    assert await imported_people(store) == sorted(people_in(ROWS))
    done = whole.counts.applied + one.counts.applied + other.counts.applied
    assert done == sum(len(steps) for steps in TOLD.values())
    assert one.counts.rejected == other.counts.rejected == 0


async def test_a_longer_export_adds_what_is_new(ada: Person, store: EventStore, tmp_path: Path) -> None:
    await run(ada, write(tmp_path / "first.csv", ROWS[:200]), tmp_path)
    report = await run(ada, INCIDENTS, tmp_path)
    assert report.counts.already_there == 199
    assert await stored(store) == TOLD


async def test_an_export_that_begins_later_goes_on_with_the_same_tasks(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    """Also with its columns in another order, and one more of them."""
    await run(ada, write(tmp_path / "first.csv", ROWS[:200]), tmp_path)
    later = [[*reversed(row), str(number)] for number, row in enumerate(ROWS) if number == 0 or number > 150]
    report = await run(ada, write(tmp_path / "later.csv", later), tmp_path)
    assert (report.counts.already_there, report.counts.rejected) == (49, 0)
    assert await stored(store) == TOLD


async def test_rows_as_json_are_the_same_commands(ada: Person, store: EventStore, tmp_path: Path) -> None:
    lines = [json.dumps(dict(zip(ROWS[0], row, strict=True)), ensure_ascii=False) for row in ROWS[1:]]
    half, whole = tmp_path / "half.jsonl", tmp_path / "whole.jsonl.gz"
    half.write_text("\n\n".join(lines[:150]))
    whole.write_bytes(gzip.compress("\n".join((*lines, '{"SR Number": {}}')).encode()))
    assert (await run(ada, half, tmp_path)).counts.already_there == 0
    report = await run(ada, whole, tmp_path)
    assert (report.counts.already_there, report.counts.rejected) == (150, 1)
    assert await stored(store) == TOLD
    assert report.rejects.read_text().startswith("line,reason,SR Number,")
    assert (await run(ada, INCIDENTS, tmp_path)).counts.already_there == len(ROWS) - 1


async def test_rows_that_say_the_same_are_commands_of_their_own(ada: Person, store: EventStore, tmp_path: Path) -> None:
    row = ROWS[1]
    elsewhere = [*row[:6], "V99", *row[7:]]
    rows = [ROWS[0], row, row, elsewhere, row, elsewhere]
    report = await run(ada, write(tmp_path / "same.csv", rows), tmp_path)
    assert (report.counts.applied, report.counts.unchanged) == (4, 1)
    assert await stored(store) == history_of(rows)
    again = await run(ada, tmp_path / "same.csv", tmp_path)
    assert again.counts.already_there == 5


async def test_a_killed_import_goes_on_where_it_stopped(ada: Person, store: EventStore, tmp_path: Path) -> None:
    rows = [ROWS[0]] + [[f"{copy}-{row[0]}", *row[1:]] for copy in range(8) for row in ROWS[1:]]
    file = write(tmp_path / "many.csv", rows)
    killed, before = 0, await head(store)
    for stop_at in (200, 700, 1500):
        with subprocess.Popen(
            [sys.executable, "-m", "taskflow", "import", str(file), "--mapping", str(MAPPING), "--at-once", "1"],
            env=ada.env,
            stdout=subprocess.DEVNULL,
        ) as process:
            async with asyncio.timeout(BOUND_S):
                while await head(store) - before < stop_at and process.poll() is None:
                    await asyncio.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        killed += process.returncode == -signal.SIGKILL
    assert killed == 3
    partly = await stored(store)
    assert sum(len(steps) for steps in partly.values()) < 8 * sum(len(steps) for steps in TOLD.values())
    report = await run(ada, file, tmp_path)
    assert report.counts.already_there > 0
    assert await stored(store) == history_of(rows)
    assert await imported_people(store) == sorted(people_in(ROWS))
    last = await run(ada, file, tmp_path)
    assert last.counts.already_there == len(rows) - 1


async def test_an_interrupted_import_says_so(ada: Person, store: EventStore, tmp_path: Path) -> None:
    rows = [ROWS[0]] + [[f"{copy}-{row[0]}", *row[1:]] for copy in range(8) for row in ROWS[1:]]
    file = write(tmp_path / "many.csv", rows)
    before = await head(store)
    with subprocess.Popen(
        [sys.executable, "-m", "taskflow", "import", str(file), "--mapping", str(MAPPING), "--at-once", "1"],
        env=ada.env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        async with asyncio.timeout(BOUND_S):
            while await head(store) - before < 300:
                await asyncio.sleep(0.002)
        process.terminate()
        told, _ = await asyncio.to_thread(process.communicate)
    assert process.returncode == 130
    assert "interrupted: run it again, and it goes on where it stopped" in told
    await run(ada, file, tmp_path)
    assert await stored(store) == history_of(rows)
