"""Spreads many short pieces of work over iterations ("rounds") of the event loop, so that other tasks can run between.

A group commit wakes all its callers in the same round. If each then rendered its response, or retried after a
conflict, no other task would run until the last was done. So each waits for its turn: once a round has been busy for
`ROUND_S`, further callers wait for a later round, in order of arrival.
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import Final

ROUND_S: Final = 0.01
"""A piece of work starts only if the round has been busy for less than this."""
WOKEN_MAX: Final = 8
"""Maximum number of waiting callers woken in one round."""


class Turns:
    """The turns of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, round_s: float = ROUND_S) -> None:
        self._loop = loop
        self._round_s = round_s
        self._ends: float | None = None
        """The time at which the current round's budget ends; None until the first caller of the round."""
        self._next: asyncio.Handle | None = None
        self._woken_max = WOKEN_MAX
        """How many waiting callers are woken in the next round."""
        self._woken_too_many = False
        """Whether a caller woken in the last round found no time left."""
        self._numbers = count()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def turn(self) -> None:
        """Waits for a round that has time left."""
        if self.is_free():
            return
        number = next(self._numbers)
        while True:
            woken = self._loop.create_future()
            heappush(self._waiting, (number, woken))
            self._wake_next()
            await woken
            if self._has_time():
                return
            self._woken_too_many = True

    def is_free(self) -> bool:
        """Whether work may begin at once: no caller waits, and this round has time left."""
        return not self._waiting and self._has_time()

    def _has_time(self) -> bool:
        if self._ends is None:
            self._ends = self._loop.time() + self._round_s
            self._wake_next()
            return True
        return self._loop.time() < self._ends

    def _wake_next(self) -> None:
        if self._next is None:
            # `call_soon` runs the callback in the next round.
            self._next = self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._next = self._ends = None
        # Waking a task that finds no time left costs as much as its work, so adapt to how many found time.
        self._woken_max = max(1, self._woken_max // 2) if self._woken_too_many else min(self._woken_max * 2, WOKEN_MAX)
        self._woken_too_many = False
        for _ in range(self._woken_max):
            if not self._waiting:
                return
            _, woken = heappop(self._waiting)
            if not woken.done():
                woken.set_result(None)
        if self._waiting:
            self._wake_next()


_of_loops: Final[dict[asyncio.AbstractEventLoop, Turns]] = {}
"""The turns of each loop. Those of closed loops go when another loop begins: they hold their loop themselves, so that
weak references would keep them for ever."""


async def turn() -> None:
    """Waits for a turn on the running loop."""
    loop = asyncio.get_running_loop()
    turns = _of_loops.get(loop)
    if turns is None:
        for closed in [one for one in _of_loops if one.is_closed()]:
            del _of_loops[closed]
        turns = _of_loops[loop] = Turns(loop)
    if not turns.is_free():
        await turns.turn()
