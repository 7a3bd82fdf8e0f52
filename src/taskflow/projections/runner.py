"""One projection on one worker: from the inbox that the reading fills (reading.py), or from the log, to its writer.

    inbox ─▶ classify (drops repeats) ─▶ gap? ─▶ the log ─▶ writer
    the inbox was full, a message was rejected, nothing new for a while, no Kafka ─▶ the log ─▶ writer

After a failed compare-and-set, a write conflict or an unknown outcome, the projection clears its memory and reads its
checkpoints again. Nothing here waits for another projection, and none waits for this one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from pymongo.errors import PyMongoError

from taskflow.backoff import Backoff
from taskflow.cancellation import raise_if_cancelled
from taskflow.projections.checkpoints import CheckpointMoved
from taskflow.projections.faults import Faults
from taskflow.projections.inbox import Inbox, Received
from taskflow.projections.messages import Gap, classify
from taskflow.projections.mongo_errors import REFUSALS
from taskflow.projections.writer import Writer
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from taskflow.cache.cache import Cache
    from taskflow.kafka.topics import Generation
    from taskflow.projections.checkpoints import Checkpoint
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection
    from taskflow.settings import Settings
    from taskflow.store.log import Log
    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent

log = logging.getLogger(__name__)

PAUSE_S: Final = 0.2
PAUSE_MAX_S: Final = 3.0
WAIT_S: Final = 0.2
"""How long the inbox is waited for before silent partitions are looked for."""
LOG_POLL_S: Final = 0.25
"""How often the log is read while Kafka is unavailable."""
SUSPECTS_S: Final = 0.25
"""Minimum time between two reads of the log caused by rejected messages: a flood of them must cost little."""
RECLAIM_S: Final = 15.0
"""A worker with partitions waits this long before it advances those of others: they are reassigned meanwhile."""
RELEASE_S: Final = 0.5


class Runner:
    """Runs one projection until cancelled."""

    def __init__(
        self,
        view: Projection,
        database: Database,
        events: Log,
        mapper: Mapper,
        cache: Cache,
        generation: Generation,
        *,
        room: asyncio.Event,
        settings: Settings,
    ) -> None:
        self.projection = view
        self.inbox = Inbox(settings.projector_inbox_bytes_max, room)
        self.stood_in = False
        """Whether partitions of other workers stood still when last looked."""
        self._log = events
        self._generation = generation
        self._settings = settings
        self._writer = Writer(view, database, events, mapper, cache, generation, settings)
        self._faults = Faults(events, view.name, self._writer.owner)
        self._stall_timeout_s = settings.projector_stall_timeout_ms / 1000
        self._assigned: set[int] = set()
        """The partitions that this worker advances: those of the inbox, without those that another worker took over."""
        self._received_at: dict[int, float] = {}
        """Partition → when it last received a new message. Repeats and rejected messages do not count."""
        self._read_at = 0.0
        """When suspected partitions were last read from the log."""
        self._asked_at = 0.0
        """When the partitions that stand still were last looked for."""

    async def run(self) -> None:
        """Runs until cancelled."""
        try:
            await self._retry_until_done(self._writer.prepare)
            self._asked_at = time.monotonic()
            while True:
                raise_if_cancelled()
                await self._step()
        finally:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._writer.release()

    async def _step(self) -> None:
        inbox, settings = self.inbox, self._settings
        await inbox.wait(WAIT_S)
        if inbox.assigned:
            await self._take_over()
        if inbox.is_away:
            await asyncio.sleep(LOG_POLL_S)
            if inbox.is_away:
                await self._retry_until_done(self._read_log_instead)
            return
        received = inbox.take(settings.projector_batch_max, settings.projector_batch_bytes_max)
        mine = {partition: one for partition, one in received.items() if partition in self._assigned}
        if mine:
            await self._retry_until_done(partial(self._take, mine))
        if inbox.catch_up() and self._assigned:
            log.info("behind the reading: the log is read", extra=self._context())
            await self._retry_until_done(lambda: self._read_log(self._assigned))
        await self._read_suspects()
        await self._read_silent_partitions()
        if time.monotonic() - self._asked_at > self._stall_timeout_s:
            self._asked_at = time.monotonic()
            await self._advance_stalled(
                max(self._stall_timeout_s, RECLAIM_S) if self._assigned else self._stall_timeout_s
            )

    def _context(self, error: BaseException | None = None) -> dict[str, Any]:
        return {"projection": self.projection.name, "error": repr(error) if error else None}

    async def _retry_until_done(self, step: Callable[[], Awaitable[None]]) -> None:
        """Retries a step while its servers are unavailable, with a growing pause, clearing memory before each retry."""
        backoff = Backoff(PAUSE_S, PAUSE_MAX_S)
        while True:
            raise_if_cancelled()
            try:
                await step()
            except (CheckpointMoved, *REFUSALS, *TRANSIENT_ERRORS) as error:
                log.warning("a step failed; it is retried", extra=self._context(error))
                await self._faults.note(error)
                if isinstance(error, CheckpointMoved):
                    await self._leave_moved_partitions()
                await self._writer.forget()
                await backoff.wait()
            else:
                await self._faults.note_success()
                return

    async def _leave_moved_partitions(self) -> None:
        """Leaves partitions to the worker that took them over: one that Kafka gave them to, or one of another group
        that runs this projection too. Both would only undo each other's work."""
        with suppress(PyMongoError):
            taken = await self._writer.owned_by_others()
            if taken:
                log.info("another worker advances these", extra=self._context() | {"partitions": sorted(taken)})
                self._own(self._assigned - taken)

    def _own(self, partitions: Iterable[int]) -> None:
        self._assigned = set(partitions)
        self._writer.own(self._assigned)

    # --- the inbox

    async def _take_over(self) -> None:
        """Takes over exactly the partitions of the inbox."""
        inbox = self.inbox
        inbox.assigned = False
        self._own(inbox.partitions)
        self._received_at = dict.fromkeys(self._assigned, time.monotonic())
        await self._writer.forget()

        async def own() -> None:
            for partition in sorted(self._assigned):
                await self._writer.checkpoint(partition)
            await self._writer.invalidate(self._assigned)

        await self._retry_until_done(own)

    async def _take(self, received: Mapping[int, Received]) -> None:
        """Applies messages. A partition with a gap is read from the log."""
        events: dict[int, list[RecordedEvent]] = {}
        targets: dict[int, Checkpoint] = {}
        for partition, one in received.items():
            if partition not in self._assigned:
                continue
            known = one.messages
            checkpoint = await self._writer.checkpoint(partition)
            if any(message.position > checkpoint.position for message in known):
                self._received_at[partition] = time.monotonic()
            if checkpoint.halted is not None:
                targets[partition] = checkpoint  # saved unchanged, which sends its invalidations again
                continue
            steps = list(classify(checkpoint.position, known))
            gap = next((step for step in steps if isinstance(step, Gap)), None)
            if gap is not None:
                about = {"partition": partition, "after": gap.after, "to": gap.to}
                log.info("a gap is read from the log", extra=self._context() | about)
                # Up to the last message, not only to the gap's end: the log has all of these events in order.
                await self._advance(partition, max(message.position for message in known))
                continue
            taken = [step for step in steps if not isinstance(step, Gap)]
            events[partition] = [step.event for step in taken if step.event is not None]
            targets[partition] = replace(
                checkpoint,
                position=taken[-1].position if taken else checkpoint.position,
                offset=one.offset + 1,
                epoch=max(checkpoint.epoch, known[-1].epoch),
            )
        if targets:
            await self._writer.write(events, targets)

    async def _read_suspects(self) -> None:
        """Reads from the log the partitions where a message was rejected: the log has every real event."""
        if time.monotonic() - self._read_at < SUSPECTS_S:
            return
        suspects = self.inbox.suspects() & self._assigned
        if suspects:
            self._read_at = time.monotonic()
            await self._retry_until_done(lambda: self._read_log(suspects & self._assigned))

    async def _read_silent_partitions(self) -> None:
        """Reads from the log the partitions that received nothing new."""
        now = time.monotonic()
        silent = {
            partition for partition in self._assigned if now - self._received_at[partition] > self._stall_timeout_s
        }
        if silent:
            await self._retry_until_done(lambda: self._read_log(silent & self._assigned))
            self._received_at |= dict.fromkeys(silent, time.monotonic())

    # --- the log

    async def _read_log_instead(self) -> None:
        """Advances from the log the partitions that this worker had, and those that no worker advances.

        Several workers may do this at the same time: compare-and-set prevents double writes.
        """
        if self._assigned:
            await self._read_log(self._assigned)
        await self._advance_stalled(self._stall_timeout_s)

    async def _advance_stalled(self, stalled_s: float) -> None:
        """Advances from the log the partitions that nobody saved for `stalled_s`. Those that Kafka gave to this worker
        are its own again; of others nothing is kept in memory: their worker may go on at any time."""
        others: set[int] = set()

        async def advance() -> None:
            others.clear()
            still = set(await self._writer.stalled_partitions(stalled_s)) - self._assigned
            if still & self.inbox.partitions:
                self._own(self._assigned | (still & self.inbox.partitions))
                self._received_at |= dict.fromkeys(self._assigned, time.monotonic())
            others.update(still - self._assigned)
            if still:
                log.warning(
                    "no worker advances these partitions; they are read from the log",
                    extra=self._context() | {"partitions": sorted(still)},
                )
                await self._read_log(still)

        await self._retry_until_done(advance)
        self.stood_in = bool(others)
        if others:
            await self._writer.forget()

    async def _read_log(self, partitions: Iterable[int]) -> None:
        head = await self._log.head()
        for partition in sorted(partitions):
            checkpoint = await self._writer.checkpoint(partition)
            if checkpoint.position < head.position and checkpoint.halted is None:
                await self._advance(partition, head.position)
            else:
                # Saved even without progress: `saved_at` shows that the partition has a worker, and acknowledged
                # invalidations are removed.
                await self._writer.invalidate([partition])
                await self._writer.write({}, {partition: checkpoint})

    async def _advance(self, partition: int, to: int) -> None:
        """Applies the events (checkpoint, to] of a partition from the log, in chunks, each committed separately."""
        shards = self._generation.shards_of(partition)
        limit, bytes_max = self._settings.projector_batch_max, self._settings.projector_batch_bytes_max
        while True:
            checkpoint = await self._writer.checkpoint(partition)
            if checkpoint.position >= to or checkpoint.halted is not None:
                return
            events = await self._log.read_shards(checkpoint.position, shards, to=to, limit=limit, bytes_max=bytes_max)
            more = len(events) == limit or sum(len(event.data) for event in events) >= bytes_max
            target = replace(
                checkpoint,
                position=events[-1].position if more else to,
                epoch=events[-1].epoch if events else checkpoint.epoch,
            )
            await self._writer.write({partition: events}, {partition: target})
