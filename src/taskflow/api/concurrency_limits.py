"""Concurrency limits: how many long requests may run at once, per caller and in the whole process.

A rate limit does not bound what each request holds: sixty open exports of one person would take the event loop from
everybody else, however slowly they were started. So each kind of long work has a number of slots per caller (one more
request is refused with 429) and, for some kinds, for all callers together (refused with 503). Each process has its own
slots, which protect its event loop and memory.

    call.hold(Work.EXPORT)                      holds a slot until the answer has been sent or the connection has ended
    with context.slots.hold(caller, Work.WAIT)  holds a slot while the block runs
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final

from taskflow.errors import TooManyAtOnce, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskflow.settings import Settings

RETRY_AFTER_S: Final = 1
"""`Retry-After` for a caller with no free slot."""


class Work(Enum):
    """Kinds of long work; the value is the name used in error messages."""

    WAIT = "waiting reads"
    EXPORT = "exports"
    STREAM = "streams"
    BATCH = "batches"
    SYNC = "syncs"
    PAST_BOARD = "boards of the past"
    CALENDAR = "calendars"


class Slots:
    """Counts the long work that runs in this process, by kind and caller."""

    def __init__(self, settings: Settings) -> None:
        self._caller_max = {
            Work.WAIT: settings.waits_per_caller_max,
            Work.EXPORT: settings.exports_per_caller_max,
            Work.STREAM: settings.sse_connections_per_user_max,
            Work.BATCH: settings.batches_per_caller_max,
            Work.SYNC: settings.syncs_per_caller_max,
            Work.PAST_BOARD: settings.historical_boards_per_caller_max,
            Work.CALENDAR: settings.calendars_per_caller_max,
        }
        self._process_max = {
            Work.EXPORT: settings.exports_max,
            Work.STREAM: settings.sse_connections_max,
            Work.CALENDAR: settings.calendars_max,
        }
        self._running: dict[Work, Counter[str]] = {work: Counter() for work in Work}
        """Running work by caller; callers without any are removed, so that the memory is bounded by the running
        work."""
        self.refused: Counter[Work] = Counter()
        self.page_turn = asyncio.Semaphore(settings.export_pages_max)
        """Held while a page of a streamed file is read and rendered, but not while it is sent. First come, first
        served, so that all files advance equally, and other requests run in between."""

    def running(self, work: Work) -> int:
        """The number of slots of a kind that are taken in this process."""
        return self._running[work].total()

    @contextmanager
    def hold(self, caller: str, work: Work) -> Iterator[None]:
        """Holds a slot while the block runs. Raises Unavailable if the process has no free slot, and TooManyAtOnce if
        the caller has none."""
        running, caller_max, process_max = self._running[work], self._caller_max[work], self._process_max.get(work)
        if process_max is not None and running.total() >= process_max:
            self.refused[work] += 1
            raise Unavailable(f"{process_max} {work.value} are already running in this process; try again shortly")
        if running[caller] >= caller_max:
            self.refused[work] += 1
            raise TooManyAtOnce(f"at most {caller_max} {work.value} of one caller at once", RETRY_AFTER_S)
        running[caller] += 1
        try:
            yield
        finally:
            running[caller] -= 1
            if not running[caller]:
                del running[caller]
