"""From a command to its receipt: decide, append, and decide again where a stream had moved.

handler(unit)  reads streams, decides, stages events          may be run several times
    │ refused?  ── one SELECT: nothing it stood on has moved ──▶ the refusal
    ▼
append         events + checks + receipt, in a group            Lost ──▶ decide again
    ▼
Accepted       the receipt, and the state at its version

Commands that are executed together are decided on one unit, each handler seeing what those before it have staged.
Their appends are one bundle: all of them are stored or none.

Commands that are executed in order are a chain: each is decided on a unit of its own, on the pending state that those
before it leave, and submitted at once. The committer stores many of them in one group. One that loses takes those
after it with it; they are decided again, after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.cancellation import result_of
from taskflow.commands.created_ids import created_by_event
from taskflow.commands.decision import Decided, Decision, decide
from taskflow.commands.hints import NO_HINTS, Hints
from taskflow.commands.unchanged import UnchangedCount, give_back
from taskflow.commands.unit_history import HistoryBounds
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import KeyMissing, KeyReused, Refusal, StaleDecision, Unavailable
from taskflow.store.append import Append, Receipt
from taskflow.store.committer import all_stored, has_failed
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.store.stored_outcomes import stored_outcomes

if TYPE_CHECKING:
    from taskflow.commands.unchanged import UnchangedLimit
    from taskflow.settings import Settings
    from taskflow.store.eventstore import CommandKey, EventStore
    from taskflow.store.stored_outcomes import StoredOutcome
    from taskflow.streams import Event, StreamType
    from taskflow.streams.project import ProjectState

log = logging.getLogger(__name__)

SNAPSHOT_S: Final = 1.0
"""A command that is stored is answered no later than this for the sake of a snapshot."""

JUDGED_AT_ONCE: Final = 8
"""Repeats in one batch whose callers' access is judged at the same time."""


Handler = Callable[[UnitOfWork], Awaitable[UUID]]
"""Decides a command, stages its events and returns the id of the stream that the answer shows. It may be called several
times."""


class Request(Struct, frozen=True, kw_only=True):
    """A command as the executor gets it: who sent it, under which id, when, and the handler that decides it.

    The executor takes nothing else, whether a command comes from HTTP, a worker or the command line. A request stays
    the same however often it is decided. `fingerprint` is a keyed hash of the whole content, so that one id cannot
    stand for two contents. `caller` scopes the receipt, `actor` is the user of the events. `judge`: a judge of its own,
    for a command whose receipt does not belong to its sender alone, or whose answer takes a system role.
    """

    handler: Handler
    judge: Judge | None = None
    caller: UUID
    command_id: UUID
    fingerprint: bytes
    at: datetime
    correlation_id: str | None = None
    expected_version: int | None = None
    actor: UUID | None = None


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


OnCommit = Callable[[Iterable[Any], int], None]
"""Told of every commit before its callers are: the states of its streams, and the position of its last event. It must
not raise."""
Judge = Callable[[Accepted], Awaitable[None]]
"""Raises where today's caller may not have the answer that an earlier copy of the command was given."""


class _Refused(Struct, frozen=True):
    """A refusal that is given once it is known that it holds, with everything that was read for it."""

    unit: UnitOfWork
    refusal: Refusal

    @property
    def command_id(self) -> UUID:
        if self.refusal.command_id is None:
            raise AssertionError("whoever decides names the command that is refused")
        return self.refusal.command_id


class _Link(Struct):
    """Commands that are stored together or not at all, one or more, and what has become of them."""

    requests: Sequence[Request]
    accepted: dict[UUID, Accepted] = {}
    refusal: Refusal | KeyReused | None = None

    @property
    def keys(self) -> list[CommandKey]:
        return [(request.caller, request.command_id) for request in self.requests]

    @property
    def ids(self) -> list[UUID]:
        return [request.command_id for request in self.requests]

    @property
    def left(self) -> list[Request]:
        return [request for request in self.requests if request.command_id not in self.accepted]

    @property
    def settled(self) -> bool:
        return self.refusal is not None or len(self.accepted) == len(self.requests)

    @property
    def made(self) -> dict[UUID, UUID]:
        """What those have made that are accepted: ids by command id."""
        return {one: created_by_event(was.receipt.stream_id, was.events) for one, was in self.accepted.items()}


def _ignore_commit(_: Iterable[Any], __: int) -> None:
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
        hints: Hints = NO_HINTS,
        unchanged: UnchangedLimit | None = None,
        on_commit: OnCommit = _ignore_commit,
    ) -> None:
        self._store = store
        self._on_commit = on_commit
        self._hints = hints
        self._unchanged = unchanged
        self._token_secret = settings.token_secret_bytes
        self._claim_secret = settings.claim_secret_bytes
        self._history = HistoryBounds(settings.history_events_max, settings.history_bytes_max)
        self._move_tasks_max = settings.move_tasks_max
        self.attempts_max = settings.conflict_retries_max
        self._running: dict[tuple[UUID, UUID], asyncio.Future[None]] = {}

    async def execute(self, request: Request, judge: Judge = _any_caller) -> Accepted:
        """As `execute_together`, for one command."""
        [accepted] = await self.execute_together([request], judge)
        return accepted

    async def execute_together(self, requests: Sequence[Request], judge: Judge = _any_caller) -> list[Accepted]:
        """Commands of one caller, each under an id of its own, in order: all are stored, or none.

        Raises a Refusal, KeyReused, QueueFull, Unavailable or StoreError; the first two name their command. What
        was accepted before, alone or together with others, is answered from its receipt, if `judge` lets it.

        A second copy of a command waits for the first and gets its outcome.
        """
        link = _Link(requests)
        await self._execute([link], judge)
        if link.refusal is not None:
            raise link.refusal
        return [link.accepted[request.command_id] for request in requests]

    async def execute_in_order(
        self, requests: Sequence[Request], judge: Judge = _any_caller
    ) -> list[Accepted | Refusal | KeyReused]:
        """As `execute_together`, but each has an outcome of its own. They share commits all the same: each is decided
        on what those before it leave, before that is stored.

        Raises QueueFull, Unavailable or StoreError; what was stored by then is answered when it is sent again.
        """
        links = [_Link([request]) for request in requests]
        await self._execute(links, judge)
        return [link.refusal or link.accepted[link.requests[0].command_id] for link in links]

    async def repeats(
        self, requests: Sequence[Request], judge: Judge = _any_caller
    ) -> dict[UUID, Accepted | Refusal | KeyReused]:
        """The outcomes of those commands that were accepted before, by command id."""
        links = [_Link([request]) for request in requests]
        await self._replay_found(links, await self._receipts(links), judge)
        return {link.ids[0]: link.refusal or link.accepted[link.ids[0]] for link in links if link.settled}

    async def _execute(self, links: Sequence[_Link], judge: Judge) -> None:
        keys = [key for link in links for key in link.keys]
        while running := [self._running[key] for key in keys if key in self._running]:
            await asyncio.shield(running[0])
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running.update(dict.fromkeys(keys, ended))
        try:
            await self._settle(links, judge)
        except TRANSIENT_ERRORS as error:
            raise Unavailable("the event store does not answer; repeat the command under the same id") from error
        finally:
            for key in keys:
                del self._running[key]
            ended.set_result(None)

    async def _settle(self, links: Sequence[_Link], judge: Judge) -> None:
        """Gives each link its outcome, in as many attempts as that takes."""
        if len(links) > 1 or len(links[0].requests) > 1:
            # One alone finds its receipt at the append. Here it comes first, because the others may depend on what it
            # made; where the readers do not answer, the append finds it, and those after it are decided again.
            found: Mapping[UUID, Receipt] = {}
            with suppress(*TRANSIENT_ERRORS):
                found = await self._receipts(links)
            await self._replay_found(links, found, judge)
        attempts, before = 0, -1
        while left := [link for link in links if not link.settled]:
            so_far = sum(len(link.accepted) for link in links) - len(left)
            # Those of a long chain may each lose to others: what counts is that some come through.
            attempts = attempts + 1 if so_far == before else 1
            before = so_far
            if attempts > self.attempts_max:
                raise Unavailable(
                    f"other commands changed the same streams during each of {self.attempts_max} attempts; send it again"
                )
            await self._attempt(left, {k: v for link in links for k, v in link.made.items()}, judge)

    async def _receipts(self, links: Sequence[_Link]) -> Mapping[UUID, Receipt]:
        return await self._store.receipts([key for link in links for key in link.keys])

    async def _attempt(self, links: Sequence[_Link], made: dict[UUID, UUID], judge: Judge) -> None:
        """Decides links in order, each on what those before it leave, and stores them as a chain: one that loses takes
        with it those after it, which then stay as they are, to be decided again.

        A refusal breaks no chain. Whatever it has read is checked by the append of the next link that is not refused,
        so that nothing that comes later is stored where the refusal does not hold.
        """
        count = UnchangedCount(self._unchanged)
        try:
            outcomes = await self._submit_chain(links, made, count)
        finally:
            await count.give_back()
        await self._conclude(outcomes, judge)

    async def _submit_chain(
        self, links: Sequence[_Link], made: dict[UUID, UUID], count: UnchangedCount
    ) -> list[tuple[_Link, Decided | _Refused]]:
        """Decides links and submits those that are not refused, up to one that has to wait for those before it."""
        outcomes: list[tuple[_Link, Decided | _Refused]] = []
        previous: Append | None = None
        refused: UnitOfWork | None = None
        for more, link in zip(range(len(links) - 1, -1, -1), links, strict=True):
            unit = self.unit_of_work(link.left[0])
            unit.follow(previous, refused)
            unit.made = ChainMap({}, made)
            try:
                decided = await decide(unit, link.left)
                await count.count(decided, more)
            except StaleDecision:
                self.invalidate_reads(unit)
                break
            except KeyMissing:
                if not unit.depends_on:
                    raise
                # A key is stored with its person's registration, which is still on its way.
                await all_stored(unit.depends_on)
                break
            except Refusal as refusal:
                outcomes.append((link, _Refused(unit, refusal)))
                refused = unit
            else:
                self._submit(decided)
                outcomes.append((link, decided))
                previous, refused = decided.head, None
                made |= {request.command_id: unit.made[request.command_id] for request in decided.requests}
        return outcomes

    def unit_of_work(self, request: Request) -> UnitOfWork:
        """A new one for an attempt at a request."""
        return UnitOfWork(
            self._store,
            actor=request.actor,
            at=request.at,
            token_secret=self._token_secret,
            claim_secret=self._claim_secret,
            hints=self._hints,
            history=self._history,
            move_tasks_max=self._move_tasks_max,
        )

    def _submit(self, decided: Decided) -> None:
        self._store.committer.submit(decided.head)
        decided.head.done.add_done_callback(lambda _: self._announce_commit(decided))
        decided.unit.publish_pending(decided.head)

    async def _conclude(self, outcomes: Sequence[tuple[_Link, Decided | _Refused]], judge: Judge) -> None:
        """Waits for what was submitted; then gives the refusals that hold."""
        stands = True
        held: list[tuple[_Link, _Refused]] = []
        open_: list[tuple[_Link, _Refused]] = []
        for link, outcome in outcomes:
            if isinstance(outcome, _Refused):
                open_.append((link, outcome))
                continue
            stands = await self._take_outcome(link, outcome, judge) and stands
            if stands:
                held += open_
            open_ = []
        if open_ and not (stands and await all_stored(open_[-1][1].unit.depends_on)):
            # A refusal on a state that never came to be is none, even where another's version fits.
            open_ = []
        refusals = held + open_
        if not refusals:
            return
        # No append came after those that are still open: here it is seen whether what they have read has moved.
        last = open_[-1][1].unit if open_ else None
        recheck = await self._store.recheck(
            [(link.requests[0].caller, one.command_id) for link, one in refusals],
            () if last is None else last.checks,
        )
        if last is not None and recheck.moved:
            self.invalidate_reads(last)
            refusals = held
        for link, one in refusals:
            if one.command_id in recheck.receipts:
                # What comes after it was decided without it.
                await self._replay_found([link], recheck.receipts, judge)
                return
            link.refusal = one.refusal

    def invalidate_reads(self, unit: UnitOfWork) -> None:
        """What was read is read again, unless it is newer by then."""
        for stream_id, _, version in unit.checks:
            self._store.state_cache.invalidate_through(stream_id, version)

    async def confirms(self, unit: UnitOfWork, requests: Sequence[Request]) -> bool:
        """Whether everything that a unit has read is stored and has not moved, and none of the commands was accepted
        meanwhile."""
        if not await all_stored(unit.depends_on):
            return False
        keys = [(request.caller, request.command_id) for request in requests]
        recheck = await self._store.recheck(keys, unit.checks)
        if recheck.moved:
            self.invalidate_reads(unit)
        return not recheck.moved and not recheck.receipts

    async def _take_outcome(self, link: _Link, decided: Decided, judge: Judge) -> bool:
        """What became of an append; True where it was stored as it was decided."""
        # The append goes on when the caller leaves: what was sent is committed or not, never half known.
        outcomes = [await result_of(append.done) for append in decided.head.bundle]
        receipts = [one for one in outcomes if isinstance(one, Receipt) and one.own]
        if len(receipts) == len(outcomes):
            await self._snapshot(decided.unit)
            for request, decision, receipt in zip(decided.requests, decided.decisions, receipts, strict=True):
                link.accepted[request.command_id] = accepted(decision, receipt)
            return True
        await give_back(self._unchanged, decided)
        found: dict[UUID, Receipt] = {}
        for request, outcome in zip(decided.requests, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                found[request.command_id] = outcome
            elif outcome.stream_id is not None:
                self._store.state_cache.drop_stale(outcome.stream_id, outcome.current_version)
        if len(found) < len(outcomes):
            # Not this bundle's own, then, even where its answer was lost and it was sent again.
            found = {one: replace(receipt, replayed=True) for one, receipt in found.items()}
        await self._replay_found([link], found, judge)
        return len(found) == len(outcomes) and not any(receipt.replayed for receipt in found.values())

    def _announce_commit(self, decided: Decided) -> None:
        """Also where the callers have left. What became of the whole bundle is known at once."""
        appends = decided.head.bundle
        outcomes = [append.done.result() for append in appends if append.done.done() and not has_failed(append)]
        receipts = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        if len(receipts) < len(appends):
            return
        streams = decided.unit.streams.items()
        written = {one: stream.state for one, stream in streams if stream.version > stream.read_version}
        for decision, receipt in zip(decided.decisions, receipts, strict=True):
            # Of what changed nothing too: it may have been another process that had ended the session.
            if decision.stream_id not in written:
                self._on_commit([decision.state], receipt.position)
        self._on_commit(written.values(), max(receipt.position for receipt in receipts))

    async def _snapshot(self, unit: UnitOfWork) -> None:
        state_cache = self._store.state_cache
        annulling = {staged.metadata.stream_id for staged in unit.staged if staged.event.annuls}
        for stream_id, written in unit.streams.items():
            if state_cache.is_snapshot_due(written.read_version, written.version, annuls=stream_id in annulling):
                try:
                    snapshot = state_cache.write_snapshot(written.kind, stream_id, written.version, written.state)
                    await abandon_after(SNAPSHOT_S, snapshot)
                except Exception:
                    # The command is stored: whatever befalls a shortcut to its state is no fault of it.
                    log.exception("a snapshot was not written", extra={"stream": str(stream_id)})

    async def _replay_found(self, links: Sequence[_Link], found: Mapping[UUID, Receipt], judge: Judge) -> None:
        """Answers those commands that have receipts as their earlier copies were answered; where one of a link may not
        be, that refuses the link."""
        known = [
            (link, request, found[request.command_id])
            for link in links
            for request in link.left
            if request.command_id in found
        ]
        same = [receipt for _, request, receipt in known if receipt.fingerprint == request.fingerprint]
        stored = dict(zip(map(id, same), await stored_outcomes(self._store, same), strict=True))

        async def answer(link: _Link, request: Request, receipt: Receipt) -> None:
            try:
                if id(receipt) not in stored:
                    raise KeyReused(f"command id {request.command_id} was accepted before with another content")
                was = _replayed(receipt, stored[id(receipt)])
                self._on_commit([was.state], receipt.position)
                if receipt.replayed:
                    await (request.judge or judge)(was)
            except (Refusal, KeyReused) as refusal:
                if link.refusal is None:
                    refusal.command_id = request.command_id
                    link.refusal = refusal
            else:
                link.accepted[request.command_id] = was

        for first in range(0, len(known), JUDGED_AT_ONCE):
            await asyncio.gather(*[answer(*one) for one in known[first : first + JUDGED_AT_ONCE]])


def _replayed(receipt: Receipt, outcome: StoredOutcome) -> Accepted:
    appended = tuple(
        AppendedEvent(event.stream_id, event.type, event.stream_version, event.position) for event in outcome.recorded
    )
    return Accepted(receipt, outcome.kind, outcome.state, outcome.events, appended)


def accepted(decision: Decision, receipt: Receipt) -> Accepted:
    """A decision whose receipt is known."""
    first = receipt.position - receipt.events + 1
    events = tuple(staged.event for staged in decision.staged)
    appended = tuple(
        AppendedEvent(
            staged.metadata.stream_id,
            type(staged.event).__name__,
            staged.metadata.version,
            first + index if receipt.position else 0,
        )
        for index, staged in enumerate(decision.staged)
    )
    return Accepted(receipt, decision.kind, decision.state, events, appended, decision.project)
