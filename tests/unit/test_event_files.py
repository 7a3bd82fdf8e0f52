"""A line of a file reads back as the event that it was, and never as something to compute."""

from __future__ import annotations

import csv
import io
import json
from uuid import UUID

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from taskflow.api.envelopes import Envelope
from taskflow.api.event_files import COLUMNS, csv_header, csv_lines, ndjson
from taskflow.text.csv_escaping import unescape_cell

values = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=4)
ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)


def envelope(correlation_id: str | None, data: object) -> Envelope:
    return Envelope(
        position=7,
        event_id=UUID(int=1),
        stream_id=UUID(int=2),
        stream_version=3,
        type="TaskRetitled",
        schema_version=1,
        occurred_at="2026-01-01T00:00:00.000000Z",
        recorded_at="2026-01-01T00:00:00.000000Z",
        actor="system",
        command_id=UUID(int=3),
        correlation_id=correlation_id,
        causation_id=None,
        data=Raw(msgspec.json.encode(data)),
    )


@example([(";=", {})])
@given(st.lists(st.tuples(st.none() | ids, values), max_size=5))
def test_a_csv_reads_back(payloads: list[tuple[str | None, object]]) -> None:
    events = [envelope(correlation_id, data) for correlation_id, data in payloads]
    text = (csv_header() + csv_lines(events)).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert tuple(header) == COLUMNS
    assert len(rows) == len(payloads)
    for row, (correlation_id, data) in zip(rows, payloads, strict=True):
        found = dict(zip(header, row, strict=True))
        assert json.loads(found["data"]) == data
        assert unescape_cell(found["correlation_id"]) == (correlation_id or "")
        assert not [cell for cell in row if cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"}]


@given(st.lists(st.tuples(st.none() | ids, values), max_size=5))
def test_ndjson_is_a_line_an_event(payloads: list[tuple[str | None, object]]) -> None:
    events = [envelope(correlation_id, data) for correlation_id, data in payloads]
    lines = ndjson(events).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["data"] for line in lines] == [data for _, data in payloads]
