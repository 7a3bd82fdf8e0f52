"""A Todoist backup on its way into a project: its tasks, each after the one that it stands below; then its notes.

Each tree of tasks is in one lane, in order. The id of a task's command is derived of what tells the task from others of
its list and of what the file says of it. So a task that is there already is left as it is: its command is found again
or, where the file says something else by now, expects a task that does not exist yet, and is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskflow.importer.contract import key_of
from taskflow.importer.sender import Counts, Item, open_lanes
from taskflow.importer.todoist_dates import describe, first_due, in_zone, rule

if TYPE_CHECKING:
    from taskflow.client.answers import Project
    from taskflow.importer.run import Reject
    from taskflow.importer.sender import Result, Sender
    from taskflow.importer.target import ImportTarget
    from taskflow.importer.todoist_rows import Backup, Entry, Note

_EXISTS = "version-conflict"
_AWAITED = frozenset(("no-such-parent", "no-such-task", "no-such-person"))
"""Refusals of a dry run that say no more than that what comes before is not stored."""


class TodoistImport:
    """One run over one backup, into a project that is there."""

    def __init__(
        self,
        sender: Sender,
        target: ImportTarget,
        project: Project | None,
        backup: Backup,
        reject: Reject,
        step: Callable[[], None],
        *,
        zone: str,
        me: UUID,
    ) -> None:
        """`project`: None for a file without a task. `zone`: for dates of which the file says none. `me`: whoever said what
        the file says of nobody."""
        self._sender = sender
        self._target = target
        self._backup = backup
        self._reject = reject
        self._step = step
        self._zone = zone
        self._me = me
        self._since = datetime.now(UTC) if project is None else project.created_at
        # A list's tasks stand together, above whatever the project got later, in the order of the file; a run that
        # goes on finds the same places.
        own = hashlib.sha256(target.source.encode()).hexdigest()[:4]
        self._ranks = f"{int(self._since.timestamp() * 1_000_000):014x}{own}"
        self.counts = Counts()
        self._made: set[UUID] = set()

    async def run(self) -> None:
        """Takes every row to its end. Raises what ends an import: a lost role, a server that stays away."""
        for bad in self._backup.bad:
            self._refuse(bad.line, bad.reason, bad.fields)
        async with open_lanes(self._sender) as lanes:
            for place, entry in enumerate(self._backup.entries):
                root = entry
                while root.parent is not None:
                    root = root.parent
                await lanes.put(root.key, self._task(place, entry))
                for note in entry.notes:
                    await lanes.put(root.key, self._note(entry, note))
                self._step()

    def _task(self, place: int, entry: Entry) -> Item:
        data = self._data(place, entry, datetime.now(UTC))
        command = self._target.command("ImportTask", (entry.key, entry.said.hex()), data, version=0)
        people = (entry.author, entry.responsible)
        return Item(command, partial(self._settle, entry), self._people(*people))

    def _data(self, place: int, entry: Entry, now: datetime) -> dict[str, Any]:
        zone = entry.zone or self._zone
        due = in_zone(entry.due, zone)
        recurrence = None
        if entry.repeat is not None:
            due = due or first_due(entry.repeat, now, zone)
            recurrence = rule(entry.repeat, due)
            if recurrence is None:
                entry.also("Repeats", describe(entry.repeat))
                self._backup.notice(entry.line, "how it repeats cannot be followed: it stands in the description")
        created_at = min(entry.created_at or now, now)
        done_at = entry.done_at if entry.done and entry.done_at and created_at <= entry.done_at <= now else None
        data = {
            "key": key_of(entry.key),
            "at": created_at,
            "title": entry.title,
            "external_id": entry.external_id,
            "description": entry.description,
            "category": "done" if entry.done else "todo",
            "priority": entry.priority,
            "due_at": due if isinstance(due, datetime) else None,
            "due_on": due if isinstance(due, date) and not isinstance(due, datetime) else None,
            "time_zone": None if due is None else zone,
            "recurrence": recurrence,
            "labels": entry.labels,
            "assignee": None if entry.responsible is None else key_of(entry.responsible),
            "actor": None if entry.author is None else key_of(entry.author),
            "parent": None if entry.parent is None else key_of(entry.parent.key),
            "rank": f"{self._ranks}{place:06x}1",
            "updated_at": done_at,
            "completed_at": done_at,
            "columns": entry.source or None,
        }
        return {name: value for name, value in data.items() if value is not None}

    def _note(self, entry: Entry, note: Note) -> Item:
        now = datetime.now(UTC)
        said: dict[str, Any] = {"key": key_of(note.key), "body": note.body}
        said |= {"author_id": self._me} if note.author is None else {"author": key_of(note.author)}
        data = {"key": key_of(entry.key), "at": min(note.at or now, now), "comment": said}
        command = self._target.command("ImportTaskChange", (note.key,), data)
        return Item(command, partial(self._settle, note), self._people(note.author))

    def _people(self, *keys: str | None) -> tuple[Item, ...]:
        commands = [
            self._target.person(key, self._backup.people[key], self._since)
            for key in dict.fromkeys(keys)
            if key is not None
        ]
        return tuple(Item(command, self._met) for command in commands)

    def _met(self, result: Result) -> None:
        if result.ours and result.outcome.outcome == "applied":
            self._made.add(result.outcome.id)
            self.counts.people = len(self._made)

    def _settle(self, row: Entry | Note, result: Result) -> None:
        makes = not hasattr(row, "body")
        if result.code == _EXISTS:
            self.counts.already_there += 1
            self._backup.notice(row.line, "says something else than when it was imported: the task is left as it is")
        elif result.reused or (result.reason is None and not result.ours):
            self.counts.already_there += 1
        elif result.reason is not None and not (self._sender.dry and result.code in _AWAITED):
            self._refuse(row.line, result.reason, row.fields)
        elif result.reason is None and result.outcome.outcome == "unchanged":
            self.counts.unchanged += 1
        else:
            self.counts.applied += 1
            self.counts.tasks += makes

    def _refuse(self, line: int, reason: str, fields: tuple[str, ...]) -> None:
        self.counts.rejected += 1
        self._reject(line, reason, fields)
