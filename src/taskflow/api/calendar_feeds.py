"""Cache of rendered calendar feeds, each valid as long as the data that it was made from are unchanged.

Anybody who knows its secret may request a feed, as often as they like. So a feed is rendered only once per change, by
one asyncio task per owner, and by a bounded number of tasks in the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from msgspec import Struct

from taskflow.api import encoding
from taskflow.errors import Unavailable
from taskflow.lru import LruCache
from taskflow.off_loop import on_thread

if TYPE_CHECKING:
    from taskflow.settings import Settings

FEED_BYTES: Final = 1_000
"""Memory that a feed takes in addition to its text, approximately."""


class Feed(Struct, frozen=True):
    """A rendered feed."""

    body: bytes
    etag: str


class _Rendering(NamedTuple):
    sources: Hashable | None
    task: asyncio.Task[Feed]


class CalendarFeeds:
    """The feeds of one API process; the least recently used is dropped first."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.calendar_timeout_ms / 1000
        self._kept: LruCache[UUID, tuple[Hashable, Feed]] = LruCache(settings.calendars_bytes_max)
        self._rendering: dict[UUID, _Rendering] = {}
        self._slots = asyncio.Semaphore(settings.calendar_renders_max)
        self.rendered = 0

    async def get(self, owner: UUID, sources: Hashable | None, make: Callable[[], Awaitable[bytes]]) -> Feed:
        """The owner's feed, rendered by `make` unless it is cached. `sources` identifies its data: equal sources give
        the same feed; None: the feed is not cached. Raises Unavailable if it takes too long, and what `make` raises."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._get(owner, sources, make)
        except TimeoutError:
            raise Unavailable("this calendar takes too long to render; try again later") from None

    async def _get(self, owner: UUID, sources: Hashable | None, make: Callable[[], Awaitable[bytes]]) -> Feed:
        while True:
            kept = self._kept.get(owner)
            if kept is not None and kept[0] == sources:
                return kept[1]
            rendering = self._rendering.get(owner)
            if rendering is None:
                rendering = _Rendering(sources, asyncio.create_task(self._render(owner, sources, make)))
                rendering.task.add_done_callback(_retrieve)
                self._rendering[owner] = rendering
            elif rendering.sources is None or rendering.sources != sources:
                await asyncio.wait([rendering.task])
                continue
            # Several callers wait for it, so one that leaves must not cancel it.
            return await asyncio.shield(rendering.task)

    async def _render(self, owner: UUID, sources: Hashable | None, make: Callable[[], Awaitable[bytes]]) -> Feed:
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                body = await make()
            self.rendered += 1
            feed = Feed(body, f'"{await on_thread(encoding.digest, body)}"')
            if sources is not None:
                self._kept.put(owner, (sources, feed), FEED_BYTES + len(body))
            return feed
        finally:
            del self._rendering[owner]


def _retrieve(task: asyncio.Task[Feed]) -> None:
    """Marks the task's exception as retrieved: every caller may have left before it failed."""
    if not task.cancelled():
        task.exception()
