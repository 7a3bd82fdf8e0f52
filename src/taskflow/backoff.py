"""A pause between attempts that doubles each time, up to a bound."""

from __future__ import annotations

import asyncio


class Backoff:
    """The pauses of one retry loop, in seconds: the first is `first_s`, none is longer than `max_s`."""

    def __init__(self, first_s: float, max_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self.next_s = first_s
        """The length of the next pause."""

    def reset(self) -> None:
        """Begins again with the first pause, after an attempt that succeeded."""
        self.next_s = self._first_s

    async def wait(self) -> None:
        await asyncio.sleep(self.next_s)
        self.next_s = min(self.next_s * 2, self._max_s)
