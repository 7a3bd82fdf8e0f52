"""Times are truncated at the microsecond, wherever one is read: the last nanosecond of a day is of that day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.api.bodies import decode
from taskflow.api.export_csv import header, line, project_line
from taskflow.commands.task import CreateTask, EditTask
from taskflow.dates.times import parse_time, truncate
from taskflow.dates.timestamps import timestamp
from taskflow.errors import Malformed
from taskflow.importer.exported import read_export
from taskflow.importer.mapping import Time
from taskflow.importer.rows import _time_parser
from taskflow.importer.todoist import read_backup
from taskflow.query.query_params import Parameters
from taskflow.streams.project import DEFAULT_WORKFLOW

LAST = datetime(2031, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
FINE = "2031-12-31T23:59:59.999999999Z"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (FINE, LAST),
        ("2031-12-31T23:59:59.9999995Z", LAST),
        ("2031-12-31T23:59:59.99999999999999999999999999Z", LAST),
        ("2031-12-31t23:59:59.9999999z", LAST),
        ("2032-01-01T01:59:59.9999999+02:00", LAST),
        ("2031-12-31T18:59:59.9999999-05:00", LAST),
        ("2031-12-31T23:59:59.9999999-00:00", LAST),
        ("2031-12-31T23:59:59.999999Z", LAST),
        ("2031-12-31T23:59:59.0000009Z", LAST.replace(microsecond=0)),
        ("2031-12-31T23:59:59.1Z", LAST.replace(microsecond=100_000)),
        ("9999-12-31T23:59:59.9999999Z", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00.0000009Z", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_what_is_finer_than_a_microsecond_is_cut_off(text: str, at: datetime) -> None:
    assert parse_time(text) == at
    assert decode({"title": "T", "due_at": text}, CreateTask).due_at == at
    assert decode({"due_at": text}, EditTask).due_at == at
    asked = Parameters.given({"at": [text]})
    assert asked.time("at") == at
    asked.done()


@pytest.mark.parametrize(
    "text",
    [
        "2031-12-31T23:59:60Z",
        "2031-12-31T24:00:00Z",
        "0000-12-31T23:59:59Z",
        "2031-12-31T23:59:59.9999999",
        "2031-12-31T23:59:59.Z",
        "2031-12-31T23:59:59.9999999xZ",
        "10000-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_stays_none(text: str) -> None:
    with pytest.raises(Malformed):
        decode({"title": "T", "due_at": text}, CreateTask)
    asked = Parameters.given({"at": [text]})
    assert asked.time("at") is None
    with pytest.raises(Malformed):
        asked.done()


def test_a_text_that_looks_like_a_time_is_left_as_it_is() -> None:
    assert decode({"title": FINE, "description": FINE}, CreateTask) == CreateTask(title=FINE, description=FINE)
    assert truncate("12:00:00.1234567") == "12:00:00.123456"


TASK: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-00000000000a", "title": FINE, "description": "", "status": "todo",
    "status_category": "todo", "priority": "low", "due_at": FINE, "labels": [], "assignee": None, "parent_id": None,
    "rank": "m", "created_by": None, "created_at": FINE, "updated_at": FINE, "started_at": None, "completed_at": None,
    "comments": [
        {"id": "01900000-0000-7000-8000-00000000000b", "author": None, "body": FINE, "created_at": FINE,
         "edited_at": None},
    ],
}  # fmt: skip
WHOLE = {
    "format": "taskflow", "version": 1, "members": [], "tasks": [TASK],
    "project": {
        "id": "01900000-0000-7000-8000-00000000000c", "name": "P", "description": "", "workflow": DEFAULT_WORKFLOW,
        "labels": [], "created_at": FINE,
    },
}  # fmt: skip


def test_an_exported_project_that_somebody_edited(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(msgspec.json.encode(WHOLE))
    (task,) = read_export(path).tasks
    assert (task.title, task.due_at, task.created_at, task.updated_at) == (FINE, LAST, LAST, LAST)
    assert (task.comments[0].body, task.comments[0].created_at) == (FINE, LAST)


def test_and_its_csv(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    row = line(msgspec.Raw(msgspec.json.encode(TASK | {"external_id": None, "checklist": [], "relations": [],
                                                      "recurrence": None, "due_on": None, "time_zone": None, "series": None})), None)  # fmt: skip
    path.write_bytes(
        header() + project_line(msgspec.json.encode({k: v for k, v in WHOLE.items() if k != "tasks"})) + row
    )
    (task,) = read_export(path).tasks
    assert (task.title, task.due_at, task.comments[0].created_at) == (FINE, LAST, LAST)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (Time(column="T"), FINE),
        (Time(column="T", zone="Europe/Berlin"), "2032-01-01T00:59:59.9999999"),
        (Time(column="T", format="%d.%m.%Y %H:%M:%S.%f", zone="UTC"), "31.12.2031 23:59:59.9999999"),
        (Time(column="T", format="%d.%m.%Y %H:%M:%S,%f%z"), "31.12.2031 23:59:59,9999999+0000"),
    ],
)
def test_a_row_of_another_systems_log(time: Time, text: str) -> None:
    assert _time_parser(time)(text) == LAST


def test_a_todoist_backup(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    due = {"date": FINE}
    item = {"id": 1, "content": FINE, "due": due, "added_at": "2021-12-31T23:59:59.999999999Z"}
    note = {"item_id": 1, "content": "N", "posted_at": "2021-12-31T23:59:59.999999999Z"}
    path.write_bytes(msgspec.json.encode({"items": [item], "notes": [note]}))
    (entry,) = read_backup(path).entries
    assert (entry.title, entry.due) == (FINE, LAST)
    assert entry.created_at == entry.notes[0].at == LAST.replace(year=2021)


@given(st.datetimes(timezones=st.just(UTC)), st.booleans())
def test_a_timestamp_has_six_fractional_digits(at: datetime, whole: bool) -> None:
    moment = at.replace(microsecond=0) if whole else at
    assert timestamp(moment) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
