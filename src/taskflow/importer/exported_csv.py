"""An exported project as CSV, read back: a row of the project, and a row a task, each cell as its column's type. Pure.

A spreadsheet may have put the rows and the columns into another order. Whatever is wrong is told by line and column,
the first faults together, and then nothing is taken of the file: an export is imported whole.
"""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.client.answers import Label, Workflow
from taskflow.dates.times import cut_times
from taskflow.importer.contract import Description, Name, Time
from taskflow.importer.exported_file import Export, Member, Person, Project, Task
from taskflow.importer.failures import BadFile
from taskflow.text.csv_escaping import unescape_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULTS_MAX: Final = 20
SHOWN_MAX: Final = 60
"""Characters of a cell in a sentence about it."""
TASK_COLUMNS: Final = {one.name: one.type for one in msgspec.structs.fields(Task) if one.name != "assignee"}
LATER: Final = ("due_on", "time_zone", "series")
"""Columns that exports did not have from the first on."""
COLUMNS: Final = ("kind", *TASK_COLUMNS, "assignee_id", "assignee_name", "created_by_name", "project")
NESTED: Final = frozenset(("labels", "checklist", "relations", "comments"))
"""Lists, as JSON: an empty cell is an empty one."""


class About(Struct, frozen=True):
    """What a project's row says in the column of its own."""

    format: Literal["taskflow"]
    version: Literal[1]
    workflow: Workflow
    members: tuple[Member, ...]
    archived_at: Time | None = None


class Fault(Exception):
    """The message says in which line, and in which column."""


class Row:
    """A record by its columns, without what kept spreadsheets from computing it."""

    def __init__(self, line: int, header: list[str], cells: list[str]) -> None:
        if len(cells) != len(header):
            raise Fault(f"line {line}: expected {len(header)} cells, found {len(cells)}")
        self.line = line
        self._cells = {column: unescape_cell(cell) for column, cell in zip(header, cells, strict=True)}

    def read(self, column: str, kind: Any) -> Any:
        """What is plain is empty where there is none of it."""
        cell = self._cells.get(column, "")
        try:
            if column == "series":
                return msgspec.convert(cut_times(msgspec.json.decode(cell or "null"), kind), kind)
            if column in NESTED or column == "project":
                return msgspec.convert(cut_times(msgspec.json.decode(cell or "[]"), kind), kind)
            return msgspec.convert(None if not cell and NoneType in get_args(kind) else cut_times(cell, kind), kind)
        except (msgspec.DecodeError, RecursionError) as error:
            shown = repr(cell if len(cell) <= SHOWN_MAX else cell[:SHOWN_MAX] + "…")
            raise self.fault(column, f"{error}, found {shown}") from None

    def fault(self, column: str, reason: str) -> Fault:
        return Fault(f"line {self.line}, column {column!r}: {reason}")


class Reading:
    """The rows so far."""

    def __init__(self) -> None:
        self.project: tuple[Project, About] | None = None
        self.tasks: list[Task] = []
        self.lines: dict[UUID, int] = {}
        self.named: dict[UUID, Person] = {}
        """In tasks."""

    def row(self, row: Row) -> None:
        """Raises Fault."""
        kind = row.read("kind", str)
        if kind == "task":
            self._task(row)
        elif kind != "project":
            raise row.fault("kind", f"expected project or task, found {kind[:SHOWN_MAX]!r}")
        elif self.project is not None:
            raise row.fault("kind", "expected one project, found a second one")
        else:
            self.project = _project(row)

    def _task(self, row: Row) -> None:
        values = {name: row.read(name, kind) for name, kind in TASK_COLUMNS.items()}
        task = Task(**values, assignee=_person(row, "assignee_id", "assignee_name"))
        if task.id in self.lines:
            raise row.fault("id", f"two tasks have one id: the other is in line {self.lines[task.id]}")
        creator = _person(row, "created_by", "created_by_name")
        people = (creator, task.assignee, *[comment.author for comment in task.comments])
        self.named |= {one.id: one for one in people if one is not None}
        self.lines[task.id] = row.line
        self.tasks.append(task)


def read_csv(path: Path, data: bytes) -> tuple[Export, dict[UUID, int]]:
    """The export, and the line of each of its tasks. Raises BadFile."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(f"{path}: line {line}: expected UTF-8, found other bytes") from None
    reading = Reading()
    faults: list[str] = []
    try:
        with _cells_up_to(len(text)):
            for line, header, cells in _records(text):
                try:
                    reading.row(Row(line, header, cells))
                except Fault as fault:
                    faults.append(str(fault))
                    if len(faults) == FAULTS_MAX:
                        break
    except Fault as fault:
        faults.append(str(fault))
    if reading.project is None and not faults:
        faults.append("expected a row of the kind project, found none")
    if reading.project is None or faults:
        raise BadFile(f"{path}: " + "\n  ".join(faults))
    project, about = reading.project
    members = {one.id for one in about.members}
    export = Export(
        format=about.format,
        version=about.version,
        project=project,
        members=about.members,
        tasks=tuple(reading.tasks),
        people=tuple(one for one in reading.named.values() if one.id not in members),
    )
    return export, reading.lines


def _records(text: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Each record that is not empty: the line that it begins in, the header, its cells. Raises Fault."""
    records = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(records, [])
        _check(header)
        line = records.line_num + 1
        for cells in records:
            if any(cells):
                yield line, header, cells
            line = records.line_num + 1
    except csv.Error as error:
        raise Fault(f"line {line}: no CSV: {error}") from None


def _check(header: list[str]) -> None:
    faults = [f"{name!r} is missing" for name in COLUMNS if name not in (*header, *LATER)]
    faults += [f"{name!r} is none of them" for name in header if name not in COLUMNS]
    faults += [f"{name!r} is there twice" for name in COLUMNS if header.count(name) > 1]
    if faults:
        found = ", ".join(map(repr, header))[:200] or "nothing"
        raise Fault(
            f"line 1: expected an export of a project: JSON, or CSV with the columns of one; {faults[0]}, found {found}"
        )


def _project(row: Row) -> tuple[Project, About]:
    about = row.read("project", About)
    project = Project(
        id=row.read("id", UUID),
        name=row.read("title", Name),
        description=row.read("description", Description),
        workflow=about.workflow,
        labels=row.read("labels", tuple[Label, ...]),
        created_at=row.read("created_at", Time),
        archived_at=about.archived_at,
    )
    return project, about


def _person(row: Row, id_column: str, name_column: str) -> Person | None:
    person_id = row.read(id_column, UUID | None)
    name = row.read(name_column, Name | None)
    if person_id is None and name is not None:
        raise row.fault(id_column, f"expected the id of {name[:SHOWN_MAX]!r}, found ''")
    return None if person_id is None else Person(person_id, name)


@contextmanager
def _cells_up_to(chars: int) -> Iterator[None]:
    """The reader's own bound is for the whole process, and less than the comments of a task may come to."""
    before = csv.field_size_limit(max(1, chars))
    try:
        yield
    finally:
        csv.field_size_limit(before)
