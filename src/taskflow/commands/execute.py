"""From a command to its receipt: decide, append, and decide again where a stream had moved.

handler(unit)  reads streams, decides, stages events          may be run several times
    │ refused?  ── one SELECT: nothing it stood on has moved ──▶ the refusal
    ▼
append         events + checks + receipt, in a group            Lost ──▶ decide again
    ▼
Accepted       the receipt, and the state at its version

Commands that are executed together go the same way on one unit, each handler seeing what those before it have
staged. Their appends are one bundle: all of them are stored or none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.commands.created_ids import created_by_event
from taskflow.commands.unit_of_work import HistoryBounds, Staged, UnitOfWork
from taskflow.errors import Erased, KeyMissing, KeyReused, NotFound, Refusal, StoreError, Unavailable
from taskflow.store.append import NOBODY, Append, NewEvent, Outcome, Receipt
from taskflow.store.committer import has_failed
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.streams.project import ProjectState
from taskflow.streams.task import TaskState
from taskflow.turns import turn

if TYPE_CHECKING:
    from taskflow.commands.acquaintances import Acquaintances
    from taskflow.commands.adjacent_tasks import AdjacentTasks
    from taskflow.commands.status_counts import StatusCounts
    from taskflow.commands.unchanged import UnchangedLimit
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore
    from taskflow.streams import Event, StreamType

log = logging.getLogger(__name__)


SNAPSHOT_S: Final = 1.0
"""A command that is stored is answered no later than this for the sake of a snapshot."""


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

    kind: StreamType[Any]
    stream_id: UUID


class AppendedEvent(Struct, frozen=True):
    stream_id: UUID
    type: str
    version: int
    position: int


class Accepted(Struct, frozen=True):
    """An accepted command: its receipt, the target's state at the receipt's version, its events and where they are.

    `project` is the project of a task as the decision left it; None where this is a repeat, and nothing was decided.
    """

    receipt: Receipt
    kind: StreamType[Any]
    state: Any
    events: tuple[Event, ...]
    appended: tuple[AppendedEvent, ...]
    project: ProjectState | None = None


Handler = Callable[[UnitOfWork], Awaitable[Target]]
OnCommit = Callable[[Iterable[Any], int], None]
"""Told of every commit before its callers are: the states of its streams, and the position of its last event. It must
not raise."""
Judge = Callable[[Accepted], Awaitable[None]]
"""Raises where today's caller may not have the answer that an earlier copy of the command was given."""


class Step(Struct, frozen=True):
    """A command and how it is decided. `judge`: of its own, where its receipt is not its caller's alone."""

    request: Request
    handler: Handler
    judge: Judge | None = None


class Decision(Struct, frozen=True):
    """What a handler came to: the target as it leaves it, and the events that it staged. `project`: of a task."""

    target: Target
    state: Any
    staged: tuple[Staged, ...]
    project: ProjectState | None = None


def _nobody_told(_: Iterable[Any], __: int) -> None:
    """For processes that judge nobody's access."""


async def _any_caller(_: Accepted) -> None:
    """For commands whose answer shows nothing that could have been withdrawn since."""


class Executor:
    """Executes commands against one event store."""

    def __init__(
        self,
        store: EventStore,
        settings: Settings,
        *,
        adjacent_tasks: AdjacentTasks | None = None,
        status_counts: StatusCounts | None = None,
        unchanged: UnchangedLimit | None = None,
        acquaintances: Acquaintances | None = None,
        on_commit: OnCommit = _nobody_told,
    ) -> None:
        self._store = store
        self._on_commit = on_commit
        self._acquaintances = acquaintances
        self._adjacent_tasks = adjacent_tasks
        self._status_counts = status_counts
        self._unchanged = unchanged
        self._token_secret = settings.token_secret_bytes
        self._claim_secret = settings.claim_secret_bytes
        self._history = HistoryBounds(settings.history_events_max, settings.history_bytes_max)
        self._move_tasks_max = settings.move_tasks_max
        self._attempts_max = settings.conflict_retries_max
        self._running: dict[tuple[UUID, UUID], asyncio.Future[None]] = {}

    async def execute(self, request: Request, handler: Handler, judge: Judge = _any_caller) -> Accepted:
        """As `execute_together`, for one command."""
        [accepted] = await self.execute_together([Step(request, handler)], judge)
        return accepted

    async def execute_together(self, steps: Sequence[Step], judge: Judge = _any_caller) -> list[Accepted]:
        """Commands of one caller, each under an id of its own, in order: all are stored, or none.

        Raises a Refusal, KeyReused, QueueFull, Unavailable or StoreError; the first two name their command. What
        was accepted before, alone or together with others, is answered from its receipt, if `judge` lets it.

        A second copy of a command waits for the first and gets its outcome.
        """
        keys = [(step.request.caller, step.request.command_id) for step in steps]
        while running := [self._running[key] for key in keys if key in self._running]:
            await asyncio.shield(running[0])
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.update(dict.fromkeys(keys, ended))
        try:
            return await self._decide(steps, judge)
        except TRANSIENT_ERRORS as error:
            raise Unavailable("the event store does not answer; repeat the command under the same id") from error
        finally:
            for key in keys:
                del self._running[key]
            ended.set_result(None)

    async def _decide(self, steps: Sequence[Step], judge: Judge) -> list[Accepted]:
        accepted: dict[UUID, Accepted] = {}
        if len(steps) > 1:
            # One alone finds its receipt at the append. Here it comes first: others may stand on what it made.
            ids = [step.request.command_id for step in steps]
            found = await self._store.receipts(steps[0].request.caller, ids)
            accepted = await self._replay_found(steps, found, judge)
        for _ in range(self._attempts_max):
            left = [step for step in steps if step.request.command_id not in accepted]
            if left:
                accepted |= await self._attempt(left, accepted, judge)
            if len(accepted) == len(steps):
                return [accepted[step.request.command_id] for step in steps]
        raise Unavailable(f"the streams moved {self._attempts_max} times while this was decided; send it again")

    async def _attempt(
        self, steps: Sequence[Step], before: Mapping[UUID, Accepted], judge: Judge
    ) -> dict[UUID, Accepted]:
        """All of them, stored; or those that turn out to have been accepted before, the others to be decided again."""
        first = steps[0].request
        unit = UnitOfWork(
            self._store,
            actor=first.actor,
            at=first.at,
            token_secret=self._token_secret,
            claim_secret=self._claim_secret,
            adjacent_tasks=self._adjacent_tasks,
            status_counts=self._status_counts,
            history=self._history,
            acquaintances=self._acquaintances,
            move_tasks_max=self._move_tasks_max,
        )
        unit.made = {one: created_by_event(was.receipt.stream_id, was.events) for one, was in before.items()}
        step = steps[0]
        decisions: list[Decision] = []
        try:
            for step in steps:
                decisions.append(await _decision(unit, step))
            await turn()
            events = await unit.sealed(correlation_id=first.correlation_id, causation_id=None)
        except KeyMissing:
            if not unit.depends_on:
                raise
            # A key is stored with its person's registration, which is still on its way.
            await self._ended(unit.depends_on)
            return {}
        except Refusal as refusal:
            refused = steps[refusal.turn - 1] if isinstance(refusal, Erased) else step
            refusal.command_id = refused.request.command_id
            # A refusal on a state that never came to be is none, even where another's version fits.
            if not await self._ended(unit.depends_on):
                return {}
            recheck = await self._store.recheck(refused.request.caller, refused.request.command_id, unit.checks)
            if recheck.receipt is not None:
                return await self._replay_found([refused], {refused.request.command_id: recheck.receipt}, judge)
            if not recheck.moved:
                raise
            for stream_id, _, version in unit.checks:
                self._store.state_cache.invalidate_through(stream_id, version)
            return {}
        # Not of an import: a row that changes nothing is a row of a file all the same.
        unchanged = [
            step for step, decision in zip(steps, decisions, strict=True) if not decision.staged and step.judge is None
        ]
        payer = first.caller if first.caller != NOBODY else decisions[0].target.stream_id
        if unchanged and self._unchanged is not None:
            try:
                await self._unchanged.reserve_unchanged(payer, len(unchanged))
            except Refusal as refusal:
                # A repeat leaves no new receipt, and is answered whatever its caller has used up.
                known = await self._store.receipts(first.caller, [step.request.command_id for step in unchanged])
                if known:
                    return await self._replay_found(unchanged, known, judge)
                refusal.command_id = unchanged[0].request.command_id
                raise
        head = _append(steps, decisions, unit, events)
        self._store.committer.submit(head)
        head.done.add_done_callback(lambda _: self._tell_of_commit(head, unit, decisions))
        unit.publish_pending(head)
        # The append goes on when the caller leaves: what was sent is committed or not, never half known.
        outcomes = [await asyncio.shield(append.done) for append in head.bundle]
        receipts = [one for one in outcomes if isinstance(one, Receipt) and one.own]
        if len(receipts) == len(steps):
            return await self._stored(steps, decisions, unit, receipts)
        if unchanged and self._unchanged is not None:
            await self._unchanged.give_back_unchanged(payer, len(unchanged))
        found: dict[UUID, Receipt] = {}
        for step, outcome in zip(steps, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                found[step.request.command_id] = outcome
            elif outcome.stream_id is not None:
                self._store.state_cache.drop_stale(outcome.stream_id, outcome.current_version)
        if len(found) < len(steps):
            # Not this bundle's own, then, even where its answer was lost and it was sent again.
            found = {one: replace(receipt, replayed=True) for one, receipt in found.items()}
        return await self._replay_found(steps, found, judge)

    def _tell_of_commit(self, head: Append, unit: UnitOfWork, decisions: Sequence[Decision]) -> None:
        """Also where the callers have left. What became of the whole bundle is known at once."""
        outcomes = [append.done.result() for append in head.bundle if append.done.done() and not has_failed(append)]
        receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        if len(receipts) < len(head.bundle):
            return
        written = {one: stream.state for one, stream in unit.streams.items() if stream.version > stream.read_version}
        for decision, receipt in zip(decisions, receipts, strict=True):
            # Of what changed nothing too: it may have been another process that had ended the session.
            if decision.target.stream_id not in written:
                self._on_commit([decision.state], receipt.position)
        self._on_commit(written.values(), max(receipt.position for receipt in receipts))

    @staticmethod
    async def _ended(appends: Sequence[Append]) -> bool:
        """Waits until it is known what became of these; True where all were stored."""
        for append in appends:
            await asyncio.wait([append.done])
        return not any(has_failed(append) for append in appends)

    async def _stored(
        self, steps: Sequence[Step], decisions: Sequence[Decision], unit: UnitOfWork, receipts: Iterable[Receipt]
    ) -> dict[UUID, Accepted]:
        for stream_id, written in unit.streams.items():
            if self._store.state_cache.is_snapshot_due(written.read_version, written.version):
                try:
                    snapshot = self._store.state_cache.write_snapshot(
                        written.kind, stream_id, written.version, written.state
                    )
                    await abandon_after(SNAPSHOT_S, snapshot)
                except Exception:
                    # The command is stored: whatever befalls a shortcut to its state is no fault of it.
                    log.exception("a snapshot was not written", extra={"stream": str(stream_id)})
        return {
            step.request.command_id: _accepted(decision, receipt)
            for step, decision, receipt in zip(steps, decisions, receipts, strict=True)
        }

    async def _replay_found(
        self, steps: Iterable[Step], found: Mapping[UUID, Receipt], judge: Judge
    ) -> dict[UUID, Accepted]:
        """Those of the commands that have receipts, each as its earlier copy was answered."""
        accepted: dict[UUID, Accepted] = {}
        for step in steps:
            receipt = found.get(step.request.command_id)
            if receipt is None:
                continue
            try:
                was = await self._replay(step.request, receipt)
                if receipt.replayed:
                    await (step.judge or judge)(was)
            except (Refusal, KeyReused) as refusal:
                refusal.command_id = step.request.command_id
                raise
            accepted[step.request.command_id] = was
        return accepted

    async def _replay(self, request: Request, receipt: Receipt) -> Accepted:
        """The outcome of an earlier copy, as of its version."""
        if receipt.fingerprint != request.fingerprint:
            raise KeyReused(f"command id {request.command_id} was accepted with another content")
        kind = await self._store.kind_of(receipt.stream_id)
        if kind is None:
            raise NotFound("stream", receipt.stream_id)
        state = await self._store.state_cache.at_version(kind, receipt.stream_id, receipt.version)
        if state is None:
            raise StoreError(f"a receipt names version {receipt.version} of {receipt.stream_id}; there is none")
        recorded = (
            await self._store.log.read(receipt.position - receipt.events, limit=receipt.events)
            if (receipt.events)
            else []
        )
        self._on_commit([state], receipt.position)
        events = tuple(await self._store.mapper.decode(recorded))
        appended = tuple(
            AppendedEvent(event.stream_id, event.type, event.stream_version, event.position) for event in recorded
        )
        return Accepted(receipt, kind, state, events, appended)


async def _decision(unit: UnitOfWork, step: Step) -> Decision:
    first = len(unit.staged)
    await turn()
    unit.begin_command(at=step.request.at, expected_version=step.request.expected_version)
    target = await step.handler(unit)
    staged = tuple(unit.staged[first:])
    unit.made[step.request.command_id] = created_by_event(target.stream_id, (one.event for one in staged))
    state = unit.streams[target.stream_id].state
    return Decision(target, state, staged, _project_of(unit, state))


def _project_of(unit: UnitOfWork, state: Any) -> ProjectState | None:
    """That of a task: every decision about one has read it."""
    stream = unit.streams.get(state.project_id) if isinstance(state, TaskState) else None
    return stream.state if stream is not None and isinstance(stream.state, ProjectState) else None


def _append(
    steps: Sequence[Step], decisions: Sequence[Decision], unit: UnitOfWork, events: Iterable[NewEvent]
) -> Append:
    """The bundle's head. Everything that the unit read is checked there: the others have read what the head
    leaves, or what was checked with it."""
    sealed = iter(events)
    appends = [
        Append(
            caller=step.request.caller,
            command_id=step.request.command_id,
            fingerprint=step.request.fingerprint,
            outcome=Outcome.APPLIED if decision.staged else Outcome.UNCHANGED,
            result_stream=decision.target.stream_id,
            result_kind=decision.target.kind.name,
            checks=(),
            events=tuple(islice(sealed, len(decision.staged))),
        )
        for step, decision in zip(steps, decisions, strict=True)
    ]
    return replace(
        appends[0],
        checks=unit.checks,
        families=tuple(unit.families),
        keys=unit.keys,
        depends_on=tuple(unit.depends_on),
        others=tuple(appends[1:]),
    )


def _accepted(decision: Decision, receipt: Receipt) -> Accepted:
    first = receipt.position - receipt.events + 1
    events = tuple(staged.event for staged in decision.staged)
    appended = tuple(
        AppendedEvent(staged.metadata.stream_id, type(staged.event).__name__, staged.metadata.version, first + index)
        for index, staged in enumerate(decision.staged)
    )
    return Accepted(receipt, decision.target.kind, decision.state, events, appended, decision.project)
