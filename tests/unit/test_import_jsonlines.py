"""Rows as JSON, an object a line: the same rows as in CSV, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from tests.unit.test_import_rows import EXAMPLES, FIELDS, HEADER, MAPPING, lines

from taskflow.importer.failures import BadFile
from taskflow.importer.file import LINE_CHARS_MAX, Source
from taskflow.importer.rows import Bad, Row

OBJECT = dict(zip(HEADER, FIELDS, strict=True))


def rows(path: Path, data: bytes) -> list[Row | Bad]:
    path.write_bytes(data)
    with Source(path, MAPPING) as source:
        return list(source.rows())


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.jsonl.gz", "rows", "rows.csv"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_it_is_told_by_its_name_or_its_first_character(tmp_path: Path, name: str, mark: bytes, packed: bool) -> None:
    data = mark + json.dumps(OBJECT).encode() + b"\r\n\r\n" + json.dumps(OBJECT).encode()
    first, second = rows(tmp_path / name, gzip.compress(data) if packed else data)
    (plain,) = rows(tmp_path / "f.csv", lines(HEADER, FIELDS))
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert isinstance(plain, Row)
    assert (first.line, second.line) == (1, 3)
    # What it says is the same, so it is the same command.
    assert first.content == second.content == plain.content
    assert (first.title, first.at, first.labels, first.source) == (plain.title, plain.at, plain.labels, plain.source)


def test_the_whole_example_is_the_same_in_either_form(tmp_path: Path) -> None:
    records = list(csv.reader(io.StringIO((EXAMPLES / "incidents.csv").read_text(), newline="")))
    text = "\n".join(
        json.dumps(dict(zip(records[0], record, strict=True)), ensure_ascii=False) for record in records[1:]
    )
    with Source(EXAMPLES / "incidents.csv", MAPPING) as source:
        plain = [row.content for row in source.rows() if isinstance(row, Row)]
    assert [row.content for row in rows(tmp_path / "f.jsonl", text.encode()) if isinstance(row, Row)] == plain


def test_numbers_keep_their_digits_and_null_is_empty(tmp_path: Path) -> None:
    said = json.dumps(OBJECT | {"Product": None, "more": {"nested": [1]}}).encode()
    said = said.replace(b'"1-1"', b"12345678901234567890.10")
    (row,) = rows(tmp_path / "f.jsonl", said)
    assert isinstance(row, Row)
    assert (row.external_id, row.labels) == ("12345678901234567890.10", ("team:V3",))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (json.dumps(OBJECT | {"Product": {"a": 1}}), "key 'Product': expected a text, a number, true, false or null, found an object"),
        (json.dumps(OBJECT | {"Product": [1]}), "found an array"),
        (json.dumps({key: value for key, value in OBJECT.items() if key != "Product"}), "the object has no key 'Product'"),
        (json.dumps(OBJECT)[:-1] + ', "Product": "x"}', "the object has one key twice"),
        (json.dumps(OBJECT | {"Product": float("nan")}), "expected a number, found NaN"),
        (json.dumps(OBJECT | {"Product": "\ud800"}), "expected UTF-8, found other bytes"),
        (json.dumps(OBJECT | {"Product": "\0"}), "found a NUL character"),
        ("[1, 2]", "expected an object, found an array"),
        ("3", "expected an object, found a text or a number"),
        ("null", "expected an object, found true, false or null"),
        ('{"SR Number": ', "no JSON: "),
        ('{"a":' + "[" * 100_000, "no JSON: "),
        ("x" * (LINE_CHARS_MAX + 5), "characters a line"),
    ],
)  # fmt: skip
def test_a_bad_line_costs_itself_alone(tmp_path: Path, line: str, reason: str) -> None:
    good = json.dumps(OBJECT)
    found = rows(tmp_path / "f.jsonl", f"{good}\n{line}\n{good}".encode())
    assert [type(row) for row in found] == [Row, Bad, Row]
    assert isinstance(found[1], Bad)
    assert reason in found[1].reason
    assert (found[1].line, found[2].line) == (2, 3)


def test_an_array_is_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="expected JSON Lines, one object a line; found an array"):
        rows(tmp_path / "f.json", b"[{}]")


def test_a_truncated_gzip_is_said_after_what_could_be_read(tmp_path: Path) -> None:
    data = gzip.compress("\n".join([json.dumps(OBJECT | {"SR Number": str(n)}) for n in range(10_000)]).encode())
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(data[:-1_000])
    with Source(path, MAPPING) as source:
        found = source.rows()
        with pytest.raises(BadFile, match="cannot be read past line"):
            for row in found:
                assert isinstance(row, Row)
