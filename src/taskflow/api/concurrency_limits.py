"""Slots: how much of what takes long may run at once, for one caller and for the whole process.

A rate says how often somebody may ask; it says nothing about what each request then holds. Sixty exports that one
person has open cost everybody else the event loop, at whatever rate they were begun. So each kind of long work has
a number of slots for every caller (one more is refused, 429) and, where the process needs it, for all callers
together (one more is refused, 503). The slots are of one process: what they protect is its event loop and memory.

    call.hold(Work.EXPORT)                     until the answer has been sent, however that ends
    with context.slots.hold(caller, Work.WAIT)  for as long as the block runs
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
"""For somebody who has too much running: a slot comes back when something of theirs ends."""


class Work(Enum):
    """Kinds of long work; the value is what a refusal calls them."""

    WAIT = "waiting reads"
    EXPORT = "exports"
    STREAM = "streams"
    BATCH = "batches"
    SYNC = "syncs"
    PAST_BOARD = "boards of the past"
    CALENDAR = "calendars"


class Slots:
    """What runs now in this process, by kind and caller."""

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
        """By caller; nobody is in it with 0, so it is as large as what runs."""
        self.refused: Counter[Work] = Counter()
        self.page_turn = asyncio.Semaphore(settings.export_pages_max)
        """Held while a page of a streamed file is read and rendered, not while it is sent. First come, first served,
        so files that are sent side by side advance side by side, and leave the event loop to others in between."""

    def running(self, work: Work) -> int:
        """Slots that are taken in this process."""
        return self._running[work].total()

    @contextmanager
    def hold(self, caller: str, work: Work) -> Iterator[None]:
        """Takes a slot for as long as the block runs. Raises Unavailable where the process has as many as it may,
        and TooManyAtOnce where the caller has."""
        running, caller_max, process_max = self._running[work], self._caller_max[work], self._process_max.get(work)
        if process_max is not None and running.total() >= process_max:
            self.refused[work] += 1
            raise Unavailable(f"{process_max} {work.value} run here already; try again shortly")
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
