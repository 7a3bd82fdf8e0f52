"""`taskflow import --format taskflow`, as it is typed: an exported project made again, or refused whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from taskflow.importer.exported_file import Export
from taskflow.store.eventstore import EventStore
from taskflow.streams import PROJECT, TASK
from tests.importer.world import MAPPING, Person, head, streams
from tests.unit.test_export_csv import as_csv

AT, LATER = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
TASK_ID = UUID(int=7)
WORKFLOW = {"statuses": [{"key": "todo", "name": "To do", "category": "todo"}], "transitions": None}
TASK_BODY: dict[str, Any] = {
    "id": TASK_ID, "title": "T", "description": "", "status": "todo", "status_category": "todo", "priority": "low",
    "due_at": None, "labels": ["a"], "assignee": {"id": UUID(int=8), "name": "Bob"}, "parent_id": None, "rank": "m",
    "created_by": UUID(int=8), "created_at": AT, "updated_at": LATER, "started_at": None, "completed_at": None,
}  # fmt: skip


def export(**changes: Any) -> dict[str, Any]:
    project = {
        "id": UUID(int=6), "name": "P", "description": "D", "workflow": WORKFLOW, "archived_at": LATER,
        "labels": [{"name": "a", "colour": "#000000"}], "created_at": AT,
    }  # fmt: skip
    whole: dict[str, Any] = {
        "format": "taskflow",
        "version": 1,
        "project": project,
        "members": [],
        "tasks": [TASK_BODY],
    }
    return whole | changes


def write(path: Path, body: dict[str, Any]) -> Path:
    path.write_bytes(msgspec.json.encode(body))
    return path


async def test_a_project_is_made_again_and_once(ada: Person, store: EventStore, tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", export())
    first = ada.types("import", file, "--format", "taskflow")
    assert (first.returncode, first.stderr) == (0, "")
    assert "1 tasks made, 0 already there, 0 refused" in first.stdout
    assert "1 new people" in first.stdout
    (task_id,) = await streams(store, "task")
    task = (await store.state_cache.load(TASK, task_id)).state
    project = (await store.state_cache.load(PROJECT, task.project_id)).state
    assert (project.name, project.description, project.labels[0].colour) == ("P", "D", "#000000")
    assert project.archived_at is not None
    assert (task.title, task.labels, task.created_at.isoformat()) == ("T", ("a",), "2026-01-01T00:00:00+00:00")
    assert task.created_by == task.assignee_id != UUID(int=8)
    position = await head(store)
    second = ada.types("import", file, "--format", "taskflow")
    assert "0 tasks made, 1 already there, 0 refused" in second.stdout
    assert await head(store) == position
    other = write(tmp_path / "other.json", export(tasks=[TASK_BODY | {"title": "other"}]))
    third = ada.types("import", other, "--format", "taskflow")
    assert third.returncode == 1
    assert "another export of it was imported before" in third.stdout


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tasks": [TASK_BODY, TASK_BODY]}, "two tasks have one id"),
        ({"tasks": [TASK_BODY | {"parent_id": TASK_ID}]}, "stands below itself"),
        ({"tasks": [TASK_BODY | {"updated_at": "2025-01-01T00:00:00Z"}]}, "changed before it was created"),
        ({"tasks": [TASK_BODY | {"title": ""}]}, "title"),
        ({"tasks": [TASK_BODY | {"title": "x" * 501}]}, "title"),
        ({"project": None}, "project"),
    ],
)
async def test_what_cannot_have_been_exported_is_refused_whole(
    ada: Person, store: EventStore, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    before = await head(store)
    file = write(tmp_path / "export.json", export(**changes))
    done = ada.types("import", file, "--format", "taskflow")
    assert done.returncode == 1
    assert reason in done.stderr
    assert await head(store) == before


async def test_a_csv_is_the_same_project_as_its_json(ada: Person, store: EventStore, tmp_path: Path) -> None:
    """Whatever the file is called. The two forms of an export are one import."""
    whole = msgspec.json.decode(msgspec.json.encode(export(people=[{"id": UUID(int=8), "name": "Bob"}])), type=Export)
    file = tmp_path / "project.json"
    file.write_bytes(b"\xef\xbb\xbf" + as_csv(whole))
    arguments = ("--format", "taskflow")
    before = await head(store)
    dry = ada.types("import", file, *arguments, "--dry-run")
    assert (dry.returncode, await head(store)) == (0, before)
    first = ada.types("import", file, *arguments)
    assert (first.returncode, first.stderr) == (0, "")
    assert "1 tasks made, 0 already there, 0 refused" in first.stdout
    assert first.stdout in dry.stdout
    (task_id,) = await streams(store, "task")
    task = (await store.state_cache.load(TASK, task_id)).state
    assert (task.title, task.labels, task.priority) == ("T", ("a",), "low")
    assert task.created_by == task.assignee_id != UUID(int=8)
    position = await head(store)
    for again in (file, write(tmp_path / "export.csv", export())):
        second = ada.types("import", again, *arguments)
        assert "0 tasks made, 1 already there, 0 refused" in second.stdout, second.stderr
        assert await head(store) == position


async def test_a_csv_with_a_fault_is_refused_whole(ada: Person, store: EventStore, tmp_path: Path) -> None:
    whole = msgspec.json.decode(msgspec.json.encode(export()), type=Export)
    file = tmp_path / "export.csv"
    before = await head(store)
    for was, faulty, reason in (
        (b",low,", b",lowest,", "line 3, column 'priority': Invalid enum value 'lowest', found 'lowest'"),
        (b"2026-01-02T00:00:00Z,", b"2026-31-02T00:00:00Z,", "line 3, column 'updated_at'"),
        (b"project,", b"project,,", "line 2: expected 28 cells, found 29"),
        (b"kind,", b"", "line 1: expected an export of a project"),
    ):
        file.write_bytes(as_csv(whole).replace(was, faulty, 1))
        for more in ((), ("--dry-run",)):
            done = ada.types("import", file, "--format", "taskflow", *more)
            assert (done.returncode, done.stdout) == (1, "")
            assert reason in done.stderr
    assert await head(store) == before


async def test_each_format_says_what_it_takes(ada: Person, tmp_path: Path) -> None:
    file = write(tmp_path / "export.json", export())
    mapped = ada.types("import", file, "--format", "taskflow", "--mapping", MAPPING)
    assert "no mapping" in mapped.stderr
    assert "--mapping FILE" in ada.types("import", file).stderr
    missing = ada.types("import", tmp_path / "none.json", "--format", "taskflow")
    assert "No such file" in missing.stderr
