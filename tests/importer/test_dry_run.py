"""`--dry-run`: it writes nothing at all, and says what an import will then do, to the last count."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from tests.importer.test_exported import ANN, export
from tests.importer.test_exported import write as write_export
from tests.importer.test_process import taskflow
from tests.importer.test_todoist import note, task
from tests.importer.test_todoist import write as write_list
from tests.importer.world import INCIDENTS, MAPPING, OWNER, head, register, rows_of, write

ROWS = rows_of(INCIDENTS)


def counted(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What was, or would be, done: the lines with counts, without the time that it took."""
    return re.findall(r"\d+ (?:applied.*|new tasks.*|rows in|tasks made.*|new people.*)", done.stdout)


async def test_of_a_csv_file_it_says_what_the_import_then_does(
    subprocess_env: dict[str, str], store: EventStore, tmp_path: Path
) -> None:
    late = [*ROWS[1]]
    late[1] = "2009-01-01T00:00:00+01:00"
    file = write(tmp_path / "bad.csv", [*ROWS, ["short"], late])
    arguments = ("import", file, "--mapping", MAPPING)
    dry = taskflow(subprocess_env, *arguments, "--dry-run")
    assert (dry.returncode, dry.stderr) == (1, "")
    assert dry.stdout.startswith("dry run: nothing was written")
    assert f"it would make the account {OWNER}\n" in dry.stdout
    assert f"it would make a project, owned by {OWNER}" in dry.stdout
    assert "rejected: line 394: expected 12 fields, found 1" in dry.stdout
    assert "the time goes back" in dry.stdout
    assert "password" not in dry.stdout
    assert await head(store) == 0
    assert not file.with_name("bad.csv.rejects.csv").exists()
    real = taskflow(subprocess_env, *arguments)
    assert counted(dry) == counted(real)
    assert "349 applied, 0 already there, 43 unchanged, 2 rejected" in real.stdout
    before = await head(store)
    again = taskflow(subprocess_env, *arguments, "--dry-run")
    assert "0 applied, 392 already there, 0 unchanged, 2 rejected" in again.stdout
    assert "would make" not in again.stdout
    assert await head(store) == before
    assert file.with_name("bad.csv.rejects.csv").exists()


async def test_of_half_an_import_it_says_what_is_left(
    subprocess_env: dict[str, str], store: EventStore, tmp_path: Path
) -> None:
    taskflow(subprocess_env, "import", write(tmp_path / "a.csv", ROWS[:200]), "--mapping", MAPPING)
    before = await head(store)
    dry = taskflow(subprocess_env, "import", INCIDENTS, "--mapping", MAPPING, "--dry-run")
    assert await head(store) == before
    assert "199 already there" in dry.stdout
    real = taskflow(subprocess_env, "import", INCIDENTS, "--mapping", MAPPING, "--rejects", tmp_path / "r")
    assert counted(dry) == counted(real)


async def test_of_a_todoist_backup_it_says_what_the_import_then_does(
    subprocess_env: dict[str, str], settings: Settings, store: EventStore, tmp_path: Path
) -> None:
    await register(store, settings, ANN)
    rows = [task("A", RESPONSIBLE="Bo (1)"), note("said"), task("B", 2), task("C", priority="9")]
    file = write_list(tmp_path / "list.csv", *rows, *[task(f"T{indent}", indent) for indent in range(1, 23)])
    arguments = ("import", "--format", "todoist", file, "--as", ANN)
    before = await head(store)
    dry = taskflow(subprocess_env, *arguments, "--dry-run")
    assert dry.returncode == 1
    assert "25 applied, 0 already there, 0 unchanged, 1 rejected" in dry.stdout
    assert f"it would make a project, owned by {ANN}" in dry.stdout
    assert await head(store) == before
    real = taskflow(subprocess_env, *arguments)
    assert counted(dry) == counted(real)
    before = await head(store)
    assert "0 applied, 25 already there" in taskflow(subprocess_env, *arguments, "--dry-run").stdout
    assert await head(store) == before


async def test_of_an_exported_project_it_says_what_the_import_then_does(
    subprocess_env: dict[str, str], settings: Settings, store: EventStore, tmp_path: Path
) -> None:
    await register(store, settings, ANN)
    file = write_export(tmp_path / "export.json", export())
    arguments = ("import", "--format", "taskflow", file, "--as", ANN)
    before = await head(store)
    dry = taskflow(subprocess_env, *arguments, "--dry-run")
    assert dry.stdout.startswith("dry run: nothing was written")
    assert await head(store) == before
    real = taskflow(subprocess_env, *arguments)
    assert counted(dry) == counted(real)
    assert "1 tasks made" in real.stdout


@pytest.mark.parametrize("more", [("--as", "who@example.com"), ("--project", "mine")])
async def test_what_an_import_refuses_it_refuses_too(
    more: tuple[str, str], subprocess_env: dict[str, str], store: EventStore
) -> None:
    done = taskflow(subprocess_env, "import", INCIDENTS, "--mapping", MAPPING, "--dry-run", *more)
    assert (done.returncode, done.stdout) == (1, "")
    assert await head(store) == 0
