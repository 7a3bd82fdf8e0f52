"""Batches lookups by key from many callers into few queries.

A query costs a driver as much as a few dozen results. The first query is sent at once; keys requested while `CONCURRENT_QUERIES_MAX`
queries are running are collected for the next query. A caller is never answered from a query that was sent before the
caller asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

CONCURRENT_QUERIES_MAX: Final = 2
KEYS_MAX: Final = 200


class BatchLoader(Generic[K, V]):
    """Shares calls of `query_many` between callers. An exception raised by `query_many` goes to every caller of that batch."""

    def __init__(self, query_many: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._query_many = query_many
        self._wanted: dict[K, asyncio.Future[V | None]] = {}
        self._out: set[asyncio.Task[None]] = set()

    async def get(self, key: K) -> V | None:
        """Returns what `query_many` finds under the key; None if it finds nothing."""
        found = self._wanted.get(key)
        if found is None:
            found = self._wanted[key] = asyncio.get_running_loop().create_future()
            self._query()
        # Shielded: the future is shared, so a cancelled caller must not cancel it for the others.
        return await asyncio.shield(found)

    def _query(self) -> None:
        if not self._wanted or len(self._out) >= CONCURRENT_QUERIES_MAX:
            return
        keys = list(self._wanted)[:KEYS_MAX]
        asking = asyncio.create_task(self._answer({key: self._wanted.pop(key) for key in keys}))
        self._out.add(asking)
        asking.add_done_callback(self._answered)

    def _answered(self, asking: asyncio.Task[None]) -> None:
        self._out.discard(asking)
        self._query()

    async def _answer(self, wanted: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._query_many(list(wanted))
        except Exception as error:  # noqa: BLE001 - every exception is passed on to the callers
            for future in wanted.values():
                future.set_exception(error)
                future.exception()  # marks it as retrieved: every caller may be cancelled
        else:
            for key, future in wanted.items():
                future.set_result(found.get(key))
