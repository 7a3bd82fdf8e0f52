"""The engine of an import: many tickets at once, the rows of one in order, each row one command.

chunk of rows ─▶ receipts: what was accepted before is passed over, in one look a chunk
              ─▶ people that are new in it
              ─▶ lanes: one a ticket, its rows one after the other; `import_inflight_max` lanes at once

Every id is derived: that of a row's command from the project, what the row says, and the how-manieth
it is of its ticket's rows that say the same. So run again, by whomever, from the start or after a kill,
a row is the command that it was. The row that makes a task is sent under the ticket's own command id:
its receipt says which task that is, whichever row came first in another file.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct, field

from taskflow.commands.imports import ImportProject, ImportRow, import_row
from taskflow.importer.file import BadFile
from taskflow.importer.project import Own, usable
from taskflow.importer.rows import Bad, Row
from taskflow.importer.sending import Into, first_of

if TYPE_CHECKING:
    from taskflow.importer.mapping import Mapping
    from taskflow.importer.sending import Sender
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

CHUNK_ROWS: Final = 512
_encode: Final = msgspec.json.Encoder().encode


class Ticket(Struct):
    """A ticket of this run. `task_id` is None until one of its rows has made the task."""

    command_id: UUID
    task_id: UUID | None
    created_by: bytes
    """Where the task was made before this run: the id that the row which made it has as a row."""
    at: datetime
    seen: list[int] = field(default_factory=list)
    """Hashes of what its rows at the time `at` say."""
    waiting: deque[Work] = field(default_factory=deque)

    def occurrence(self, row: Row) -> int:
        """How many of the ticket's rows said the same before this one. Only rows of one time can."""
        said = hash(row.content)
        if row.at > self.at:
            self.at = row.at
            self.seen.clear()
        count = self.seen.count(said)
        if row.at == self.at:
            self.seen.append(said)
        return count


class Work(Struct):
    """A row on its way. Its id as a row holds all that it says, and so is its fingerprint too."""

    row: Row
    ticket: Ticket
    into: Into
    row_id: UUID


class Import:
    """One run over a file. `step()` is told of each chunk."""

    def __init__(
        self,
        store: EventStore,
        sender: Sender,
        settings: Settings,
        mapping: Mapping,
        *,
        project_id: UUID | None,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._secret = settings.claim_secret_bytes
        self._mapping = mapping
        self._prefixes = tuple(label.prefix for label in mapping.labels)
        self.into = None if project_id is None else self._into(project_id)
        """None until the first row that can be read has founded the mapping's own project."""
        self._step = step
        self._tickets: dict[str, Ticket] = {}
        self._people: dict[tuple[str, ...], UUID] = {}
        self._room = asyncio.Semaphore(settings.import_rows_max)
        self._under_way = asyncio.Semaphore(settings.import_inflight_max)

    async def run(self, rows: Iterator[Row | Bad]) -> None:
        """Takes every row to its end. Raises what ends an import: a lost role, a store that stays away."""
        damage: BadFile | None = None
        try:
            async with asyncio.TaskGroup() as lanes:
                try:
                    for chunk in _chunks(rows):
                        for work in await self._prepared(chunk):
                            await self._room.acquire()
                            self._dispatch(work, lanes)
                        self._step()
                except BadFile as error:
                    damage = error  # what was read goes on to its end
        except BaseExceptionGroup as group:
            raise first_of(group) from None
        if damage is not None:
            raise damage
        self._step()

    # --- a chunk

    async def _prepared(self, chunk: list[Row | Bad]) -> list[Work]:
        """The rows of a chunk that are not in the store yet, in order; the people in them are."""
        for bad in chunk:
            if isinstance(bad, Bad):
                self._sender.refuse(bad, bad.reason)
        rows = [row for row in chunk if isinstance(row, Row)]
        if not rows:
            return []
        into = self.into = self.into or await self._found(rows[0])
        await self._look_up_tickets(rows, into)
        works = []
        for row in rows:
            ticket = self._tickets[row.external_id]
            count = ticket.occurrence(row)
            works.append(Work(row, ticket, into, into.id("row", row.content.decode(), str(count))))
        known = await self._sender.accepted(into.caller, [work.row_id for work in works])
        new = [work for work in works if work.row_id not in known and work.row_id.bytes != work.ticket.created_by]
        self._sender.counts.already_there += len(works) - len(new)
        await self._meet_people([work.row for work in new], into)
        return new

    async def _look_up_tickets(self, rows: list[Row], into: Into) -> None:
        """Tasks that earlier runs made, under whichever row came first then."""
        met = {row.external_id: row for row in reversed(rows) if row.external_id not in self._tickets}
        ids = {external_id: into.id("task", external_id) for external_id in met}
        known = await self._sender.accepted(into.caller, ids.values())
        for external_id, command_id in ids.items():
            fingerprint, task_id = known.get(command_id, (b"", None))
            self._tickets[external_id] = Ticket(command_id, task_id, fingerprint, met[external_id].at)

    async def _meet_people(self, rows: list[Row], into: Into) -> None:
        met: dict[tuple[str, ...], Row] = {}
        for row in rows:
            if row.person is not None and row.person not in self._people:
                met.setdefault(row.person, row)
        ids = {key: into.id("person", _encode(key).decode()) for key in met}
        known = await self._sender.accepted(into.caller, ids.values())
        self._people |= {key: known[command_id][1] for key, command_id in ids.items() if command_id in known}
        async with asyncio.TaskGroup() as meetings:
            for key, row in met.items():
                if key not in self._people:
                    meetings.create_task(self._meet(key, row, ids[key], into))

    async def _meet(self, key: tuple[str, ...], row: Row, command_id: UUID, into: Into) -> None:
        at = min(row.at, datetime.now(UTC))  # the row may be one that is refused for lying ahead
        user_id = into.id("user", _encode(key).decode(), at=at)
        self._store.state_cache.presume_absent(user_id)
        self._people[key] = await self._sender.meet(into, command_id, user_id, row.person_name, at)

    async def _found(self, first: Row) -> Into:
        """Founds the mapping's own project, as old as the first row."""
        command = ImportProject(
            name=self._mapping.project.name,
            description=self._mapping.project.description,
            workflow=self._mapping.workflow,
            at=min(first.at, datetime.now(UTC)),
        )
        project = await Own(self._secret, self._mapping.project.key).found(self._sender, command)
        usable(self._mapping, project)
        return self._into(project.id)

    def _into(self, project_id: UUID) -> Into:
        return Into(self._secret, "import", str(project_id), project_id=project_id)

    # --- a ticket

    def _dispatch(self, work: Work, lanes: asyncio.TaskGroup) -> None:
        work.ticket.waiting.append(work)
        if len(work.ticket.waiting) == 1:
            lanes.create_task(self._lane(work.ticket))

    async def _lane(self, ticket: Ticket) -> None:
        """A ticket's rows, each after the one before it was stored: its history is a sequence."""
        async with self._under_way:
            while ticket.waiting:
                await self._store_row(ticket, ticket.waiting[0])
                ticket.waiting.popleft()
                self._room.release()

    async def _store_row(self, ticket: Ticket, work: Work) -> None:
        row, into = work.row, work.into
        first = ticket.task_id is None
        task_id = ticket.task_id or into.id("stream", row.external_id, at=row.at)
        command = ImportRow(
            project_id=into.project_id,
            external_id=row.external_id,
            at=row.at,
            title=row.title,
            status=row.status,
            priority=row.priority,
            labels=row.labels,
            prefixes=self._prefixes,
            assignee_id=None if row.person is None else self._people[row.person],
            nobody=row.nobody,
            source=row.source,
        )
        if first:
            self._store.state_cache.presume_absent(task_id)
        taken = await self._sender.take(
            row,
            into,
            ticket.command_id if first else work.row_id,
            work.row_id.bytes,
            partial(import_row, task_id=task_id, row=command),
            makes=first,
        )
        ticket.task_id = taken or ticket.task_id


def _chunks(rows: Iterator[Row | Bad]) -> Iterator[list[Row | Bad]]:
    """Of at most CHUNK_ROWS. Where the file cannot be read on, what was read comes before the error."""
    chunk: list[Row | Bad] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK_ROWS:
                yield chunk
                chunk = []
    except BadFile:
        yield chunk
        raise
    if chunk:
        yield chunk
