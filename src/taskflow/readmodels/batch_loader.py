"""Looking things up for many callers at once: while a question is out, the next one gathers.

A question costs a driver as much as a few dozen answers do. The first caller's goes out at once; whoever
comes while `OUT_MAX` are out is asked for together with the others who came. Nobody is answered from a
question that was asked before they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

OUT_MAX: Final = 2
KEYS_MAX: Final = 200


class BatchLoader(Generic[K, V]):
    """Shares `look` between callers. What it raises, each of them gets."""

    def __init__(self, look: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._look = look
        self._wanted: dict[K, asyncio.Future[V | None]] = {}
        self._out: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """What `look` finds under the key; None where it finds nothing."""
        found = self._wanted.get(key)
        if found is None:
            found = self._wanted[key] = asyncio.get_running_loop().create_future()
            self._ask()
        # Shared, so one caller that is cancelled must not cancel it for the others.
        return await asyncio.shield(found)

    def _ask(self) -> None:
        if not self._wanted or len(self._out) >= OUT_MAX:
            return
        keys = list(self._wanted)[:KEYS_MAX]
        asking = asyncio.create_task(self._answer({key: self._wanted.pop(key) for key in keys}))
        self._out.add(asking)
        asking.add_done_callback(self._answered)

    def _answered(self, asking: asyncio.Task[None]) -> None:
        self._out.discard(asking)
        self._ask()

    async def _answer(self, wanted: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._look(list(wanted))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the callers'
            for future in wanted.values():
                future.set_exception(error)
                future.exception()  # every caller may have gone
        else:
            for key, future in wanted.items():
                future.set_result(found.get(key))
