"""The engine of an import of rows: each row is a command, the rows of one ticket in order.

row ─▶ its command's id: what the row says, and how many of its ticket's rows said the same before it
    ─▶ the lane of its ticket, behind the person whom it names (see `sender`)
Run again, by whomever, from the start or after a kill, a row is the command that it was, and the server answers it from
its receipt. Which row makes the task is the server's to say: an ImportTask of one that exists is a change of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from msgspec import Struct, field

from taskflow.importer.contract import key_of
from taskflow.importer.dry_run import Foresight
from taskflow.importer.failures import BadFile, ImportFailure
from taskflow.importer.rows import Bad, Row
from taskflow.importer.sender import Counts, Item, open_lanes

if TYPE_CHECKING:
    from taskflow.client.answers import Project
    from taskflow.importer.mapping import Mapping
    from taskflow.importer.sender import Lanes, Result, Sender
    from taskflow.importer.target import ImportTarget

Reject = Callable[[int, str, tuple[str, ...]], None]


class Ticket(Struct):
    """What tells a ticket's rows apart that say the same."""

    at: datetime
    seen: list[int] = field(default_factory=list)
    """Hashes of what its rows at the time `at` say."""

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


class Import:
    """One run over a file. `reject(line, reason, fields)` is told of each refused row, `step()` of each batch."""

    def __init__(
        self,
        sender: Sender,
        target: ImportTarget,
        mapping: Mapping,
        reject: Reject,
        *,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._sender = sender
        self._target = target
        self._mapping = mapping
        self._prefixes = tuple(label.prefix for label in mapping.labels)
        self._reject = reject
        self._step = step
        self.counts = Counts()
        self._tickets: dict[str, Ticket] = {}
        self._people: dict[str, Item] = {}
        self._made: set[UUID] = set()
        """Commands of people whom this run brought."""
        self._foresight = Foresight() if sender.dry else None

    async def run(self, rows: Iterator[Row | Bad]) -> None:
        """Takes every row to its end. Raises what ends an import: a lost role, a server that stays away."""
        damage: BadFile | None = None
        async with open_lanes(self._sender, self._step) as lanes:
            try:
                for row in rows:
                    if isinstance(row, Bad):
                        self._refuse(row, row.reason)
                    else:
                        await self._put(lanes, row)
            except BadFile as error:
                damage = error  # what was read goes on to its end
        if damage is not None:
            raise damage
        self._step()

    async def _put(self, lanes: Lanes, row: Row) -> None:
        if self._target.project is None:
            await self._found(row)
        ticket = self._tickets.setdefault(row.external_id, Ticket(row.at))
        count = ticket.occurrence(row)
        data = self._data(row)
        command = self._target.command("ImportTask", ("row", row.content.decode(), str(count)), data)
        needs = () if row.person is None else (self._person(row, data["assignee"]),)
        await lanes.put(row.external_id, Item(command, partial(self._settle, row, data), needs))

    def _person(self, row: Row, key: str) -> Item:
        """Whoever a row names: one command in this run, as of the first row that does."""
        if key not in self._people:
            at = min(row.at, datetime.now(UTC))  # the row may be one that is refused for lying ahead
            self._people[key] = Item(self._target.person(key, row.person_name, at), partial(self._met, key))
        return self._people[key]

    def _data(self, row: Row) -> dict[str, Any]:
        """What the row says, without what it says nothing of."""
        data: dict[str, Any] = {
            "key": row.external_id,
            "at": row.at,
            "title": row.title,
            "external_id": row.external_id,
            "status": row.status,
        }
        if row.priority is not None:
            data["priority"] = row.priority
        if row.labels:
            data["labels"] = row.labels
        if self._prefixes:
            data["prefixes"] = self._prefixes
        if row.person is not None:
            data["assignee"] = key_of(msgspec.json.encode(row.person).decode())
        if row.nobody:
            data["nobody"] = True
        if row.source:
            data["columns"] = row.source
        return data

    async def _found(self, first: Row) -> None:
        """Makes the mapping's own project, as old as the first row."""
        project = self._mapping.project
        data = {
            "name": project.name,
            "description": project.description,
            "workflow": self._mapping.workflow,
            "at": min(first.at, datetime.now(UTC)),
        }
        usable(self._mapping, await self._target.found(data))

    def _met(self, key: str, result: Result) -> None:
        if result.ours and result.outcome.outcome == "applied":
            self._made.add(result.outcome.id)
            self.counts.people = len(self._made)
        if self._foresight is not None and result.outcome.result is not None:
            self._foresight.people[key] = result.outcome.result["id"]

    def _settle(self, row: Row, data: dict[str, Any], result: Result) -> None:
        if self._foresight is not None:
            result = self._foresight.foresee(data, result)
        if result.reused or (result.reason is None and not result.ours):
            # Reused: its columns say the same, and the mapping makes something else of them today.
            self.counts.already_there += 1
        elif result.reason is not None:
            self._refuse(row, result.reason)
        elif result.outcome.outcome == "applied":
            self.counts.applied += 1
            self.counts.tasks += result.makes
        else:
            self.counts.unchanged += 1

    def _refuse(self, row: Row | Bad, reason: str) -> None:
        self.counts.rejected += 1
        self._reject(row.line, reason, row.fields)


def usable(mapping: Mapping, project: Project) -> None:
    """Raises ImportFailure where its workflow lacks a status that the mapping names."""
    keys = [status.key for status in project.workflow.statuses]
    missing = [status.key for status in mapping.status.values if status.key not in keys]
    if missing:
        raise ImportFailure(
            f"the workflow of project {project.id} lacks {', '.join(map(repr, missing))}, which the mapping "
            f"names; it has {', '.join(map(repr, keys))}"
        )
