"""A Todoist backup read: what its rows become before any of it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.importer.failures import BadFile
from taskflow.importer.todoist import read_backup
from taskflow.importer.todoist_rows import Backup, labels_in

HEADER = "TYPE,CONTENT,DESCRIPTION,PRIORITY,INDENT,AUTHOR,RESPONSIBLE,DATE,DATE_LANG,TIMEZONE,DURATION,DURATION_UNIT"


def read(tmp_path: Path, *lines: str, name: str | None = None, file: str = "Garden [220].csv") -> Backup:
    path = tmp_path / file
    path.write_text("\n".join((HEADER, *lines)))
    return read_backup(path, name)


def of_json(tmp_path: Path, **whole: Any) -> Backup:
    path = tmp_path / "backup"
    path.write_bytes(msgspec.json.encode(whole))
    return read_backup(path)


@pytest.mark.parametrize(
    ("content", "title", "labels"),
    [
        ("Buy milk @shop", "Buy milk", ("shop",)),
        ("@a Buy @b  milk @a", "Buy milk", ("a", "b")),
        ("Write to ann@example.com", "Write to ann@example.com", ()),
        ("@only", "@only", ("only",)),
        ("Two\nlines @ä🌿", "Two\nlines", ("ä🌿",)),
        ("@ alone", "@ alone", ()),
        (f"long @{'x' * 101}", f"long @{'x' * 101}", ()),
    ],
)
def test_labels_are_words_of_the_content(content: str, title: str, labels: tuple[str, ...]) -> None:
    assert labels_in(content) == (title, labels)


@given(st.text(min_size=1).filter(str.strip))
def test_no_content_loses_its_title(content: str) -> None:
    title, _ = labels_in(content)
    assert title


@pytest.mark.parametrize(
    ("file", "name", "called"),
    [("Garden [220].csv", None, "Garden"), ("Garden.CSV", None, "Garden"), ("Garden.csv", " My own ", "My own")],
)
def test_a_list_is_called_as_its_file(tmp_path: Path, file: str, name: str | None, called: str) -> None:
    assert read(tmp_path, "task,A,,4,1,,,,,,,", name=name, file=file).name == called


def test_a_name_has_a_bound(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="--name: expected 1 to 200 characters"):
        read(tmp_path, name="x" * 201)


def test_what_has_no_field_of_its_own_is_kept(tmp_path: Path) -> None:
    backup = read(
        tmp_path,
        "task,A,about,4,1,,,jeden Tag,de,Europe/Berlin,30,minute",
        "note,said,,,,,,some day,,,,",
        "task,B,,4,1,,,2031-01-01,en,Mars/Base,,",
    )
    a, b = backup.entries
    assert (a.description, a.due, a.repeat) == ("about\n\nDue: jeden Tag", None, None)
    assert a.source == {"DURATION": "30", "DURATION_UNIT": "minute"}
    assert a.notes[0].body == "said\n\nDate: some day"
    assert (a.zone, b.zone) == ("Europe/Berlin", "UTC")
    assert (str(b.due), b.source) == ("2031-01-01", {"TIMEZONE": "Mars/Base"})
    assert backup.notices == [
        "line 2: the date 'jeden Tag' is not understood: it stands in the description",
        "line 4: no time zone 'Mars/Base': its times are taken as UTC",
    ]


def test_a_row_is_known_by_what_it_says_and_where_it_stands(tmp_path: Path) -> None:
    rows = ["task,A,,4,1,,,,,,,", "task,Same,,4,2,,,,,,,", "task,B,,4,1,,,,,,,", "task,Same,,4,2,,,,,,,"]
    first = {entry.key for entry in read(tmp_path, *rows).entries}
    assert len(first) == 4
    more = [*rows[:2], "task,New,,4,1,,,,,,,", "task,Same,,4,2,,,,,,,", *rows[2:], "task,Same,,4,2,,,,,,,"]
    assert len({entry.key for entry in read(tmp_path, *more).entries} - first) == 3
    assert first <= {entry.key for entry in read(tmp_path, *more).entries}


def test_a_long_section_is_cut_to_a_label_and_told(tmp_path: Path) -> None:
    backup = read(tmp_path, f"section,{'s' * 200},,,,,,,,,,", "task,A,,4,1,,,,,,,")
    assert backup.entries[0].labels == (f"section:{'s' * 92}",)
    assert len(backup.notices) == 1


def test_items_stand_as_todoist_shows_them(tmp_path: Path) -> None:
    sections = [{"id": 2, "name": "Second", "section_order": 2}, {"id": 1, "name": "First", "section_order": 1}]
    items = [
        {"id": "c", "content": "C", "section_id": 2, "child_order": 1},
        {"id": "b2", "content": "B2", "parent_id": "b", "child_order": 2},
        {"id": "b1", "content": "B1", "parent_id": "b", "child_order": 1},
        {"id": "b", "content": "B", "section_id": 1, "child_order": 1},
        {"id": "a", "content": "A", "child_order": 9, "labels": ["x"], "priority": 2},
    ]
    backup = of_json(tmp_path, sections=sections, items=items)
    assert [entry.title for entry in backup.entries] == ["A", "B", "B1", "B2", "C"]
    assert [entry.labels for entry in backup.entries] == [("x",), ("section:First",), (), (), ("section:Second",)]
    assert backup.entries[0].priority == "medium"


def test_tasks_of_several_projects_are_told_apart(tmp_path: Path) -> None:
    projects = [{"id": "1", "name": "Home"}, {"id": "2", "name": "Work"}]
    items = [{"content": "A", "project_id": "2"}, {"content": "B", "project_id": "1"}]
    backup = of_json(tmp_path, projects=projects, tasks=items)
    assert [(entry.title, entry.labels) for entry in backup.entries] == [
        ("B", ("project:Home",)),
        ("A", ("project:Work",)),
    ]
    assert backup.name == "Todoist"


def test_what_repeats_and_is_done_stays_done(tmp_path: Path) -> None:
    due = {"date": "2026-01-01", "string": "every day", "is_recurring": True}
    [entry] = of_json(tmp_path, items=[{"id": "1", "content": "A", "checked": True, "due": due}]).entries
    assert (entry.repeat, entry.description, entry.done) == (None, "Repeated: every day", True)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"content": "zero\0"}, "NUL"),
        ({"content": "A", "id": "x" * 201}, "the id is too long"),
        ({"content": "A", "labels": [""]}, "labels"),
        ({"content": "A", "description": "é" * 50_001}, "the description is too long"),
        ({"content": "A", "due": {"date": "x", "timezone": "\0"}}, "NUL"),
        ({"content": 7}, "Expected `str`"),
        ({"content": "A", "due": "tomorrow"}, "Expected `object | null`"),
    ],
)
def test_an_item_that_cannot_be_taken_says_why(tmp_path: Path, item: dict[str, Any], reason: str) -> None:
    backup = of_json(tmp_path, items=[item, {"content": "Good"}])
    assert [entry.title for entry in backup.entries] == ["Good"]
    [bad] = backup.bad
    assert reason in bad.reason
