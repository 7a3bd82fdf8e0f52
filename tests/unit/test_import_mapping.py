"""What a mapping must say, and how it is told what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow.importer import mapping
from taskflow.importer.failures import BadMapping
from taskflow.importer.mapping import read_mapping

EXAMPLE = Path(mapping.__file__).parent / "examples" / "incidents.toml"
TEXT = EXAMPLE.read_text()


def test_the_example_is_a_mapping() -> None:
    example = read_mapping(EXAMPLE)
    assert example.project.key == "bpic2013-incidents"
    assert [status.key for status in example.workflow.statuses][:2] == [
        "Queued/Awaiting Assignment",
        "Unmatched/Unmatched",
    ]
    assert len(example.columns) == 12
    assert "doi:10.4121/uuid:500573e6-accc-4b0c-9576-aa5468b10cee" in TEXT


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('external_id = "SR Number"', "", "missing required field `external_id`"),
        ('title = "Incident {SR Number}"', 'titel = "x"', "unknown field `titel`"),
        ('title = "Incident {SR Number}"', 'title = "Incident {SR Number"', "title: expected columns in braces"),
        ('title = "Incident {SR Number}"', 'title = "Incident {}"', "title: expected columns in braces"),
        (
            'category = "cancelled"',
            'category = "lost"',
            "Invalid enum value 'lost' - at `$.status.values[12].category`",
        ),
        ('"Accepted/Assigned"', '"Accepted/Wait"', "status 'Accepted/Wait' is there twice"),
        (
            '"Accepted/Assigned", category',
            '"Assigned", match = ["Accepted/Wait"], category',
            "two statuses match 'Accepted/Wait'",
        ),
        ('Major = "urgent"', 'Major = "huge"', "Invalid enum value 'huge' - at `$.priority.values[...]`"),
        ('prefix = "team:"', 'prefix = ""', "at `$.labels[0].prefix`"),
        (
            'name = "{Owner First Name} ({Owner Country})"',
            'name = "{Product}"',
            "{Product} is not among assignee.columns",
        ),
        ('column = "Change Date+Time"', 'column = "T"\nzone = "Mars/Base"', "no time zone 'Mars/Base'"),
        ("[project]", "[project", "Expected ']'"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in TEXT
    path = tmp_path / "mapping.toml"
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(BadMapping) as raised:
        read_mapping(path)
    assert str(raised.value).startswith(f"mapping {path}:")
    assert expected in str(raised.value)


def test_a_mapping_that_is_not_there_is_told() -> None:
    with pytest.raises(BadMapping, match="No such file"):
        read_mapping(Path("/nowhere/m.toml"))


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadMapping):
        read_mapping(path)
