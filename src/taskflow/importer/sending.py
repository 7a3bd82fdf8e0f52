"""Commands on their way into the store, from an importer that waits for a store which is away; what became of them."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from msgspec import Struct

from taskflow.commands.execute import Request
from taskflow.commands.imports import ImportPerson, import_person
from taskflow.errors import KeyReused, QueueFull, Rejected, Unavailable
from taskflow.ids import derived_id
from taskflow.store.append import Outcome
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from uuid import UUID

    from taskflow.commands.execute import Accepted, Handler
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

log = logging.getLogger(__name__)

T = TypeVar("T")
RECEIPTS_MAX: Final = 512
"""That are asked for in one look."""


class Executes(Protocol):
    """An Executor; or what a dry run has in its place."""

    async def execute(self, request: Request, handler: Handler) -> Accepted: ...


class Written(Protocol):
    """What stands somewhere in a file."""

    @property
    def line(self) -> int: ...

    @property
    def fields(self) -> tuple[str, ...]: ...


class Counts(Struct):
    """What became of the rows; and, of what was made, the tasks and the people."""

    applied: int = 0
    already_there: int = 0
    unchanged: int = 0
    rejected: int = 0
    tasks: int = 0
    people: int = 0

    @property
    def rows(self) -> int:
        return self.applied + self.already_there + self.unchanged + self.rejected


class Scope:
    """What ids are derived from, and the caller of the receipts: not who imports, so that whoever imports the same
    meets the same, unless the parts name them."""

    def __init__(self, secret: bytes, *parts: str) -> None:
        self._secret = secret
        self._parts = parts
        self.caller = derived_id(secret, *parts)

    def id(self, *what: str, at: datetime | None = None) -> UUID:
        return derived_id(self._secret, *self._parts, *what, at=at)


class Into(Scope):
    """The project that takes an import, and what the ids within it are derived from."""

    def __init__(self, secret: bytes, *parts: str, project_id: UUID) -> None:
        super().__init__(secret, *parts)
        self.project_id = project_id


class Sender:
    """Sends one import's commands. `position` is that of the last event that it appended, or met again.

    `reject(line, reason, fields)` is told of each refused row.
    """

    def __init__(
        self,
        store: EventStore,
        executor: Executes,
        settings: Settings,
        user_id: UUID,
        reject: Callable[[int, str, tuple[str, ...]], None] = lambda _line, _reason, _fields: None,
    ) -> None:
        self._store = store
        self._executor = executor
        self._settings = settings
        self._user_id = user_id
        self._reject = reject
        self._away_since: float | None = None
        self.position = 0
        self.counts = Counts()

    async def execute(
        self, caller: UUID, command_id: UUID, fingerprint: bytes, handler: Handler
    ) -> tuple[Accepted, bool]:
        """The accepted command, and whether this run is the one that made it so."""
        request = Request(
            caller=caller, command_id=command_id, fingerprint=fingerprint, at=datetime.now(UTC), actor=self._user_id
        )
        sent = 0

        async def send() -> Accepted:
            nonlocal sent
            sent += 1
            return await self._executor.execute(request, handler)

        accepted = await self.answered(send)
        self.position = max(self.position, accepted.receipt.position)
        # Found on a second sending: most likely its own first one, whose answer was lost.
        return accepted, sent > 1 or not accepted.receipt.replayed

    async def take(
        self, row: Written, into: Into, command_id: UUID, fingerprint: bytes, handler: Handler, *, makes: bool
    ) -> UUID | None:
        """The task that a row's command is about, and that it `makes` or not; None where the row was refused.

        Raises what ends an import: an archived project, a lost role, a store that stays away.
        """
        try:
            accepted, ours = await self.execute(into.caller, command_id, fingerprint, handler)
        except Rejected as refusal:
            if refusal.code == "project-archived":
                raise
            self.refuse(row, str(refusal))
            return None
        except KeyReused:
            self.refuse(row, "another import was here just now, and its row says something else")
            return None
        if not ours:
            self.counts.already_there += 1
        elif accepted.receipt.outcome is Outcome.APPLIED:
            self.counts.applied += 1
            self.counts.tasks += makes
        else:
            self.counts.unchanged += 1
        return accepted.receipt.stream_id

    def refuse(self, row: Written, reason: str) -> None:
        self.counts.rejected += 1
        self._reject(row.line, reason, row.fields)

    async def meet(self, into: Into, command_id: UUID, user_id: UUID, name: str, at: datetime) -> UUID:
        """Makes somebody without a login; their id, which is another run's where that came first."""
        command = ImportPerson(project_id=into.project_id, name=name, at=at)
        handler = partial(import_person, user_id=user_id, command=command)
        accepted, ours = await self.execute(into.caller, command_id, command_id.bytes, handler)
        self.counts.people += ours
        return accepted.receipt.stream_id

    async def accepted(self, caller: UUID, command_ids: Iterable[UUID]) -> dict[UUID, tuple[bytes, UUID]]:
        """Which of these are in the store: (fingerprint, result stream) by command id."""
        wanted = list(command_ids)
        found: dict[UUID, tuple[bytes, UUID]] = {}
        for start in range(0, len(wanted), RECEIPTS_MAX):
            chunk = wanted[start : start + RECEIPTS_MAX]
            found |= await self.answered(partial(self._store.accepted, caller, chunk))
        return found

    async def answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until the store answers; raises what it last said once it was away for `import_outage_max_s`."""
        pause_s = self._settings.import_backoff_min_ms / 1000
        clock = asyncio.get_running_loop().time
        while True:
            try:
                answer = await ask()
            except (Unavailable, QueueFull, *TRANSIENT_ERRORS) as error:
                if self._away_since is None:
                    self._away_since = clock()
                    log.warning("the event store does not answer; the import waits for it: %s", error)
                elif clock() - self._away_since > self._settings.import_outage_max_s:
                    raise Unavailable(
                        f"the event store did not answer for {self._settings.import_outage_max_s} s ({error}); "
                        "run the import again: it goes on where it stopped"
                    ) from error
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.import_backoff_max_ms / 1000)
            else:
                self._away_since = None
                return answer


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """Works on many of them at once. Raises the first failure, which ends the rest."""
    room = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        try:
            await work(item)
        finally:
            room.release()

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                await room.acquire()
                group.create_task(one(item))
    except BaseExceptionGroup as failed:
        raise first_of(failed) from None


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the work; the rest of a group was cancelled, or failed of the same."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
