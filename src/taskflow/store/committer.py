"""Group commit: many commands' appends in one transaction, one round trip, one lock.

Appends queue here; while one group is at the server the next one gathers. A group is a sequence (see
append_group), so a conflict costs only its own command.

An unknown commit (the connection broke, the answer was late) is sent again as it was: receipts are
looked up first, so what had been committed answers and the rest is appended. It is never decided
again before that. After `append_deadline_ms` the callers get Unavailable: whether their command took
effect is then found out by repeating it under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import asyncpg

from taskflow.errors import EpochChanged, QueueFull, StoreError, Unavailable
from taskflow.ids import shard_of
from taskflow.store.append import Append, Lost, Outcome, Receipt
from taskflow.store.pool import AWAY, connect_writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_APPEND: Final = f"select * from append_group({', '.join(f'${n}' for n in range(1, 30))})"
_APPLIED, _FOUND, _MISSED, _FELL = 1, 2, 3, 4
_WRONG_LOG: Final = "TF001"
CLOSE_S: Final = 1.0
"""A process that stops waits so long for what it has queued."""


class Committer:
    """The only writer of the log in this process. Use as an async context manager."""

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._settings = settings
        self._epoch = epoch
        self._queue: deque[Append] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._closing = False
        self.groups = 0
        self.appends = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="committer")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Commits what is queued, then stops; not for long where the store is away: nobody was answered."""
        self._closing = True
        self._arrived.set()
        if self._task is not None and not (await asyncio.wait([self._task], timeout=CLOSE_S))[0]:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._connection is not None:
            self._connection.terminate()

    @property
    def queued(self) -> int:
        """Appends that wait for the next group."""
        return len(self._queue)

    def submit(self, append: Append) -> asyncio.Future[Receipt | Lost]:
        """Queues an append; its future answers with a Receipt, Lost, Unavailable or StoreError.

        Raises QueueFull at `append_queue_max` and Unavailable once closing.
        """
        if self._closing:
            raise Unavailable("this process is stopping; send the command again")
        if len(self._queue) >= self._settings.append_queue_max:
            raise QueueFull(f"{len(self._queue)} commands wait to be stored; try again shortly")
        self._queue.append(append)
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
                    # It must not end the only writer of this process.
                    log.exception("a group was not committed", extra={"commands": len(group)})
                    self._drop_connection()
                    self._fail(group, StoreError(f"an append failed: {error!r}"))

    def _gather(self) -> list[Append]:
        """The next group: bounded in commands and events, no command id twice, nobody who already lost."""
        group: list[Append] = []
        seen: set[tuple[UUID, UUID]] = set()
        events = 0
        while self._queue and len(group) < self._settings.append_group_max:
            append = self._queue[0]
            key = (append.caller, append.command_id)
            events += len(append.events)
            if group and (key in seen or events > self._settings.append_group_events_max):
                break
            self._queue.popleft()
            if any(lost(other) for other in append.stands_on):
                _fall(append)
                continue
            seen.add(key)
            group.append(append)
        return group

    async def _commit(self, group: list[Append]) -> None:
        arguments = self._arguments(group)
        deadline = time.monotonic() + self._settings.append_deadline_ms / 1000
        pause_s = 0.02
        resent = False
        while True:
            try:
                rows = await self._send(arguments)
                break
            except AWAY as error:
                reason = error
            except asyncpg.PostgresError as error:
                await self._commit_apart(group, error)
                return
            self._drop_connection()
            if time.monotonic() + pause_s > deadline:
                log.warning("append given up", extra={"commands": len(group), "error": repr(reason)})
                self._fail(
                    group,
                    Unavailable("the event store does not answer; repeat the command under the same id"),
                )
                return
            resent = True
            log.info("append is sent again", extra={"commands": len(group), "error": repr(reason)})
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 0.5)
        self.groups += 1
        self.appends += len(group)
        for append, row in zip(group, rows, strict=True):
            if not append.done.done():
                append.done.set_result(_outcome(row, resent=resent))

    async def _commit_apart(self, group: Sequence[Append], error: asyncpg.PostgresError) -> None:
        """A group was refused for what one of its commands holds: each is sent alone."""
        if len(group) == 1 or error.sqlstate == _WRONG_LOG:
            self._fail(group, _explain(error))
            return
        for append in group:
            if any(lost(other) for other in append.stands_on):
                _fall(append)
            else:
                await self._commit([append])

    @staticmethod
    def _fail(group: Sequence[Append], error: Exception) -> None:
        for append in group:
            if not append.done.done():
                append.done.set_exception(error)
                append.done.exception()  # a caller that went away must not become a warning

    async def _send(self, arguments: tuple[list[Any], ...]) -> list[asyncpg.Record]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect_writer(self._settings)
        return await self._connection.fetch(
            _APPEND, self._epoch, *arguments, timeout=self._settings.append_timeout_ms / 1000
        )

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    @staticmethod
    def _arguments(group: Sequence[Append]) -> tuple[list[Any], ...]:
        """The parallel arrays of append_group, without the epoch."""
        streams: dict[UUID, int] = {}
        kinds: list[str] = []

        def index(stream_id: UUID, kind: str) -> int:
            known = streams.get(stream_id)
            if known is None:
                kinds.append(kind)
                known = streams[stream_id] = len(kinds)
            return known

        ordinals = {id(append): ordinal for ordinal, append in enumerate(group, 1)}
        commands: list[tuple[Any, ...]] = []
        stands: list[int] = []
        checks: list[tuple[int, int]] = []
        events: list[tuple[Any, ...]] = []
        keys: list[tuple[Any, ...]] = []
        for ordinal, append in enumerate(group, 1):
            stands += [ordinals[id(other)] for other in append.stands_on if id(other) in ordinals]
            checks += [(index(stream, kind), version) for stream, kind, version in append.checks]
            events += [
                (
                    index(event.stream_id, event.kind),
                    event.version,
                    ordinal,
                    shard_of(event.stream_id),
                    event.type,
                    event.schema_version,
                    event.event_id,
                    event.occurred_at,
                    event.actor,
                    event.correlation_id,
                    event.causation_id,
                    event.data,
                )
                for event in append.events
            ]
            keys += [(ordinal, key.person, key.wrapped) for key in append.keys]
            commands.append(
                (
                    append.caller,
                    append.command_id,
                    append.fingerprint,
                    int(append.outcome),
                    index(append.result_stream, append.result_kind),
                    len(stands),
                    len(checks),
                    len(events),
                )
            )
        caller, command_id, fingerprint, outcome, result, stand_ends, check_ends, event_ends = _columns(commands, 8)
        check_streams, check_versions = _columns(checks, 2)
        event_columns = _columns(events, 12)
        return (
            list(streams),
            kinds,
            caller,
            command_id,
            fingerprint,
            outcome,
            result,
            stand_ends,
            stands,
            check_ends,
            check_streams,
            check_versions,
            event_ends,
            *event_columns,
            *_columns(keys, 3),
        )


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def lost(append: Append) -> bool:
    """True once it is known that what was decided on an append's events stands on nothing."""
    if not append.done.done():
        return False
    if append.done.cancelled() or append.done.exception() is not None:
        return True
    outcome = append.done.result()
    return isinstance(outcome, Lost) or not outcome.own


def _outcome(row: asyncpg.Record, *, resent: bool) -> Receipt | Lost:
    if row["status"] == _MISSED:
        return Lost(UUID(int=row["missed_stream"].int), row["missed_version"])
    if row["status"] == _FELL:
        return Lost(None, 0)
    return Receipt(
        fingerprint=row["fingerprint"],
        outcome=Outcome(row["outcome"]),
        stream_id=UUID(int=row["stream_id"].int),
        version=row["version"],
        position=row["position"],
        events=row["events"],
        recorded_at=row["recorded_at"],
        # Found on the second sending of a group: most likely its own first sending.
        replayed=row["status"] == _FOUND and not resent,
        own=row["status"] == _APPLIED,
    )


def _fall(append: Append) -> None:
    if not append.done.done():
        append.done.set_result(Lost(None, 0))


def _explain(error: asyncpg.PostgresError) -> StoreError:
    if error.sqlstate == _WRONG_LOG:
        return EpochChanged(f"{error}; nothing is appended until `taskflow recover` opens the next epoch")
    return StoreError(f"the event store refused an append: {error}")
