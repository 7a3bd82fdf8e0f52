"""Group commit: the appends of many commands in one transaction, one round trip, under one lock.

Appends wait in a queue here; while one group is at the server, the next one gathers. A group is a sequence (see
append_group), so a conflict costs only its own command, or its own bundle: a bundle is queued, sent and refused as a whole.

When the outcome of a group is unknown (the connection broke, the answer was late), the same group is sent again: the store
looks up receipts first, so commands that were committed are answered from their receipts and the rest is appended. Nothing
is decided again before the outcome is known. After `append_deadline_ms` the callers get Unavailable, and learn whether
their command took effect by repeating it under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Self

import asyncpg
from msgspec import Struct

from taskflow.backoff import Backoff
from taskflow.errors import EpochChanged, QueueFull, StoreError, Unavailable
from taskflow.store.append import Append, Conflict, Receipt
from taskflow.store.append_group import Writer, arguments, flat, outcome
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_WRONG_LOG: Final = "TF001"
RESEND_PAUSE_S: Final = 0.02
RESEND_PAUSE_MAX_S: Final = 0.5
"""Pauses before a group is sent again whose outcome is unknown: the first, and the bound that they double up to."""
CLOSE_S: Final = 1.0
"""How long a process that stops waits for its queued appends."""


class _Queued(Struct, frozen=True):
    """A head that waits, and how much there is of its bundle."""

    head: Append
    keys: frozenset[tuple[UUID, UUID]]
    events: int
    bytes: int

    @classmethod
    def of(cls, head: Append) -> _Queued:
        bundle = head.bundle
        keys = frozenset([(append.caller, append.command_id) for append in bundle])
        events = [event for append in bundle for event in append.events]
        return cls(head, keys, len(events), sum([len(event.data) for event in events]))


class Committer:
    """The only writer of the log in this process. Use as an async context manager."""

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._settings = settings
        self._writer = Writer(settings, epoch)
        self._queue: deque[_Queued] = deque()
        self._queued = 0
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.groups = 0
        self.appends = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="committer")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commits what is queued, then stops; after CLOSE_S without it. What is not committed was not acknowledged either."""
        self._closing = True
        self._arrived.set()
        if self._task is not None and not (await asyncio.wait([self._task], timeout=CLOSE_S))[0]:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._writer.drop()

    @property
    def queued(self) -> int:
        """How many appends wait for the next group."""
        return self._queued

    def submit(self, append: Append) -> asyncio.Future[Receipt | Conflict]:
        """Queues an append with its bundle. The future of each gets a Receipt or Conflict, or Unavailable or StoreError.

        Raises QueueFull at `append_queue_max` and `append_queue_bytes_max`, and Unavailable while this process stops.
        """
        if self._closing:
            raise Unavailable("this process is stopping; send the command again")
        queued = _Queued.of(append)
        if self._queue and (
            self._queued + len(queued.keys) > self._settings.append_queue_max
            or self._queued_bytes + queued.bytes > self._settings.append_queue_bytes_max
        ):
            raise QueueFull(f"{self._queued} commands are waiting to be stored; try again shortly")
        self._queue.append(queued)
        self._queued += len(queued.keys)
        self._queued_bytes += queued.bytes
        self._arrived.set()
        return append.done

    async def _run(self) -> None:
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            group = self._gather()
            if group:
                try:
                    await self._commit(group)
                except Exception as error:
                    # The writer goes on: it is the only one of this process.
                    log.exception("a group could not be committed", extra={"commands": len(flat(group))})
                    self._writer.drop()
                    self._fail(group, StoreError(f"an append failed: {error!r}"))

    def _gather(self) -> list[Append]:
        """Takes the next group from the queue: bounded in commands, events and bytes, without a repeated command id, and
        without appends that depend on one that has failed. A bundle that is larger than the bounds is a group of its
        own."""
        group: list[Append] = []
        seen: set[tuple[UUID, UUID]] = set()
        events = data = 0
        settings = self._settings
        while self._queue:
            queued = self._queue[0]
            if group and (
                len(seen) + len(queued.keys) > settings.append_group_max
                or events + queued.events > settings.append_group_events_max
                or data + queued.bytes > settings.append_group_bytes_max
                or not seen.isdisjoint(queued.keys)
            ):
                break
            self._queue.popleft()
            self._queued -= len(queued.keys)
            self._queued_bytes -= queued.bytes
            head = queued.head
            if any(has_failed(other) for other in head.depends_on):
                _fail_dependents(head)
                continue
            seen.update(queued.keys)
            events += queued.events
            data += queued.bytes
            group.append(head)
        return group

    async def _commit(self, group: list[Append]) -> None:
        sent = arguments(group)
        appends = flat(group)
        deadline = time.monotonic() + self._settings.append_deadline_ms / 1000
        backoff = Backoff(RESEND_PAUSE_S, RESEND_PAUSE_MAX_S)
        resent = False
        while True:
            try:
                rows = await self._writer.send(sent)
                break
            except TRANSIENT_ERRORS as error:
                reason = error
            except asyncpg.PostgresError as error:
                await self._commit_apart(group, error)
                return
            self._writer.drop()
            if time.monotonic() + backoff.next_s > deadline:
                log.warning("an append was given up", extra={"commands": len(appends), "error": repr(reason)})
                self._fail(
                    group,
                    Unavailable("the event store does not answer; repeat the command under the same id"),
                )
                return
            resent = True
            log.info("an append is sent again", extra={"commands": len(appends), "error": repr(reason)})
            await backoff.wait()
        self.groups += 1
        self.appends += len(appends)
        for append, row in zip(appends, rows, strict=True):
            if not append.done.done():
                append.done.set_result(outcome(row, resent=resent))

    async def _commit_apart(self, group: Sequence[Append], error: asyncpg.PostgresError) -> None:
        """Sends each bundle alone, after the group was refused because of the content of one command."""
        if len(group) == 1 or error.sqlstate == _WRONG_LOG:
            self._fail(group, _explain(error))
            return
        for head in group:
            if any(has_failed(other) for other in head.depends_on):
                _fail_dependents(head)
            else:
                await self._commit([head])

    @staticmethod
    def _fail(group: Sequence[Append], error: Exception) -> None:
        for append in flat(group):
            if not append.done.done():
                append.done.set_exception(error)
                append.done.exception()  # retrieved here, so that a caller that went away does not become a warning


def has_failed(append: Append) -> bool:
    """Whether an append is known not to be stored as it was decided, so that no decision may depend on its events."""
    if not append.done.done():
        return False
    if append.done.cancelled() or append.done.exception() is not None:
        return True
    outcome = append.done.result()
    return isinstance(outcome, Conflict) or not outcome.own


async def all_stored(appends: Sequence[Append]) -> bool:
    """Waits until it is known what became of these; True where all were stored as they were decided."""
    for append in appends:
        await asyncio.wait([append.done])
    return not any(has_failed(append) for append in appends)


def _fail_dependents(head: Append) -> None:
    for append in head.bundle:
        if not append.done.done():
            append.done.set_result(Conflict(None, 0))


def _explain(error: asyncpg.PostgresError) -> StoreError:
    if error.sqlstate == _WRONG_LOG:
        return EpochChanged(f"{error}; nothing is appended there: connect to the server that the log belongs to")
    return StoreError(f"the event store refused an append: {error}")
