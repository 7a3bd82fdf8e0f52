"""Commands on their way to the server: in batches, several at once, and again for as long as the server is away.

put(lane, item) ─▶ queue of the lane ─▶ batch ─▶ POST /commands/batch ─▶ settle(item, outcome)
Commands of one lane are stored in their order, those of different lanes in any. What a batch did before its answer was
lost is found again by its ids when it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct, field

from taskflow.client import (
    ClientError,
    Command,
    CommandInProgress,
    Invalid,
    RateLimited,
    TooLarge,
    Unavailable,
    Unreachable,
    refusal_of,
)
from taskflow.client.answers import Outcome, Outcomes
from taskflow.importer.contract import BATCH_BYTES_MAX, COMMANDS_MAX
from taskflow.importer.failures import ServerAway

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.client import AsyncClient

log = logging.getLogger(__name__)

T = TypeVar("T")
AWAY: Final = (Unreachable, Unavailable, RateLimited, CommandInProgress)
"""What the same request may fare better after."""
_TRANSIENT_STATUS_CODES: Final = frozenset((429, 503))
_ENDS: Final = frozenset((401, 403, 404))
"""Statuses of a refused command that every later one would meet, too."""
_ARCHIVED: Final = "project-archived"
_REUSED: Final = "idempotency-key-reused"
_AT: Final = re.compile(r"/commands/([0-9]+)(/.*)?")


class Pace(Struct, frozen=True, kw_only=True):
    """Bounds of an import."""

    batches_max: int = 4
    """Under way at once: also the number of lanes."""
    queue_max: int = 2 * COMMANDS_MAX
    """Commands that wait in one lane."""
    backoff_min_s: float = 0.1
    backoff_max_s: float = 5.0
    away_max_s: float = 600.0
    """The server is waited for no longer."""


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


class Result(Struct, frozen=True):
    """What became of a command. `ours`: whether this run is the one that made it so. `reason`: it was refused, and why;
    `code` names the rule for programs."""

    outcome: Outcome
    ours: bool
    reason: str | None = None
    code: str = ""

    @property
    def makes(self) -> bool:
        """Whether it made a task."""
        return any(event.type == "TaskCreated" for event in self.outcome.events)

    @property
    def reused(self) -> bool:
        """Whether the id was accepted with another content."""
        return self.code == _REUSED


class Item(Struct, eq=False):
    """A command, and who is told what became of it. `needs`: commands that have to be sent before it in its lane, each
    once."""

    command: Command
    settle: Callable[[Result], None]
    needs: tuple[Item, ...] = ()
    size: int = field(default=0)

    def __post_init__(self) -> None:
        self.size = len(msgspec.json.encode(self.command.data)) + 300


class Sender:
    """Sends one import's batches. `position` is that of the last event that it appended, or met again."""

    def __init__(self, client: AsyncClient, *, request_id: UUID, pace: Pace, dry: bool) -> None:
        self._client = client
        self._request_id = str(request_id)
        self.pace = pace
        self.dry = dry
        self.unfounded = False
        """Of a dry run: whether the project is not there yet, so that the server knows nothing of what is in it."""
        self._away_since: float | None = None
        self.position = 0

    async def preview(self, command: Command) -> Outcome:
        """What a command would come to now. Raises what the server refuses it with, and ServerAway at once: an import
        that has not begun does not wait."""
        try:
            answer = await self._client.commands.batch(
                [command], atomic=False, dry_run=True, request_id=self._request_id
            )
            return _accepted(answer)
        except AWAY as error:
            raise away(error) from error

    async def send(self, items: Sequence[Item]) -> None:
        """Sends a batch until it has an answer. Raises what ends an import: a lost role, an archived project, a
        server that stays away."""
        if self.unfounded:
            for item in items:
                item.settle(Result(Outcome(id=item.command.id, outcome="applied"), ours=True))
            return
        left, sent = list(items), 0

        async def attempt() -> Sequence[Outcome]:
            nonlocal sent
            sent += 1
            answer = await self._client.commands.batch(
                [item.command for item in left],
                atomic=False,
                dry_run=self.dry,
                minimal=not self.dry,
                request_id=self._request_id,
            )
            for outcome in answer.results:
                if outcome.problem is not None and outcome.problem.get("status") in _TRANSIENT_STATUS_CODES:
                    raise refusal_of(outcome.problem)
            return answer.results

        while left:
            try:
                outcomes = await self.answered(attempt)
            except Invalid as invalid:
                left, sent = _refuse_faulty(left, invalid), 0
                continue
            except TooLarge:
                if len(left) == 1:
                    left[0].settle(_refused(left[0], "too-large", "it is larger than the server takes"))
                    return
                await self.send(left[: len(left) // 2])
                await self.send(left[len(left) // 2 :])
                return
            for item, outcome in zip(left, outcomes, strict=True):
                self._settle(item, outcome, again=sent > 1)
            return

    async def execute(self, command: Command) -> Outcome:
        """One command that everything else depends on. Raises what the server refuses it with."""

        async def attempt() -> Outcome:
            return _accepted(
                await self._client.commands.batch(
                    [command], atomic=False, dry_run=self.dry, request_id=self._request_id
                )
            )

        outcome = await self.answered(attempt)
        self.position = max(self.position, outcome.position or 0)
        return outcome

    def _settle(self, item: Item, outcome: Outcome, *, again: bool) -> None:
        if outcome.problem is not None:
            problem = refusal_of(outcome.problem)
            if problem.status in _ENDS or problem.code == _ARCHIVED:
                raise problem
            item.settle(Result(outcome, ours=False, reason=str(problem), code=problem.code or problem.slug))
            return
        self.position = max(self.position, outcome.position or 0)
        # Found on a second sending: most likely its own first one, whose answer was lost.
        item.settle(Result(outcome, ours=again or not outcome.replayed))

    async def answered(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until the server answers. Raises ServerAway once it was away for `away_max_s`."""
        bound_s = self.pace.backoff_min_s
        clock = asyncio.get_running_loop().time
        while True:
            try:
                answer = await ask()
            except AWAY as error:
                now = clock()
                if self._away_since is None:
                    self._away_since = now
                    log.warning("the server does not answer; the import waits for it: %s", error)
                elif now - self._away_since > self.pace.away_max_s:
                    raise ServerAway(
                        f"the server did not answer for {self.pace.away_max_s:.0f} s ({error}); "
                        "run the import again: it goes on where it stopped"
                    ) from error
                pause_s = random.uniform(bound_s / 2, bound_s)  # noqa: S311 - spreads retries
                if isinstance(error, RateLimited | Unavailable):
                    pause_s += error.retry_after_s or 0.0
                await asyncio.sleep(pause_s)
                bound_s = min(bound_s * 2, self.pace.backoff_max_s)
            else:
                self._away_since = None
                return answer


class Lanes:
    """The queues of an import, and the batches that are made of them. Made by `open_lanes`."""

    def __init__(self, sender: Sender, *, step: Callable[[], None]) -> None:
        self._sender = sender
        self._step = step
        pace = sender.pace
        self._queues: list[asyncio.Queue[Item | None]] = [
            asyncio.Queue(pace.queue_max) for _ in range(pace.batches_max)
        ]

    async def put(self, lane: str, item: Item) -> None:
        """Waits while the lane is full. Items of one lane keep their order."""
        await self._queues[crc32(lane.encode("utf-8", "surrogatepass")) % len(self._queues)].put(item)

    async def close(self) -> None:
        """Nothing more comes."""
        for queue in self._queues:
            await queue.put(None)

    async def work(self, number: int) -> None:
        """Sends what comes into one queue, as full batches."""
        queue = self._queues[number]
        met: set[UUID] = set()
        batch: list[Item] = []
        size = 0
        while True:
            item = await queue.get()
            needed = [] if item is None else _needed(item, met)
            more = sum(one.size for one in needed)
            if batch and (item is None or len(batch) + len(needed) > COMMANDS_MAX or size + more > BATCH_BYTES_MAX):
                await self._sender.send(batch)
                self._step()
                batch, size = [], 0
                if self._sender.dry and item is not None:
                    # Nothing was stored: what the next batch needs has to be in it.
                    met.clear()
                    needed = _needed(item, met)
                    more = sum(one.size for one in needed)
            if item is None:
                return
            met.update(one.command.id for one in needed)
            batch += needed
            size += more


@asynccontextmanager
async def open_lanes(sender: Sender, step: Callable[[], None] = lambda: None) -> AsyncIterator[Lanes]:
    """Ends once everything that was put in has been sent. Raises the first failure, which ends the rest."""
    lanes = Lanes(sender, step=step)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(sender.pace.batches_max):
                group.create_task(lanes.work(number))
            yield lanes
            await lanes.close()
    except BaseExceptionGroup as failed:
        raise first_of(failed) from None


def away(error: ClientError) -> ServerAway:
    """What ends an import that has not begun: a server that does not answer at first may well be another's address."""
    return ServerAway(f"{error}; run the import again once it answers")


def _accepted(answer: Outcomes) -> Outcome:
    """Raises what the only command was refused with."""
    [outcome] = answer.results
    if outcome.problem is not None:
        raise refusal_of(outcome.problem)
    return outcome


def _needed(item: Item, met: set[UUID]) -> list[Item]:
    return [*[one for one in item.needs if one.command.id not in met], item]


def _refuse_faulty(items: Sequence[Item], invalid: Invalid) -> list[Item]:
    """Settles the commands that the server could not read, and answers the others. Raises `invalid` where it names
    none."""
    faults: dict[int, str] = {}
    for fault in invalid.errors:
        found = _AT.fullmatch(fault.pointer)
        if found is not None and int(found[1]) < len(items):
            where = (found[2] or "").removeprefix("/data/")
            faults.setdefault(int(found[1]), f"{where}: {fault.detail}" if where else fault.detail)
    if not faults:
        raise invalid
    for at, reason in faults.items():
        items[at].settle(_refused(items[at], "validation", reason))
    return [item for at, item in enumerate(items) if at not in faults]


def _refused(item: Item, code: str, reason: str) -> Result:
    return Result(Outcome(id=item.command.id, outcome="rejected"), ours=False, reason=reason, code=code)


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended the work; the rest of a group was cancelled, or failed of the same."""
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error
