"""From a file's bytes to rows: what is read, what is refused, and that a file is never in memory whole."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.importer import mapping as mapping_module
from taskflow.importer.failures import BadFile, BadMapping
from taskflow.importer.file import LINE_CHARS_MAX, Source
from taskflow.importer.mapping import read_mapping
from taskflow.importer.rows import Bad, Row, RowFault, reader

EXAMPLES = Path(mapping_module.__file__).parent / "examples"
MAPPING = read_mapping(EXAMPLES / "incidents.toml")
HEADER = (EXAMPLES / "incidents.csv").read_text().split("\n")[0].split(",")
FIELDS = [
    "1-1",
    "2012-05-01T10:00:00+01:00",
    "Queued",
    "Awaiting Assignment",
    "",
    "O",
    "V3",
    "Low",
    "P1",
    "fr",
    "France",
    "Al",
]


def rows(path: Path, data: bytes) -> list[Row | Bad]:
    path.write_bytes(data)
    with Source(path, MAPPING) as source:
        return list(source.rows())


def lines(*records: Sequence[str], end: str = "\n") -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(records)
    return text.getvalue().encode()


def test_a_row_is_what_the_mapping_says() -> None:
    row = reader(MAPPING, HEADER)(2, FIELDS)
    assert (row.external_id, row.title, row.status) == ("1-1", "Incident 1-1", "Queued/Awaiting Assignment")
    assert row.at.isoformat() == "2012-05-01T09:00:00+00:00"
    assert (row.priority, row.labels) == ("low", ("team:V3", "product:P1"))
    assert (row.person, row.person_name) == (("Al", "France"), "Al (France)")
    assert row.source == {"Involved Org line 3": "O", "Country": "fr"}


def test_cells_that_were_guarded_are_as_they_were() -> None:
    fields = ["'=1+1", *FIELDS[1:5], "'O'", *FIELDS[6:11], "''Al"]
    row = reader(replace(MAPPING, guarded=True), HEADER)(2, fields)
    assert (row.external_id, row.person_name) == ("=1+1", "'Al (France)")
    assert row.source is not None
    assert row.source["Involved Org line 3"] == "'O'"
    assert reader(MAPPING, HEADER)(2, fields).external_id == "'=1+1"


def test_empty_columns_say_nothing() -> None:
    fields = [*FIELDS[:4], "", "", "", "", "", "", " ", ""]
    row = reader(MAPPING, HEADER)(2, fields)
    assert (row.priority, row.labels, row.person, row.source) == (None, (), None, None)


def test_whoever_is_called_nobody_is() -> None:
    assert MAPPING.assignee is not None
    read = reader(replace(MAPPING, assignee=replace(MAPPING.assignee, nobody=("", "-", "No/One"))), HEADER)
    for first, country, nobody in (
        ("", "", True), (" - ", "", True), ("", "-", True), ("No", "One", True), ("No", "", False), ("-", "fr", False),
    ):  # fmt: skip
        row = read(2, [*FIELDS[:10], country, first])
        assert (row.nobody, row.person is None, row.person_name == "") == (nobody, nobody, nobody), (first, country)
    assert not reader(MAPPING, HEADER)(2, [*FIELDS[:10], "", ""]).nobody


@pytest.mark.parametrize("data", [lines(HEADER, FIELDS), lines(HEADER, FIELDS, end="\r\n"), lines(HEADER, FIELDS)[:-1]])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_marks_and_compression_make_no_difference(
    tmp_path: Path, data: bytes, mark: bytes, packed: bool
) -> None:
    data = mark + data
    (row,) = rows(tmp_path / "f", gzip.compress(data) if packed else data)
    assert row == replace(reader(MAPPING, HEADER)(2, FIELDS))


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    folded = [*FIELDS[:5], "a\nb\nc", *FIELDS[6:]]
    found = rows(tmp_path / "f", lines(HEADER, folded, ["bad"]) + b"\n\n" + lines(FIELDS))
    assert [(type(row).__name__, row.line) for row in found] == [("Row", 2), ("Bad", 5), ("Row", 8)]


def test_what_a_row_says_is_the_same_whatever_stands_beside_it() -> None:
    plain = reader(MAPPING, HEADER)(2, FIELDS)
    other = reader(MAPPING, ["more", *reversed(HEADER)])(9, ["x", *reversed(FIELDS)])
    assert plain.content == other.content
    assert plain.content != reader(MAPPING, HEADER)(2, [*FIELDS[:9], "de", *FIELDS[10:]]).content


def test_an_overlong_line_costs_its_own_row_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.write(lines(HEADER))
        for _ in range(40):
            file.write(b"x," * (LINE_CHARS_MAX // 2))
        file.write(b"\n" + lines(FIELDS))
    tracemalloc.start()
    with Source(path, MAPPING) as source:
        reasons = [row.reason if isinstance(row, Bad) else row.external_id for row in source.rows()]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reasons == [f"expected at most {LINE_CHARS_MAX} characters a line", "1-1"]
    # A list of half a million fields is the worst that one line can become.
    assert peak < 35 * LINE_CHARS_MAX


def test_a_quote_that_is_never_closed_costs_a_bounded_part(tmp_path: Path) -> None:
    many = lines(*[FIELDS] * 5_000)
    found = rows(tmp_path / "f", lines(HEADER) + b'"1-1,' + many)
    bad = [row for row in found if isinstance(row, Bad)]
    assert bad[0].line == 2
    assert "field larger than field limit" in bad[0].reason
    assert bad[0].fields[0].startswith('"1-1,')
    assert sum(isinstance(row, Row) for row in found) > 3_000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HEADER[:-1], "the file has no column 'Owner First Name'"),
        ([*HEADER, "Product"], "more than one column 'Product'"),
        (["a;b"], "its columns are 'a;b'"),
    ],
)
def test_a_header_without_the_mapped_columns_is_told(tmp_path: Path, header: list[str], expected: str) -> None:
    with pytest.raises(BadMapping, match=expected):
        rows(tmp_path / "f", lines(header))


@pytest.mark.parametrize("data", [b"", b"\n", gzip.compress(b"")])
def test_a_file_without_a_header_is_told(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadFile, match="expected a header"):
        rows(tmp_path / "f", data)


@pytest.mark.parametrize("cut", [0, 1, 2, 50])
def test_a_damaged_gzip_is_told(tmp_path: Path, cut: int) -> None:
    packed = bytearray(gzip.compress(lines(HEADER, *[FIELDS] * 1000), mtime=0))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(BadFile):
        rows(tmp_path / "f", bytes(packed[: len(packed) - cut]))


@given(st.lists(st.text(max_size=300), min_size=0, max_size=14))
def test_whatever_a_record_holds_it_is_a_row_or_a_reason(fields: list[str]) -> None:
    try:
        row = reader(MAPPING, HEADER)(2, fields)
    except RowFault as fault:
        assert str(fault)
    else:
        assert row.external_id


@given(st.binary(max_size=2_000))
def test_whatever_a_file_holds_it_is_read_to_its_end(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("f") / "f"
    for row in rows(path, lines(HEADER) + data):
        assert row.line >= 2
