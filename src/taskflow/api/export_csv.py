"""Exported tasks as CSV: RFC 4180, a column a field, what is no plain value as JSON in its cell. Pure."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import msgspec
from msgspec import Raw

from taskflow.cells import guarded

CSV: Final = "text/csv"
COLUMNS: Final = (
    *("id", "external_id", "title", "description", "status", "status_category", "priority", "due_at", "labels"),
    *("assignee_id", "assignee_name", "parent_id", "rank", "recurrence", "created_by", "created_at", "updated_at"),
    *("started_at", "completed_at", "checklist", "relations", "comments"),
)


def header() -> bytes:
    return _row(COLUMNS)


def line(task: Raw) -> bytes:
    """The row of a task that is given as its JSON."""
    fields: dict[str, Any] = msgspec.json.decode(task)
    assignee = fields["assignee"] or {"id": None, "name": None}
    fields |= {"assignee_id": assignee["id"], "assignee_name": assignee["name"]}
    return _row([guarded(_text(fields[column])) for column in COLUMNS])


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()


def _row(cells: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
