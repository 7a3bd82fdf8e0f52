"""Todoist's data as JSON, as its API gives it: projects, sections, items or tasks, notes or comments, labels, people."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from taskflow.dates.time_zones import NAMES
from taskflow.dates.times import cut_times
from taskflow.importer.contract import NAME_MAX
from taskflow.importer.failures import BadFile
from taskflow.importer.rows import Bad, RowFault
from taskflow.importer.todoist_dates import due_of, repeat
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
    known_time,
)

HEADER: Final = ("kind", "id", "content")
Id = str | int


class Due(Struct, frozen=True):
    date: str | None = None
    datetime: str | None = None
    string: str | None = None
    is_recurring: bool | None = False
    timezone: str | None = None
    lang: str | None = None


class Deadline(Struct, frozen=True):
    date: str | None = None


class Duration(Struct, frozen=True):
    amount: int | float
    unit: str = "minute"


class Item(Struct, frozen=True, kw_only=True):
    """A task, by the names that one or the other version of the API has for what is said of it."""

    content: str
    id: Id | None = None
    description: str | None = None
    priority: int | None = None
    due: Due | None = None
    deadline: Deadline | None = None
    duration: Duration | None = None
    labels: tuple[Id, ...] | None = None
    parent_id: Id | None = None
    section_id: Id | None = None
    project_id: Id | None = None
    checked: bool | None = None
    is_completed: bool | None = None
    completed_at: datetime | None = None
    child_order: int | None = None
    order: int | None = None
    responsible_uid: Id | None = None
    assignee_id: Id | None = None
    added_by_uid: Id | None = None
    creator_id: Id | None = None
    added_at: datetime | None = None
    created_at: datetime | None = None
    is_deleted: bool | None = False


class Said(Struct, frozen=True, kw_only=True):
    """A note, or a comment."""

    content: str
    id: Id | None = None
    item_id: Id | None = None
    task_id: Id | None = None
    posted_at: datetime | None = None
    posted_uid: Id | None = None
    is_deleted: bool | None = False


class Named(Struct, frozen=True, kw_only=True):
    """A project, a section, a label or a person."""

    id: Id | None = None
    name: str | None = None
    full_name: str | None = None
    section_order: int | None = None
    child_order: int | None = None
    order: int | None = None
    tz_info: Any = None
    """Of a person: `timezone` in it is their zone."""

    @property
    def place(self) -> int:
        return self.section_order or self.child_order or self.order or 0


class Whole(Struct, frozen=True, kw_only=True):
    """What is said beside these is not looked at."""

    projects: list[Named] = field(default_factory=list)
    sections: list[Named] = field(default_factory=list)
    items: list[Any] | None = None
    tasks: list[Any] | None = None
    notes: list[Any] | None = None
    comments: list[Any] | None = None
    labels: list[Any] = field(default_factory=list)
    collaborators: list[Named] = field(default_factory=list)
    user: Named | None = None


def read_json(path: Path, data: bytes, name: str | None) -> Backup:
    """Raises BadFile where this is not Todoist's data."""
    try:
        whole = msgspec.json.decode(data, type=Whole, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFile(f"{path}: expected a Todoist backup: an object with items or tasks: {error}") from None
    items = whole.tasks if whole.items is None else whole.items
    if items is None:
        raise BadFile(f"{path}: expected a Todoist backup: found an object without `items` or `tasks`")
    if name is None:
        name = (whole.projects[0].name if len(whole.projects) == 1 else None) or "Todoist"
    return _Reading(Backup(path=path, name=name, header=HEADER), whole).read(items)


class _Reading:
    def __init__(self, backup: Backup, whole: Whole) -> None:
        self._backup = backup
        self._whole = whole
        self._projects = {str(one.id): (place, one) for place, one in enumerate(whole.projects)}
        self._sections = {str(one.id): (place, one) for place, one in enumerate(whole.sections)}
        self._labels = {str(one["id"]): str(one["name"]) for one in whole.labels if _is_named(one)}
        people = [*whole.collaborators, *([] if whole.user is None else [whole.user])]
        self._names = {str(one.id): one.full_name or one.name for one in people}
        self._zone = _zone_of(whole.user)
        """Of the person whose list this is; empty: the file does not say."""
        self._lines: dict[str, int] = {}

    def read(self, items: list[Any]) -> Backup:
        entries = self._in_order(self._items(items))
        notes = self._whole.comments if self._whole.notes is None else self._whole.notes
        for line, raw in enumerate(notes or [], len(items) + 1):
            try:
                said = msgspec.convert(cut_times(raw, Said), Said, strict=False)
                if not said.is_deleted:
                    self._note(line, said, entries)
            except (msgspec.ValidationError, RowFault) as fault:
                self._refuse("note", line, raw, fault)
        return self._backup

    def _refuse(self, kind: str, line: int, raw: Any, fault: Exception | str) -> None:
        said = raw if isinstance(raw, dict) else {}
        fields = (kind, str(said.get("id", "")), str(said.get("content", "")))
        self._backup.bad.append(Bad(line=line, reason=str(fault), fields=fields))

    def _items(self, items: list[Any]) -> dict[str, tuple[int, Item]]:
        """By id; one without gets one that no other has."""
        found: dict[str, tuple[int, Item]] = {}
        for line, raw in enumerate(items, 1):
            try:
                item = msgspec.convert(cut_times(raw, Item), Item, strict=False)
                key = f"#{line}" if item.id is None else str(item.id)
                if key in found:
                    raise RowFault(f"two tasks have the id {key[:SHOWN_MAX]!r}")
                if item.is_deleted:
                    self._backup.notice(line, "deleted in Todoist: left out")
                    continue
                found[key] = (line, item)
            except (msgspec.ValidationError, RowFault) as fault:
                self._refuse("task", line, raw, fault)
        return found

    def _in_order(self, items: dict[str, tuple[int, Item]]) -> dict[str, Entry]:
        """Entries as they stand in the list, each after the one that it is below."""
        below: dict[str | None, list[str]] = defaultdict(list)
        for key, (line, item) in items.items():
            parent = None if item.parent_id is None else str(item.parent_id)
            if parent is not None and parent not in items:
                self._backup.notice(
                    line, f"the task {parent[:SHOWN_MAX]!r} above it was not taken: it is on the top level"
                )
                parent = None
            below[parent].append(key)
        for keys in below.values():
            keys.sort(key=lambda key: self._place(*items[key]))
        entries: dict[str, Entry] = {}
        waiting: list[tuple[str, Entry | None]] = [(key, None) for key in reversed(below[None])]
        reached: set[str] = set()
        while waiting:
            key, parent_entry = waiting.pop()
            reached.add(key)
            line, item = items[key]
            entry = parent_entry
            try:
                entry = entries[key] = self._entry(line, key, item, parent_entry)
                self._backup.hang(entry, parent_entry)
                self._backup.entries.append(entry)
            except RowFault as fault:
                self._refuse("task", line, {"id": key, "content": item.content}, fault)
                for child in below.get(key, []):
                    self._backup.notice(items[child][0], "the task above it was refused: it stands one level higher")
            waiting += [(child, entry) for child in reversed(below.get(key, []))]
        for key in items.keys() - reached:
            line, item = items[key]
            self._refuse("task", line, {"id": key, "content": item.content}, "the task stands below itself")
        self._backup.bad.sort(key=lambda bad: bad.line)
        return entries

    def _place(self, line: int, item: Item) -> tuple[int, int, int, int, int]:
        project, _ = self._projects.get(str(item.project_id), (-1, None))
        place, section = self._sections.get(str(item.section_id), (-1, None))
        order = item.order if item.child_order is None else item.child_order
        return project, -1 if section is None else section.place, place, order or 0, line

    def _entry(self, line: int, key: str, item: Item, parent: Entry | None) -> Entry:
        check_text(item.content, item.description or "")
        priority = 1 if item.priority is None else item.priority
        if not 1 <= priority <= len(PRIORITIES):
            raise RowFault(f"expected a priority from 1 to {len(PRIORITIES)}, found {priority}")
        labels = [self._labels.get(str(label), str(label)) for label in item.labels or ()]
        check_text(*labels)
        for prefix, (_, named) in (
            (SECTION, self._sections.get(str(item.section_id), (0, None))),
            ("project:", self._projects.get(str(item.project_id), (0, None))),
        ):
            if named is not None and named.name and (prefix == SECTION or len(self._projects) > 1):
                check_text(named.name)
                labels.append(self._backup.section_label(line, prefix, named.name))
        entry = Entry(
            line=line,
            fields=("task", "" if item.id is None else key, item.content),
            key="",
            said=digest(msgspec.json.encode(item).decode()),
            title=item.content.strip(),
            description=(item.description or "").strip(),
            priority=PRIORITIES[len(PRIORITIES) - priority],
            labels=tuple(dict.fromkeys(labels)),
            responsible=self._person(item.responsible_uid if item.assignee_id is None else item.assignee_id),
            author=self._known(item.added_by_uid if item.creator_id is None else item.creator_id),
            created_at=known_time(item.added_at or item.created_at),
            done=bool(item.checked or item.is_completed),
            done_at=known_time(item.completed_at),
            external_id=None if item.id is None else key,
        )
        self._dates(entry, item)
        bounded(entry)
        # Where there is an id it says which task this is, whatever else has changed since.
        above = "" if parent is None else parent.key
        entry.key = f"id/{key}" if item.id is not None else self._backup.key("task", above, entry.said.hex())
        return entry

    def _dates(self, entry: Entry, item: Item) -> None:
        due = item.due
        if due is not None:
            entry.in_zone(due.timezone or self._zone, "timezone", self._backup)
            text = due.datetime or due.date or ""
            check_text(text, due.string or "")
            entry.due = due_of(text)
            if text and entry.due is None:
                entry.keep("Due", text, self._backup)
            self._repeats(entry, due)
        if item.deadline is not None and item.deadline.date:
            check_text(item.deadline.date)
            entry.also("Deadline", item.deadline.date)
        if item.duration is not None:
            entry.source["duration"] = f"{item.duration.amount} {item.duration.unit}"

    def _repeats(self, entry: Entry, due: Due) -> None:
        text = due.string or ""
        if not due.is_recurring and (entry.due is not None or not text):
            return
        entry.repeat = repeat(text) if (due.lang or "en") == "en" and due.is_recurring is not False else None
        if entry.repeat is None:
            entry.keep("Repeats" if due.is_recurring else "Due", text, self._backup)
        elif entry.done:
            # Todoist ends what repeats as it completes it for good; here a rule would open it again.
            entry.repeat = None
            entry.also("Repeated", text)

    def _note(self, line: int, said: Said, entries: dict[str, Entry]) -> None:
        of = said.item_id if said.task_id is None else said.task_id
        entry = entries.get(str(of))
        if entry is None:
            raise RowFault(
                "the note is about no task" if of is None else f"its task {str(of)[:SHOWN_MAX]!r} was not taken"
            )
        check_text(said.content)
        body = bounded_note(said.content.strip())
        key = self._backup.key("note", entry.key, body) if said.id is None else f"note/{said.id}"
        entry.notes.append(
            Note(
                line=line,
                fields=("note", "" if said.id is None else str(said.id), said.content),
                key=key,
                said=digest(body),
                body=body,
                author=self._known(said.posted_uid),
                at=known_time(said.posted_at),
            )
        )

    def _known(self, person: Id | None) -> str | None:
        """Somebody whose name the file tells."""
        return self._person(person) if person is not None and self._names.get(str(person)) else None

    def _person(self, person: Id | None) -> str | None:
        if person is None:
            return None
        name = self._names.get(str(person)) or f"Todoist user {person}"
        check_text(name)
        if len(name) > NAME_MAX:
            raise RowFault(f"a person's name is too long: expected at most {NAME_MAX} characters")
        self._backup.people[str(person)] = name
        return str(person)


def _zone_of(user: Named | None) -> str:
    said = None if user is None or not isinstance(user.tz_info, dict) else user.tz_info.get("timezone")
    return said if isinstance(said, str) and said in NAMES else ""


def _is_named(label: Any) -> bool:
    return isinstance(label, dict) and "id" in label and isinstance(label.get("name"), str)
