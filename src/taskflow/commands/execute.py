"""From a command to its receipt: decide, append, and decide again where a stream had moved.

handler(unit)  reads streams, decides, stages events          may be run several times
    │ refused?  ── one SELECT: nothing it stood on has moved ──▶ the refusal
    ▼
append         events + checks + receipt, in a group            Lost ──▶ decide again
    ▼
Accepted       the receipt, and the state at its version
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from msgspec import Struct

from taskflow.commands.unit import Unit
from taskflow.errors import KeyMissing, KeyReused, NotFound, Refusal, StoreError, Unavailable
from taskflow.store.append import Append, Lost, Outcome, Receipt
from taskflow.store.committer import lost
from taskflow.store.pool import AWAY

if TYPE_CHECKING:
    from taskflow.commands.usage import Usage
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.streams import Event, Kind

log = logging.getLogger(__name__)


class Request(Struct, frozen=True, kw_only=True):
    """A command's circumstances: who sends it, under which id, when.

    `fingerprint` is a keyed hash of the whole request, so that one id cannot stand for two contents.
    """

    caller: UUID
    command_id: UUID
    fingerprint: bytes
    at: datetime
    correlation_id: str | None = None
    expected_version: int | None = None
    actor: UUID | None = None


class Target(NamedTuple):
    """The stream that a command's answer shows."""

    kind: Kind[Any]
    stream_id: UUID


class AppendedEvent(Struct, frozen=True):
    type: str
    version: int
    position: int


class Accepted(Struct, frozen=True):
    """An accepted command: its receipt, the target's state at the receipt's version, its events and where they are."""

    receipt: Receipt
    kind: Kind[Any]
    state: Any
    events: tuple[Event, ...]
    appended: tuple[AppendedEvent, ...]


Handler = Callable[[Unit], Awaitable[Target]]


class Executor:
    """Executes commands against one event store."""

    def __init__(self, store: EventStore, settings: Settings, usage: Usage | None = None) -> None:
        self._store = store
        self._usage = usage
        self._token_secret = settings.token_secret_bytes
        self._attempts_max = settings.decide_attempts_max
        self._running: dict[tuple[UUID, UUID], asyncio.Future[None]] = {}

    async def execute(self, request: Request, handler: Handler) -> Accepted:
        """Raises a Refusal, KeyReused, QueueFull, Unavailable or StoreError; else the command is stored.

        A second copy of a command waits for the first and gets its outcome.
        """
        key = (request.caller, request.command_id)
        while key in self._running:
            await asyncio.shield(self._running[key])
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running[key] = ended
        try:
            return await self._decide(request, handler)
        except AWAY as error:
            raise Unavailable("the event store does not answer; repeat the command under the same id") from error
        finally:
            del self._running[key]
            ended.set_result(None)

    async def _decide(self, request: Request, handler: Handler) -> Accepted:
        for _ in range(self._attempts_max):
            unit = Unit(
                self._store,
                actor=request.actor,
                at=request.at,
                expected_version=request.expected_version,
                token_secret=self._token_secret,
                usage=self._usage,
            )
            try:
                target = await handler(unit)
                events = await unit.sealed(correlation_id=request.correlation_id, causation_id=None)
            except KeyMissing:
                if not unit.stands_on:
                    raise
                # A key is stored with its person's registration, which is still on its way.
                await self._ended(unit.stands_on)
                continue
            except Refusal:
                # A refusal on a state that never came to be is none, even where another's version fits.
                if not await self._ended(unit.stands_on):
                    continue
                standing = await self._store.standing(request.caller, request.command_id, unit.checks)
                if standing.receipt is not None:
                    return await self._replay(request, standing.receipt)
                if not standing.moved:
                    raise
                for stream_id, _, version in unit.checks:
                    self._store.folds.doubt(stream_id, version)
                continue
            append = Append(
                caller=request.caller,
                command_id=request.command_id,
                fingerprint=request.fingerprint,
                outcome=Outcome.APPLIED if events else Outcome.UNCHANGED,
                result_stream=target.stream_id,
                result_kind=target.kind.name,
                checks=unit.checks,
                events=events,
                keys=unit.keys,
                stands_on=tuple(unit.stands_on),
            )
            self._store.committer.submit(append)
            unit.leave(append)
            # The append goes on when the caller leaves: what was sent is committed or not, never half known.
            outcome = await asyncio.shield(append.done)
            if isinstance(outcome, Lost):
                if outcome.stream_id is not None:
                    self._store.folds.drop_stale(outcome.stream_id, outcome.current_version)
                continue
            if not outcome.own:
                return await self._replay(request, outcome)
            return await self._applied(unit, target, outcome)
        raise Unavailable(f"the streams moved {self._attempts_max} times while this was decided; send it again")

    @staticmethod
    async def _ended(appends: Sequence[Append]) -> bool:
        """Waits until it is known what became of these; True where all were stored."""
        for append in appends:
            await asyncio.wait([append.done])
        return not any(lost(append) for append in appends)

    async def _applied(self, unit: Unit, target: Target, receipt: Receipt) -> Accepted:
        stream = unit.streams[target.stream_id]
        first = receipt.position - receipt.events + 1
        events = tuple(staged.event for staged in unit.staged)
        appended = tuple(
            AppendedEvent(type(staged.event).__name__, staged.happened.version, first + index)
            for index, staged in enumerate(unit.staged)
        )
        for stream_id, written in unit.streams.items():
            if written.version > written.read_version:
                try:
                    await self._store.folds.snapshot_if_due(
                        written.kind, stream_id, written.read_version, written.version, written.state
                    )
                except Exception:
                    # The command is stored: whatever befalls a shortcut to its state is no fault of it.
                    log.exception("a snapshot was not written", extra={"stream": str(stream_id)})
        return Accepted(receipt, target.kind, stream.state, events, appended)

    async def _replay(self, request: Request, receipt: Receipt) -> Accepted:
        """The outcome of an earlier copy, as of its version. Access is the renderer's to judge, today's."""
        if receipt.fingerprint != request.fingerprint:
            raise KeyReused(f"command id {request.command_id} was accepted with another content")
        kind = await self._store.kind_of(receipt.stream_id)
        if kind is None:
            raise NotFound("stream", receipt.stream_id)
        state = await self._store.folds.at_version(kind, receipt.stream_id, receipt.version)
        if state is None:
            raise StoreError(f"a receipt names version {receipt.version} of {receipt.stream_id}; there is none")
        recorded = (
            await self._store.log.read(receipt.position - receipt.events, limit=receipt.events)
            if (receipt.events)
            else []
        )
        events = tuple(await self._store.mapper.decode(recorded))
        appended = tuple(AppendedEvent(event.type, event.stream_version, event.position) for event in recorded)
        return Accepted(receipt, kind, state, events, appended)
