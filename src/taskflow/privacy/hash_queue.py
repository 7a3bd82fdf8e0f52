"""A bounded and fair queue before the few threads that hash passwords.

Hashing one password takes tens of megabytes and milliseconds of a core, so only a few are hashed at once and the others
wait in lanes, one per network (or known device). The lanes take turns, so that one sign-in does not wait for eighty of
another network. When the queue is full, the longest lane loses its newest entry, so that one network cannot keep others
out. Nobody waits longer than a bound: after it, an answer would be too late to be of use.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from taskflow.errors import QueueFull, TooManyAtOnce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RETRY_AFTER_S: Final = 2
_Turn = asyncio.Future[None]


class HashQueue:
    """Lets `parallel_max` callers hash at once; the others wait in their lanes."""

    def __init__(self, *, parallel_max: int, waiting_max: int, wait_max_s: float) -> None:
        self._parallel_max = parallel_max
        self._waiting_max = waiting_max
        self._wait_max_s = wait_max_s
        self._running = 0
        self._lanes: OrderedDict[str, deque[_Turn]] = OrderedDict()
        """Lanes in which somebody waits; the lane whose turn is next comes first."""
        self.waiting = 0
        self.refused_count = 0

    @asynccontextmanager
    async def turn(self, lane: str) -> AsyncIterator[None]:
        """Waits for a turn and holds it while the block runs. Raises TooManyAtOnce if this lane fills the queue, and
        QueueFull if other lanes do or the wait was too long."""
        if self._running < self._parallel_max and not self._lanes:
            self._running += 1
        else:
            await self._wait(lane)
        try:
            yield
        finally:
            self._running -= 1
            self._next()

    async def _wait(self, lane: str) -> None:
        self._make_room(lane)
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(lane, deque()).append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._wait_max_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                # The turn was given at the moment the wait ended: pass it on.
                self._running -= 1
                self._next()
            else:
                self._leave(lane, turn)
            if isinstance(error, TimeoutError):
                self.refused_count += 1
                raise QueueFull("too many passwords are waiting to be checked; try again shortly") from None
            raise

    def _make_room(self, lane: str) -> None:
        if self.waiting < self._waiting_max:
            return
        self.refused_count += 1
        longest = max(self._lanes, key=lambda name: len(self._lanes[name]))
        most = len(self._lanes[longest])
        if most > len(self._lanes.get(lane, ())) + 1:
            youngest = self._lanes[longest][-1]
            self._leave(longest, youngest)
            youngest.set_exception(_too_many())
            return
        if most > 1:
            raise _too_many()
        raise QueueFull("too many passwords are waiting to be checked; try again shortly")

    def _leave(self, lane: str, turn: _Turn) -> None:
        waiting = self._lanes.get(lane)
        if waiting is None or turn not in waiting:
            return
        waiting.remove(turn)
        self.waiting -= 1
        if not waiting:
            del self._lanes[lane]

    def _next(self) -> None:
        """Gives the free turns to the lanes, in their order."""
        while self._running < self._parallel_max and self._lanes:
            lane, waiting = self._lanes.popitem(last=False)
            turn = waiting.popleft()
            self.waiting -= 1
            if waiting:
                self._lanes[lane] = waiting
            if not turn.done():
                self._running += 1
                turn.set_result(None)


def _too_many() -> TooManyAtOnce:
    return TooManyAtOnce(
        "too many passwords of one network are waiting to be checked; try again shortly", RETRY_AFTER_S
    )
