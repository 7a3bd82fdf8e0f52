"""A Todoist backup on its way into a project: its tasks, each after the one that it stands below; then its notes.

Many trees at once, the tasks of one in order. Every id is derived from the project, the name of the list and what
tells a task of it from another: run again, from the start or after a kill, a task is the command that it was.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from taskflow.commands.brought import BroughtNote, BroughtTask, bring_note, bring_task
from taskflow.commands.ranks import rank_at
from taskflow.importer.sending import Into, each
from taskflow.importer.todoist_dates import first_due, in_words, in_zone, rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskflow.importer.sending import Sender
    from taskflow.importer.todoist_rows import Backup, Entry, Note
    from taskflow.settings import Settings
    from taskflow.streams.project import ProjectState


class Bringing:
    """One run over one backup."""

    def __init__(
        self,
        sender: Sender,
        settings: Settings,
        backup: Backup,
        project: ProjectState,
        key: str,
        step: Callable[[], None],
        *,
        zone: str,
    ) -> None:
        """`key` tells the list from others that the project takes. `zone`: for dates of which the file says none."""
        self._sender = sender
        self._backup = backup
        self._into = Into(settings.claim_secret_bytes, "import", str(project.id), "todoist", key, project_id=project.id)
        # A list's tasks stand together, above whatever the project got later, in the order of the file; a run that
        # goes on finds the same places.
        self._ranks = f"{rank_at(project.created_at)}{self._into.caller.hex[:4]}"
        self._step = step
        self._zone = zone
        self._at_once = settings.import_inflight_max
        self._receipts: dict[UUID, tuple[bytes, UUID]] = {}
        """Of what earlier runs brought."""
        self._people: dict[str, UUID] = {}

    async def run(self) -> None:
        """Takes every row to its end. Raises what ends an import: a lost role, a store that stays away."""
        keys = [key for entry in self._backup.entries for key in (entry.key, *[note.key for note in entry.notes])]
        self._receipts = await self._sender.accepted(self._into.caller, map(self._into.id, keys))
        await self._meet_people()
        await each(self._trees(), self._bring, at_once=self._at_once)

    def _fingerprint(self, said: bytes) -> bytes:
        return self._into.id(f"said/{said.hex()}").bytes

    async def _meet_people(self) -> None:
        """Those whom new rows name."""
        named: set[str] = set()
        for entry in self._backup.entries:
            if self._into.id(entry.key) not in self._receipts:
                named |= {one for one in (entry.author, entry.responsible) if one is not None}
            named |= {
                note.author for note in entry.notes if note.author and self._into.id(note.key) not in self._receipts
            }
        ids = {key: self._into.id(f"person/{key}") for key in sorted(named)}
        known = await self._sender.accepted(self._into.caller, ids.values())
        for key, command_id in ids.items():
            if command_id in known:
                _, self._people[key] = known[command_id]
            else:
                at = datetime.now(UTC)
                user_id = self._into.id("user", key, at=at)
                self._people[key] = await self._sender.meet(
                    self._into, command_id, user_id, self._backup.people[key], at
                )

    def _trees(self) -> list[list[tuple[int, Entry]]]:
        """The entries with their places in the file, those of one tree together and in order."""
        trees: dict[int, list[tuple[int, Entry]]] = {}
        for place, entry in enumerate(self._backup.entries):
            root = entry
            while root.parent is not None:
                root = root.parent
            trees.setdefault(id(root), []).append((place, entry))
        return list(trees.values())

    async def _bring(self, tree: list[tuple[int, Entry]]) -> None:
        for place, entry in tree:
            await self._bring_task(place, entry)
            for note in entry.notes:
                await self._bring_note(entry, note)
            self._step()

    async def _bring_task(self, place: int, entry: Entry) -> None:
        command_id = self._into.id(entry.key)
        fingerprint = self._fingerprint(entry.said)
        if command_id in self._receipts:
            said, entry.task_id = self._receipts[command_id]
            self._sender.counts.already_there += 1
            if said != fingerprint:
                self._backup.notice(
                    entry.line, "says something else than when it was imported: the task is left as it is"
                )
            return
        command = self._task(place, entry, datetime.now(UTC))
        task_id = self._into.id("stream", entry.key, at=command.created_at)
        handler = partial(bring_task, task_id=task_id, task=command, after_parent=True)
        entry.task_id = await self._sender.take(entry, self._into, command_id, fingerprint, handler, makes=True)

    def _task(self, place: int, entry: Entry, now: datetime) -> BroughtTask:
        parent = entry.parent
        while parent is not None and parent.task_id is None:
            parent = parent.parent
        if parent is not entry.parent:
            self._backup.notice(entry.line, "the task above it was refused: it stands one level higher")
        zone = entry.zone or self._zone
        due = in_zone(entry.due, zone)
        recurrence = None
        if entry.repeat is not None:
            due = due or first_due(entry.repeat, now, zone)
            recurrence = rule(entry.repeat, due, zone)
            if recurrence is None:
                entry.also("Repeats", in_words(entry.repeat))
                self._backup.notice(entry.line, "how it repeats cannot be followed: it stands in the description")
        created_at = min(entry.created_at or now, now)
        done_at = entry.done_at if entry.done and entry.done_at and created_at <= entry.done_at <= now else None
        return BroughtTask(
            project_id=self._into.project_id,
            external_id=entry.external_id,
            title=entry.title,
            description=entry.description,
            category="done" if entry.done else "todo",
            priority=entry.priority,
            due_at=due if isinstance(due, datetime) else None,
            due_on=None if isinstance(due, datetime) else due,
            time_zone=None if due is None else zone,
            recurrence=recurrence,
            labels=entry.labels,
            assignee_id=None if entry.responsible is None else self._people[entry.responsible],
            created_by=None if entry.author is None else self._people[entry.author],
            parent_id=None if parent is None else parent.task_id,
            rank=f"{self._ranks}{place:06x}1",
            created_at=created_at,
            updated_at=done_at or created_at,
            completed_at=done_at,
            source=entry.source or None,
        )

    async def _bring_note(self, entry: Entry, note: Note) -> None:
        command_id = self._into.id(note.key)
        if command_id in self._receipts:
            self._sender.counts.already_there += 1
            return
        if entry.task_id is None:
            self._sender.refuse(note, "its task was refused")
            return
        now = datetime.now(UTC)
        at = min(note.at or now, now)
        command = BroughtNote(
            project_id=self._into.project_id,
            comment_id=self._into.id("comment", note.key, at=at),
            author_id=None if note.author is None else self._people[note.author],
            body=note.body,
            at=at,
        )
        handler = partial(bring_note, task_id=entry.task_id, said=command)
        await self._sender.take(note, self._into, command_id, self._fingerprint(note.said), handler, makes=False)
