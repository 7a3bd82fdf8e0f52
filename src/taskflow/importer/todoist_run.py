"""A Todoist backup on its way into a project: its tasks, each after the one that it stands below; then its notes.

Many trees at once, the tasks of one in order. Every id is derived from the project, the name of the list and what
tells a task of it from another: run again, from the start or after a kill, a task is the command that it was.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.commands.brought import BroughtNote, BroughtTask, bring_note, bring_task
from taskflow.commands.imports import ImportPerson, ImportProject, import_person, import_project
from taskflow.commands.ranks import rank_at
from taskflow.errors import KeyReused, Rejected
from taskflow.ids import derived_id
from taskflow.importer.run import Counts, first_of
from taskflow.importer.sending import Sender
from taskflow.importer.todoist_dates import first_due, in_words, rule
from taskflow.streams import PROJECT
from taskflow.streams.project import DEFAULT_WORKFLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskflow.commands.execute import Executor, Handler
    from taskflow.importer.project import Own
    from taskflow.importer.todoist_rows import Backup, Entry, Note
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

CHUNK_ROWS: Final = 512


class Bringing:
    """One run over one backup, into a project that is there or into `own`."""

    def __init__(
        self,
        store: EventStore,
        executor: Executor,
        settings: Settings,
        backup: Backup,
        *,
        own: Own,
        user_id: UUID,
        project_id: UUID | None,
        reject: Callable[[int, str, tuple[str, ...]], None],
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._sender = Sender(executor, settings, user_id)
        self._secret = settings.claim_secret_bytes
        self._backup = backup
        self._own = own
        self.project_id = project_id
        self._reject_row = reject
        self._step = step
        self._under_way = asyncio.Semaphore(settings.import_inflight_max)
        self._receipts: dict[UUID, tuple[bytes, UUID]] = {}
        self._people: dict[str, UUID] = {}
        self._parts: tuple[str, ...] = ()
        self._caller = own.caller
        self._ranks = ""
        self.counts = Counts()

    @property
    def position(self) -> int:
        """Of the last event that this run appended, or met again."""
        return self._sender.position

    async def run(self) -> None:
        """Takes every row to its end. Raises what ends an import: a lost role, a store that stays away."""
        for bad in self._backup.bad:
            self._reject(bad.line, bad.reason, bad.fields)
        if not self._backup.entries:
            return
        project_id = self.project_id = self.project_id or await self._found()
        self._parts = ("import", str(project_id), "todoist", self._own.key)
        self._caller = derived_id(self._secret, *self._parts)
        project = (await self._sender.answered(lambda: self._store.folds.load(PROJECT, project_id))).state
        # A list's tasks stand together, above whatever the project got later, in the order of the file; a run that
        # goes on finds the same places.
        self._ranks = f"{rank_at(project.created_at)}{self._caller.hex[:4]}"
        await self._look_up()
        await self._meet_people()
        try:
            async with asyncio.TaskGroup() as group:
                for tree in self._trees():
                    await self._under_way.acquire()
                    group.create_task(self._bring(tree))
        except BaseExceptionGroup as failed:
            raise first_of(failed) from None
        self._step()

    async def _found(self) -> UUID:
        """The list's own project; or the one that another run founded a moment ago."""
        now = datetime.now(UTC)
        command = ImportProject(name=self._backup.name, description="", workflow=DEFAULT_WORKFLOW, at=now)
        handler = partial(import_project, project_id=self._own.project_id(now), command=command)
        accepted, _ = await self._sender.execute(
            self._own.caller, self._own.command_id, self._own.command_id.bytes, handler
        )
        return accepted.receipt.stream_id

    async def _look_up(self) -> None:
        """What earlier runs brought."""
        keys = [self._id(entry.key) for entry in self._backup.entries]
        keys += [self._id(note.key) for entry in self._backup.entries for note in entry.notes]
        for chunk in _chunks(keys):
            self._receipts |= await self._accepted(chunk)

    async def _accepted(self, ids: Iterable[UUID]) -> dict[UUID, tuple[bytes, UUID]]:
        wanted = list(ids)
        return await self._sender.answered(lambda: self._store.accepted(self._caller, wanted))

    def _id(self, key: str) -> UUID:
        return derived_id(self._secret, *self._parts, key)

    def _fingerprint(self, said: bytes) -> bytes:
        return self._id(f"said/{said.hex()}").bytes

    async def _meet_people(self) -> None:
        """Those whom new rows name."""
        named: set[str] = set()
        for entry in self._backup.entries:
            if self._id(entry.key) not in self._receipts:
                named |= {one for one in (entry.author, entry.responsible) if one is not None}
            named |= {note.author for note in entry.notes if note.author and self._id(note.key) not in self._receipts}
        ids = {self._id(f"person/{key}"): key for key in sorted(named)}
        for chunk in _chunks(ids):
            found = await self._accepted(chunk)
            self._people |= {ids[command_id]: person for command_id, (_, person) in found.items()}
        for command_id, key in ids.items():
            if key not in self._people:
                await self._meet(command_id, key)

    async def _meet(self, command_id: UUID, key: str) -> None:
        if self.project_id is None:
            raise AssertionError("people are met in a project")
        at = datetime.now(UTC)
        user_id = derived_id(self._secret, *self._parts, "user", key, at=at)
        command = ImportPerson(project_id=self.project_id, name=self._backup.people[key], at=at)
        handler = partial(import_person, user_id=user_id, command=command)
        accepted, ours = await self._sender.execute(self._caller, command_id, command_id.bytes, handler)
        self._people[key] = accepted.receipt.stream_id
        self.counts.people += ours

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
        try:
            for place, entry in tree:
                await self._bring_task(place, entry)
                for note in entry.notes:
                    await self._bring_note(entry, note)
                self._step()
        finally:
            self._under_way.release()

    async def _bring_task(self, place: int, entry: Entry) -> None:
        command_id = self._id(entry.key)
        if command_id in self._receipts:
            said, entry.task_id = self._receipts[command_id]
            self.counts.already_there += 1
            if said != self._fingerprint(entry.said):
                self._backup.notice(
                    entry.line, "says something else than when it was imported: the task is left as it is"
                )
            return
        now = datetime.now(UTC)
        command = self._task(place, entry, now)
        task_id = derived_id(self._secret, *self._parts, "stream", entry.key, at=command.created_at)
        handler = partial(bring_task, task_id=task_id, task=command)
        entry.task_id = await self._send(command_id, entry.said, handler, entry)
        self.counts.tasks += entry.task_id == task_id

    def _task(self, place: int, entry: Entry, now: datetime) -> BroughtTask:
        if self.project_id is None:
            raise AssertionError("tasks are brought into a project")
        parent = entry.parent
        while parent is not None and parent.task_id is None:
            parent = parent.parent
        if parent is not entry.parent:
            self._backup.notice(entry.line, "the task above it was refused: it stands one level higher")
        due_at = entry.due_at
        recurrence = None
        if entry.repeat is not None:
            due_at = due_at or first_due(entry.repeat, now, entry.zone)
            recurrence = rule(entry.repeat, due_at, entry.zone)
            if recurrence is None:
                entry.also("Repeats", in_words(entry.repeat))
                self._backup.notice(entry.line, "how it repeats cannot be followed: it stands in the description")
        created_at = min(entry.created_at or now, now)
        done_at = entry.done_at
        return BroughtTask(
            project_id=self.project_id,
            external_id=entry.external_id,
            title=entry.title,
            description=entry.description,
            priority=entry.priority,
            due_at=due_at,
            recurrence=recurrence,
            labels=entry.labels,
            assignee_id=None if entry.responsible is None else self._people[entry.responsible],
            author_id=None if entry.author is None else self._people[entry.author],
            parent_id=None if parent is None else parent.task_id,
            rank=f"{self._ranks}{place:06x}1",
            created_at=created_at,
            done=entry.done,
            done_at=done_at if done_at is not None and created_at <= done_at <= now else None,
            source=entry.source or None,
        )

    async def _bring_note(self, entry: Entry, note: Note) -> None:
        command_id = self._id(note.key)
        if command_id in self._receipts:
            self.counts.already_there += 1
            return
        if entry.task_id is None or self.project_id is None:
            self._reject(note.line, "its task was refused", note.fields)
            return
        now = datetime.now(UTC)
        at = min(note.at or now, now)
        command = BroughtNote(
            project_id=self.project_id,
            comment_id=derived_id(self._secret, *self._parts, "comment", note.key, at=at),
            author_id=None if note.author is None else self._people[note.author],
            body=note.body,
            at=at,
        )
        await self._send(command_id, note.said, partial(bring_note, task_id=entry.task_id, said=command), note)

    async def _send(self, command_id: UUID, said: bytes, handler: Handler, row: Entry | Note) -> UUID | None:
        """The task; None where the row was refused."""
        try:
            accepted, ours = await self._sender.execute(self._caller, command_id, self._fingerprint(said), handler)
        except Rejected as refusal:
            if refusal.code == "project-archived":
                raise
            self._reject(row.line, str(refusal), row.fields)
            return None
        except KeyReused:
            self._reject(row.line, "another import brought it just now, and it said something else", row.fields)
            return None
        if ours:
            self.counts.applied += 1
        else:
            self.counts.already_there += 1
        return accepted.receipt.stream_id

    def _reject(self, line: int, reason: str, fields: tuple[str, ...]) -> None:
        self.counts.rejected += 1
        self._reject_row(line, reason, fields)


def _chunks(ids: Iterable[UUID]) -> list[list[UUID]]:
    every = list(ids)
    return [every[start : start + CHUNK_ROWS] for start in range(0, len(every), CHUNK_ROWS)]
