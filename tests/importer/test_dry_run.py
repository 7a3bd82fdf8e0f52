"""`--dry-run`: it writes nothing at all, and says what an import will then do, to the last count."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from taskflow.store.eventstore import EventStore
from tests.importer.test_exported import export
from tests.importer.test_exported import write as write_export
from tests.importer.test_todoist import note, task
from tests.importer.test_todoist import write as write_list
from tests.importer.world import INCIDENTS, MAPPING, SINCE, Person, head, rows_of, write

ROWS = rows_of(INCIDENTS)


def counted(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was, or would be, done: the lines with counts, without the time that it took."""
    return re.findall(r"\d+ (?:applied.*|new tasks.*|rows in|tasks made.*|new people.*)", done.stdout)


async def test_of_a_csv_file_it_says_what_the_import_then_does(ada: Person, store: EventStore, tmp_path: Path) -> None:
    late = [*ROWS[1]]
    late[1] = "2009-01-01T00:00:00+01:00"
    file = write(tmp_path / "bad.csv", [*ROWS, ["short"], late])
    arguments = ("import", file, "--mapping", MAPPING)
    before = await head(store)
    dry = ada.types(*arguments, "--dry-run")
    assert (dry.returncode, dry.stderr) == (1, "")
    assert dry.stdout.startswith("dry run: nothing was written")
    assert f"it would make a project, owned by {ada.me.email}" in dry.stdout
    assert "rejected: line 394: expected 12 fields, found 1" in dry.stdout
    assert "the time is before the last change" in dry.stdout
    assert await head(store) == before
    assert not file.with_name("bad.csv.rejects.csv").exists()
    real = ada.types(*arguments)
    assert counted(dry) == counted(real)
    assert "349 applied, 0 already there, 43 unchanged, 2 rejected" in real.stdout
    before = await head(store)
    again = ada.types(*arguments, "--dry-run")
    assert "0 applied, 392 already there, 0 unchanged, 2 rejected" in again.stdout
    assert "would make" not in again.stdout
    assert await head(store) == before
    assert file.with_name("bad.csv.rejects.csv").exists()


async def test_of_half_an_import_it_says_what_is_left(ada: Person, store: EventStore, tmp_path: Path) -> None:
    ada.types("import", write(tmp_path / "a.csv", ROWS[:200]), "--mapping", MAPPING)
    before = await head(store)
    dry = ada.types("import", INCIDENTS, "--mapping", MAPPING, "--dry-run")
    assert await head(store) == before
    assert "199 already there" in dry.stdout
    real = ada.types("import", INCIDENTS, "--mapping", MAPPING, "--rejects", tmp_path / "r")
    assert counted(dry) == counted(real)


async def test_of_a_todoist_backup_it_says_what_the_import_then_does(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    rows = [task("A", RESPONSIBLE="Bo (1)"), note("said"), task("B", 2), task("C", priority="9")]
    file = write_list(tmp_path / "list.csv", *rows, *[task(f"T{indent}", indent) for indent in range(1, 23)])
    arguments = ("import", "--format", "todoist", file)
    before = await head(store)
    dry = ada.types(*arguments, "--dry-run")
    assert dry.returncode == 1
    assert "25 applied, 0 already there, 0 unchanged, 1 rejected" in dry.stdout
    assert f"it would make a project, owned by {ada.me.email}" in dry.stdout
    assert await head(store) == before
    real = ada.types(*arguments)
    assert counted(dry) == counted(real)
    before = await head(store)
    assert "0 applied, 25 already there" in ada.types(*arguments, "--dry-run").stdout
    assert await head(store) == before


async def test_of_an_exported_project_it_says_what_the_import_then_does(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    file = write_export(tmp_path / "export.json", export())
    arguments = ("import", "--format", "taskflow", file)
    before = await head(store)
    dry = ada.types(*arguments, "--dry-run")
    assert dry.stdout.startswith("dry run: nothing was written")
    assert await head(store) == before
    real = ada.types(*arguments)
    assert counted(dry) == counted(real)
    assert "1 tasks made" in real.stdout


@pytest.mark.parametrize("more", [("--project", str(uuid4())), ("--project", "mine")])
async def test_what_an_import_refuses_it_refuses_too(more: tuple[str, str], ada: Person, store: EventStore) -> None:
    before = await head(store)
    done = ada.types("import", INCIDENTS, "--mapping", MAPPING, "--dry-run", *more)
    assert (done.returncode, done.stdout) == (1 if "mine" in more else 3, "")
    assert await head(store) == before


async def test_of_more_rows_of_a_ticket_than_one_batch_holds_it_says_the_same(
    ada: Person, store: EventStore, tmp_path: Path
) -> None:
    """Each row is compared with what those before it, in earlier batches, would have made."""
    rows = [[*ROWS[1]] for _ in range(350)]
    for number, row in enumerate(rows):
        row[1] = f"2013-01-{1 + number // 24:02}T{number % 24:02}:00:00+01:00"
        row[7] = ("Low", "High", "High")[number % 3]
        row[11] = f"Name{number % 7}"
    rows[200][1] = "2012-01-01T00:00:00+01:00"
    file = write(tmp_path / "long.csv", [ROWS[0], *rows, *ROWS[1:]])
    for part in (write(tmp_path / "part.csv", [ROWS[0], *rows[:120]]), file):
        dry = ada.types("import", part, "--mapping", MAPPING, "--dry-run")
        real = ada.types("import", part, "--mapping", MAPPING)
        assert counted(dry) == counted(real)
    assert await head(store) > SINCE.position
