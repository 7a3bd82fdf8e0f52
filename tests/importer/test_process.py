"""`taskflow import` as it is typed: exit codes, and words that help."""

from __future__ import annotations

import gzip
from pathlib import Path
from uuid import uuid4

import pytest

from taskflow.importer.failures import ImportFailure
from taskflow.store.eventstore import EventStore
from tests.importer.world import INCIDENTS, MAPPING, Person, head, rows_of, run, streams, write

ROWS = rows_of(INCIDENTS)


async def test_it_reports_what_it_did(ada: Person) -> None:
    first = ada.types("import", INCIDENTS, "--mapping", MAPPING)
    assert (first.returncode, first.stderr) == (0, "")
    assert "392 rows in" in first.stdout
    assert "0 already there" in first.stdout
    assert "40 new tasks" in first.stdout
    assert f"imported by {ada.me.email}" in first.stdout
    second = ada.types("import", INCIDENTS, "--mapping", MAPPING)
    assert second.returncode == 0
    assert "0 applied, 392 already there" in second.stdout


async def test_rejected_rows_make_it_exit_with_1(ada: Person, tmp_path: Path) -> None:
    file = write(tmp_path / "bad.csv", [*ROWS, ["short"]])
    done = ada.types("import", file, "--mapping", MAPPING)
    assert done.returncode == 1
    assert "1 rejected" in done.stdout
    assert str(tmp_path / "bad.csv.rejects.csv") in done.stdout
    assert '394,"expected 12 fields, found 1",short' in (tmp_path / "bad.csv.rejects.csv").read_text()


async def test_what_is_wrong_is_said_before_anything_is_written(ada: Person, store: EventStore, tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(MAPPING.read_text().replace('column = "Product"', 'column = "Goods"'))
    empty = tmp_path / "empty.csv"
    empty.touch()
    cases: list[tuple[tuple[object, ...], str]] = [
        ((INCIDENTS, "--mapping", tmp_path / "none.toml"), "No such file or directory"),
        ((tmp_path / "none.csv", "--mapping", MAPPING), "No such file or directory"),
        ((INCIDENTS, "--mapping", mapping), "the file has no column 'Goods'"),
        ((empty, "--mapping", MAPPING), "expected a header"),
        ((INCIDENTS, "--mapping", MAPPING, "--project", "mine"), "expected a project's id, a UUID, found 'mine'"),
        ((INCIDENTS, "--mapping", MAPPING, "--rejects", INCIDENTS), "expected a file of its own"),
        ((INCIDENTS, "--mapping", MAPPING, "--rejects", tmp_path / "a" / "b"), "no such folder"),
    ]
    before = await head(store)
    for arguments, expected in cases:
        done = ada.types("import", *arguments)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert done.stderr.startswith("taskflow: "), done.stderr
        assert expected in done.stderr
    missing = ada.types("import", INCIDENTS, "--mapping", MAPPING, "--project", uuid4())
    assert (missing.returncode, missing.stdout) == (3, "")
    assert "no project" in missing.stderr
    assert await head(store) == before


async def test_a_truncated_gzip_is_said_after_what_could_be_read(ada: Person, tmp_path: Path) -> None:
    file = tmp_path / "cut.csv.gz"
    file.write_bytes(gzip.compress(INCIDENTS.read_bytes())[:-100])
    done = ada.types("import", file, "--mapping", MAPPING)
    assert done.returncode == 1
    assert "cannot be read past line" in done.stderr
    whole = await run(ada, INCIDENTS, tmp_path)
    assert whole.counts.already_there > 0
    assert whole.counts.rows == len(ROWS) - 1


async def test_nobody_imports_who_is_not_signed_in(ada: Person, store: EventStore, tmp_path: Path) -> None:
    before = await head(store)
    for token, expected in (("", "sign in with `taskflow login`"), ("nonsense", "does not accept the token")):
        ada.token = token
        done = ada.types("import", INCIDENTS, "--mapping", MAPPING)
        assert (done.returncode, done.stdout) == (4, "")
        assert expected in done.stderr
    assert await head(store) == before


class TestIntoAnExistingProject:
    async def test_it_needs_the_mapped_statuses(self, ada: Person, store: EventStore, tmp_path: Path) -> None:
        project = (await ada.client.projects.create("mine")).id
        before = await head(store)
        with pytest.raises(ImportFailure, match=r"lacks 'Queued/Awaiting Assignment', .* it has 'todo', 'in_progress'"):
            await run(ada, INCIDENTS, tmp_path, project=str(project))
        assert await head(store) == before

    async def test_it_takes_the_rows_of_another_source(self, ada: Person, store: EventStore, tmp_path: Path) -> None:
        first = await run(ada, write(tmp_path / "a.csv", ROWS[:100]), tmp_path)
        again = await run(ada, INCIDENTS, tmp_path, project=str(first.project_id))
        assert again.project_id == first.project_id
        assert again.counts.already_there == 99
        assert len(await streams(store, "task")) == 40

    async def test_an_archived_one_takes_none(self, ada: Person, store: EventStore, tmp_path: Path) -> None:
        first = await run(ada, write(tmp_path / "a.csv", ROWS[:100]), tmp_path)
        assert first.project_id is not None
        await ada.client.projects.archive(first.project_id)
        with pytest.raises(ImportFailure, match="is archived; unarchive it first"):
            await run(ada, INCIDENTS, tmp_path)
