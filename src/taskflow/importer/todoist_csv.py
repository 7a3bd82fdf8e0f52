"""A Todoist project as CSV: rows of the types task, section and note; a note belongs to the task above it."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Final

from taskflow.importer.failures import BadFile
from taskflow.importer.rows import Bad, RowFault
from taskflow.importer.todoist_dates import due_of, repeat, said_at
from taskflow.importer.todoist_rows import (
    PRIORITIES,
    SECTION,
    SHOWN_MAX,
    Backup,
    Entry,
    Note,
    bounded,
    bounded_note,
    check_text,
    digest,
    labels_in,
)

NEEDED: Final = ("TYPE", "CONTENT", "PRIORITY", "INDENT")
_READ: Final = {
    *NEEDED, "DESCRIPTION", "AUTHOR", "RESPONSIBLE", "DATE", "DATE_LANG", "TIMEZONE", "DEADLINE", "DEADLINE_LANG",
}  # fmt: skip
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")
_ENGLISH: Final = {"", "en"}


def read_csv(path: Path, text: str, name: str) -> Backup:
    """Raises BadFile where the header is not that of a backup."""
    records = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = tuple(column.strip() for column in next(records, ()))
    except csv.Error as error:
        raise BadFile(f"{path}: no CSV: {error}") from None
    named = [column for column in header if column]
    if not set(NEEDED) <= set(named) or len(set(named)) < len(named):
        found = ", ".join(map(repr, header))[:200]
        raise BadFile(
            f"{path}: expected a Todoist backup: JSON, or CSV with the columns {', '.join(NEEDED)} … each once; "
            f"found the columns {found or 'of nothing'}"
        )
    reading = _Reading(Backup(path=path, name=name, header=header))
    while True:
        line = records.line_num + 1
        fields: list[str] = []
        try:
            fields = next(records)
            if any(field.strip() for field in fields):
                reading.row(line, tuple(fields))
        except StopIteration:
            return reading.backup
        except csv.Error as error:
            reading.refuse(line, f"no CSV: {error}", tuple(fields))
        except RowFault as fault:
            reading.refuse(line, str(fault), tuple(fields))


class _Reading:
    def __init__(self, backup: Backup) -> None:
        self.backup = backup
        self._section = ""
        self._above: list[tuple[int, Entry | None]] = []
        """The tasks that the next one may stand below, with their indents; None: one that was refused."""
        self._refused = False
        """Whether the row that a note would belong to was refused."""

    def refuse(self, line: int, reason: str, fields: tuple[str, ...], *, note: bool = False) -> None:
        self._refused = self._refused or not note
        self.backup.bad.append(Bad(line=line, reason=reason, fields=fields))

    def row(self, line: int, fields: tuple[str, ...]) -> None:
        header = self.backup.header
        if len(fields) != len(header):
            raise RowFault(f"expected {len(header)} fields, found {len(fields)}")
        row = dict(zip(header, fields, strict=True))
        kind = row["TYPE"].strip().lower()
        if kind == "task":
            self._task(line, fields, row)
        elif kind == "note":
            try:
                self._note(line, fields, row)
            except RowFault as fault:
                self.refuse(line, str(fault), fields, note=True)
        elif kind == "section":
            self._above, self._section, self._refused = [], "", False
            check_text(*fields)
            self._section = row["CONTENT"].strip()
        elif kind != "meta":
            raise RowFault(f"expected the TYPE task, section or note, found {row['TYPE'][:SHOWN_MAX]!r}")

    def _task(self, line: int, fields: tuple[str, ...], row: dict[str, str]) -> None:
        self._refused = False
        indent = _number(row["INDENT"], 1)
        while self._above and self._above[-1][0] >= (indent or 1):
            self._above.pop()
        parent = next((entry for _, entry in reversed(self._above) if entry is not None), None)
        orphan = bool(self._above) and self._above[-1][1] is None
        self._above.append((indent or 1, None))
        if indent is None:
            raise RowFault(f"expected an INDENT of 1 or more, found {row['INDENT'][:SHOWN_MAX]!r}")
        entry = self._entry(line, fields, row, parent)
        if orphan:
            self.backup.notice(line, "the task above it was refused: it stands one level higher")
        self.backup.hang(entry, parent)
        self._above[-1] = (indent, entry)
        self.backup.entries.append(entry)

    def _entry(self, line: int, fields: tuple[str, ...], row: dict[str, str], parent: Entry | None) -> Entry:
        check_text(*fields)
        number = _number(row["PRIORITY"], len(PRIORITIES))
        if number is None or number > len(PRIORITIES):
            raise RowFault(f"expected a PRIORITY from 1 to {len(PRIORITIES)}, found {row['PRIORITY'][:SHOWN_MAX]!r}")
        title, labels = labels_in(row["CONTENT"])
        if self._section:
            labels = tuple(dict.fromkeys((*labels, self.backup.section_label(line, SECTION, self._section))))
        entry = Entry(
            line=line,
            fields=fields,
            key="",
            said=b"",
            title=title,
            description=row.get("DESCRIPTION", "").strip(),
            priority=PRIORITIES[number - 1],
            labels=labels,
            responsible=self.backup.person(row.get("RESPONSIBLE", "")),
            author=self.backup.person(row.get("AUTHOR", "")),
            source={name: value for name, value in row.items() if name and name not in _READ and value.strip()},
        )
        self._dates(entry, row)
        bounded(entry)
        above = self._section if parent is None else parent.key
        said = [f"{name}={row[name].strip()}" for name in sorted(row) if row[name].strip()]
        entry.key = self.backup.key("task", above, *said)
        entry.said = digest(entry.key)
        return entry

    def _dates(self, entry: Entry, row: dict[str, str]) -> None:
        entry.in_zone(row.get("TIMEZONE", "").strip(), "TIMEZONE", self.backup)
        text = row.get("DATE", "").strip()
        entry.due = due_of(text)
        if text and entry.due is None:
            english = row.get("DATE_LANG", "").strip().lower() in _ENGLISH
            entry.repeat = repeat(text) if english else None
            if entry.repeat is None:
                entry.keep("Due", text, self.backup)
        if deadline := row.get("DEADLINE", "").strip():
            entry.also("Deadline", deadline)

    def _note(self, line: int, fields: tuple[str, ...], row: dict[str, str]) -> None:
        entry = self._above[-1][1] if self._above else None
        if entry is None or self._refused:
            refused = self._refused or self._above
            raise RowFault("the task above it was refused" if refused else "the note has no task above it")
        check_text(*fields)
        date = row.get("DATE", "").strip()
        at = said_at(date)
        kept = f"\n\nDate: {date}" if date and at is None else ""
        body = bounded_note(row["CONTENT"].strip())
        bounded_note(body + kept)
        said = [f"{name}={row[name].strip()}" for name in sorted(row) if row[name].strip()]
        key = self.backup.key("note", entry.key, *said)
        author = self.backup.person(row.get("AUTHOR", ""))
        entry.notes.append(
            Note(line=line, fields=fields, key=key, said=digest(key), body=body + kept, author=author, at=at)
        )


def _number(text: str, default: int) -> int | None:
    """A whole number above 0; None for anything else."""
    text = text.strip()
    if not text:
        return default
    return int(text) if _NUMBER.fullmatch(text) else None
