"""What a Todoist backup holds, in whichever shape: tasks in the order of the list, each with what was said about it.

A task of a CSV file has no id there: it is what its row says, where it stands, and the how-manieth it is of those
that say the same there. So a file that has changed has the tasks that it had, and those that are new.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from taskflow.dates.time_zones import NAMES, UTC_NAME
from taskflow.importer.contract import (
    COLUMN_MAX,
    COMMENT_MAX,
    DESCRIPTION_BYTES_MAX,
    EXTERNAL_ID_MAX,
    LABEL_MAX,
    LABELS_MAX,
    NAME_MAX,
    PARENT_DEPTH_MAX,
    TITLE_MAX,
    Priority,
)
from taskflow.importer.rows import Bad, RowFault
from taskflow.importer.todoist_dates import Due, Repeat

PRIORITIES: Final[tuple[Priority, ...]] = ("urgent", "high", "medium", "low")
"""From Todoist's first to its fourth, which is that of whoever gave none."""
SHOWN_MAX: Final = 60
"""Characters of the file's own in a sentence about it."""
SECTION: Final = "section:"
_LABEL: Final = re.compile(r"(?:(?<=\s)|^)@(\S+)")
_NUMBERED: Final = re.compile(r"\s*\(\d+\)$")
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Note(Struct, kw_only=True, eq=False):
    line: int
    fields: tuple[str, ...]
    key: str
    said: bytes
    body: str
    author: str | None
    at: datetime | None = None


class Entry(Struct, kw_only=True, eq=False):
    """A task. `said` tells whether it says what it said."""

    line: int
    fields: tuple[str, ...]
    key: str
    said: bytes
    title: str
    description: str = ""
    priority: Priority = "low"
    labels: tuple[str, ...] = ()
    due: Due | None = None
    repeat: Repeat | None = None
    zone: str | None = None
    """That the file names for it."""
    responsible: str | None = None
    author: str | None = None
    parent: Entry | None = None
    level: int = 1
    created_at: datetime | None = None
    done: bool = False
    done_at: datetime | None = None
    external_id: str | None = None
    source: dict[str, str] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def in_zone(self, name: str, field: str, backup: Backup) -> None:
        """Its zone as the file names it, in that field; one that there is not is told, and kept."""
        if name and name not in NAMES:
            backup.notice(self.line, f"no time zone {name[:SHOWN_MAX]!r}: its times are taken as UTC")
            self.source[field] = name
        self.zone = (name if name in NAMES else UTC_NAME) if name else None

    def keep(self, what: str, text: str, backup: Backup) -> None:
        """As `also`, and told: for a date that nobody here understands."""
        backup.notice(self.line, f"the date {text[:SHOWN_MAX]!r} is not understood: it stands in the description")
        self.also(what, text)

    def also(self, what: str, text: str) -> None:
        """Keeps a text that has no field of its own where people see it."""
        self.description = f"{self.description}\n\n{what}: {text}".lstrip("\n")


class Backup(Struct, kw_only=True, eq=False):
    """A file that was read. `people`: names by the key that tells one from another."""

    path: Path
    name: str
    header: tuple[str, ...]
    entries: list[Entry] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    people: dict[str, str] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)

    def key(self, *parts: str) -> str:
        """One that tells what says the same in the same place apart by its number."""
        said = digest(*parts).hex()
        self.counted[said] += 1
        return f"{said}/{self.counted[said] - 1}"

    def notice(self, line: int, text: str) -> None:
        self.notices.append(f"line {line}: {text}")

    def person(self, text: str) -> str | None:
        """Somebody as a CSV file names them: `Ada Lovelace (12345)`."""
        if not (key := text.strip()):
            return None
        self.people[key] = _NUMBERED.sub("", key) or key
        if len(self.people[key]) > NAME_MAX:
            raise RowFault(f"a person's name is too long: expected at most {NAME_MAX} characters")
        return key

    def hang(self, entry: Entry, parent: Entry | None) -> None:
        """Below its parent, or as deep as tasks nest."""
        deepest = parent
        while deepest is not None and deepest.level >= PARENT_DEPTH_MAX:
            deepest = deepest.parent
        if deepest is not parent:
            self.notice(entry.line, f"stands deeper than {PARENT_DEPTH_MAX} levels: it is on the last of them")
        entry.parent = deepest
        entry.level = 1 if deepest is None else deepest.level + 1

    def section_label(self, line: int, prefix: str, name: str) -> str:
        label = prefix + name
        if len(label) > LABEL_MAX:
            self.notice(line, f"{prefix} a label has at most {LABEL_MAX} characters: {name[:SHOWN_MAX]!r} is cut")
        return label[:LABEL_MAX]


def digest(*parts: str) -> bytes:
    return hashlib.sha256(msgspec.json.encode(parts)).digest()[:16]


def labels_in(content: str) -> tuple[str, tuple[str, ...]]:
    """The title and the labels of a content: `Buy milk @shop`. What is too long for a label stays text."""
    found = [one for one in dict.fromkeys(_LABEL.findall(content)) if len(one) <= LABEL_MAX][: LABELS_MAX - 2]

    def without(match: re.Match[str]) -> str:
        return "" if match[1] in found else match[0]

    title = _LABEL.sub(without, content)
    title = re.sub(r"[ \t]{2,}", " ", title).strip()
    return title or content.strip(), tuple(found)


def known_time(at: datetime | None) -> datetime | None:
    """In UTC; None for one that an id could not be laid out by."""
    if at is None or at.tzinfo is None:
        return None
    at = at.astimezone(UTC)
    return at if at >= _FIRST else None


def check_text(*texts: str) -> None:
    """Raises RowFault for what no store takes."""
    for text in texts:
        if "\0" in text:
            raise RowFault("found a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RowFault("expected UTF-8, found other bytes") from None


def bounded(entry: Entry) -> None:
    """Raises RowFault for a task that is more than one may be."""
    check_text(entry.title, entry.description, *entry.labels, *entry.source.values(), entry.external_id or "")
    if len(entry.external_id or "") > EXTERNAL_ID_MAX:
        raise RowFault(f"the id is too long: expected at most {EXTERNAL_ID_MAX} characters")
    if not entry.title.strip():
        raise RowFault("the content is empty")
    if len(entry.title) > TITLE_MAX:
        raise RowFault(f"the content is too long: expected at most {TITLE_MAX} characters, found {len(entry.title)}")
    if len(entry.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise RowFault(f"the description is too long: expected at most {DESCRIPTION_BYTES_MAX} bytes")
    if len(entry.labels) > LABELS_MAX or any(not 1 <= len(label) <= LABEL_MAX for label in entry.labels):
        raise RowFault(f"expected at most {LABELS_MAX} labels of 1 to {LABEL_MAX} characters")
    for name, value in entry.source.items():
        if len(value) > COLUMN_MAX:
            raise RowFault(f"{name} is too long: expected at most {COLUMN_MAX} characters, found {len(value)}")


def bounded_note(body: str) -> str:
    if not body.strip():
        raise RowFault("the note is empty")
    if len(body) > COMMENT_MAX:
        raise RowFault(f"the note is too long: expected at most {COMMENT_MAX} characters, found {len(body)}")
    return body
