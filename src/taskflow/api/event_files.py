"""Events as files: one line per event, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

import msgspec

from taskflow.api.envelopes import Envelope
from taskflow.text.csv_escaping import escape_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
COLUMNS: Final = Envelope.__struct_fields__
_ENCODER: Final = msgspec.json.Encoder()


def ndjson(events: Sequence[Envelope]) -> bytes:
    return _ENCODER.encode_lines(events)


def csv_header() -> bytes:
    return ",".join(COLUMNS).encode() + b"\r\n"


def csv_lines(events: Sequence[Envelope]) -> bytes:
    """Events as CSV (RFC 4180): one column per field of the envelope, `data` as JSON, `null` as an empty cell. Cells
    that a spreadsheet would read as formulas are escaped."""
    out = io.StringIO()
    writer = csv.writer(out)
    for event in events:
        writer.writerow([_cell(getattr(event, column)) for column in COLUMNS])
    return out.getvalue().encode()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case msgspec.Raw():
            # In JSON, semicolons occur only in strings, where this escape means the same and does not split the row.
            return escape_cell(bytes(value).replace(b";", rb"\u003b").decode())
        case _:
            return escape_cell(str(value))
