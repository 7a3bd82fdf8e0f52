"""A project as CSV (RFC 4180): one row for the project, then one per task; lists and objects are JSON in their cells.

Fields that project and tasks have in common share a column. The last column has the other fields of the project, and is
empty in the rows of tasks.
"""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import msgspec
from msgspec import Raw

from taskflow.text.csv_escaping import escape_cell

CSV: Final = "text/csv"
COLUMNS: Final = (
    *("kind", "id", "external_id", "title", "description", "status", "status_category", "priority", "due_at", "due_on"),
    *("time_zone", "labels"),
    *("assignee_id", "assignee_name", "parent_id", "rank", "recurrence", "series", "created_by", "created_by_name"),
    *("created_at", "updated_at", "started_at", "completed_at", "checklist", "relations", "comments", "project"),
)


def header() -> bytes:
    return _row(COLUMNS)


def project_line(head: bytes) -> bytes:
    """The row of a project, given the JSON of an Export without its tasks and people."""
    about: dict[str, Any] = msgspec.json.decode(head)
    own: dict[str, Any] = about.pop("project")
    fields = {"kind": "project", "title": own.pop("name")}
    fields |= {column: own.pop(column) for column in ("id", "description", "labels", "created_at")}
    return _line(dict.fromkeys(COLUMNS) | fields | {"project": about | own})


def line(task: Raw, author: str | None) -> bytes:
    """The row of a task, given its JSON and the name of its creator."""
    fields: dict[str, Any] = msgspec.json.decode(task)
    assignee = fields["assignee"] or {"id": None, "name": None}
    fields |= {"kind": "task", "created_by_name": author, "project": None}
    fields |= {"assignee_id": assignee["id"], "assignee_name": assignee["name"]}
    return _line(fields)


def _line(fields: dict[str, Any]) -> bytes:
    return _row([escape_cell(_text(fields[column])) for column in COLUMNS])


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
