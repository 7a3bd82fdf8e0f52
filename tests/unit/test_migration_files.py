"""Migrations as files: steps as they are written, and functions that code calls by a name with a version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import taskflow
from taskflow.store.first_schema import ADOPTION, TABLES
from taskflow.store.migration_files import MIGRATIONS, Step, StepKind, read_migrations

FUNCTION = re.compile(r"^create (?:or replace )?function (\w+)\(", re.MULTILINE)
INDEXED = {"named_project"}
"""Built into an index, so a next version of it is another index."""


def functions() -> set[str]:
    return {name for one in read_migrations() for step in one.steps for name in FUNCTION.findall(step.sql)}


def code() -> str:
    return "\n".join(path.read_text() for path in Path(taskflow.__file__).parent.rglob("*.py"))


def test_the_release_s_migrations_are_read_in_order() -> None:
    migrations = read_migrations()
    assert [one.number for one in migrations] == sorted({one.number for one in migrations})
    assert migrations[0].name == "0011_first_schema"
    assert (MIGRATIONS / ADOPTION).is_file()
    assert (MIGRATIONS / migrations[0].name / TABLES).is_file()


def test_code_calls_stored_functions_of_a_version_that_is_there() -> None:
    text, known = code(), functions()
    called = {name for name in known if re.search(rf"(?<!def )(?<![.\w]){name}\(", text)}
    assert called >= {"append_group_v1", "log_status_v1", "position_before_v1", "add_partition_v1"}
    assert {name for name in called if not re.search(r"_v\d+$", name)} == INDEXED
    # A name of this form that no migration makes would be found by PostgreSQL alone.
    assert set(re.findall(r"\b((?:append|log|position|add)_\w+_v\d+)\(", text)) <= known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_file_without_steps_is_one_transaction(folder: Path) -> None:
    (folder / "0001_one.sql").write_text("select 1;")
    (folder / "notes.sql").write_text("no migration")
    (migration,) = read_migrations(folder)
    assert (migration.number, migration.name) == (1, "0001_one")
    assert migration.steps == (Step("0001_one", StepKind.TRANSACTION, "select 1;"),)


def test_a_folder_is_one_migration_of_its_files_in_order(folder: Path) -> None:
    (folder / "0002_two").mkdir()
    (folder / "0002_two" / "2.sql").write_text("second;")
    (folder / "0002_two" / "1.sql").write_text("first;")
    (folder / "0001_one.sql").write_text("select 1;")
    one, two = read_migrations(folder)
    assert (one.number, two.number) == (1, 2)
    assert [step.sql for step in two.steps] == ["first;\nsecond;"]
    before = two.checksum
    (folder / "0002_two" / "2.sql").write_text("other;")
    assert read_migrations(folder)[1].checksum != before


def test_steps_have_a_name_and_a_way_to_be_applied(folder: Path) -> None:
    (folder / "0001_one.sql").write_text(
        "-- What for.\n\n-- step add (transaction)\na;\n-- a comment\nb;\n\n"
        "-- step fill (batches)\nc;\n-- step find (concurrent index)\nd;\n"
    )
    (migration,) = read_migrations(folder)
    assert migration.steps == (
        Step("add", StepKind.TRANSACTION, "a;\n-- a comment\nb;"),
        Step("fill", StepKind.BATCHES, "c;"),
        Step("find", StepKind.CONCURRENT_INDEX, "d;"),
    )


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"0001_a.sql": "", "0001_b.sql": ""}, "two migrations have one number"),
        ({"0001_a.sql": "select 1;\n-- step b (batches)\nselect 2;"}, "statements before its first step"),
        ({"0001_a.sql": "-- step b (batches)\n-- step b (batches)\n"}, "two steps have one name"),
        ({"0001_a.sql": "-- step b (batch)\nselect 2;"}, "no step is applied as 'batch'"),
    ],
)
def test_what_is_not_of_that_form_is_refused(folder: Path, files: dict[str, str], fault: str) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(ValueError, match=fault):
        read_migrations(folder)
