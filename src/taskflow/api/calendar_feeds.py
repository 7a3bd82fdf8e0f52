"""Rendered calendar feeds, kept in memory for as long as what they were made of is unchanged.

Anybody who knows the secret asks for a feed, as often as they like. So a feed is rendered once for each change, by one
task for each owner, and by a bounded number of tasks in the whole process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from msgspec import Struct

from taskflow.api import render
from taskflow.errors import Unavailable
from taskflow.lru import LruCache
from taskflow.off_loop import on_thread

if TYPE_CHECKING:
    from taskflow.settings import Settings

FEED_BYTES: Final = 1_000
"""What a feed weighs in memory beside its text, about."""


class Feed(Struct, frozen=True):
    """A rendered feed."""

    body: bytes
    etag: str


class _Rendering(NamedTuple):
    sources: Hashable | None
    task: asyncio.Task[Feed]


class CalendarFeeds:
    """The feeds of one API process, the least recently asked for dropped first."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.calendar_timeout_ms / 1000
        self._kept: LruCache[UUID, tuple[Hashable, Feed]] = LruCache(settings.calendars_bytes_max)
        self._rendering: dict[UUID, _Rendering] = {}
        self._slots = asyncio.Semaphore(settings.calendar_renders_max)
        self.rendered = 0

    async def get(self, owner: UUID, sources: Hashable | None, make: Callable[[], Awaitable[bytes]]) -> Feed:
        """The owner's feed. `sources` says what it is made of: equal ones make the same feed; None makes one that is
        not kept. Raises Unavailable where it takes too long, and what `make` raises."""
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
            # Shared, so one caller that leaves must not cancel it for the others.
            return await asyncio.shield(rendering.task)

    async def _render(self, owner: UUID, sources: Hashable | None, make: Callable[[], Awaitable[bytes]]) -> Feed:
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                body = await make()
            self.rendered += 1
            feed = Feed(body, f'"{await on_thread(render.digest, body)}"')
            if sources is not None:
                self._kept.put(owner, (sources, feed), FEED_BYTES + len(body))
            return feed
        finally:
            del self._rendering[owner]


def _retrieve(task: asyncio.Task[Feed]) -> None:
    """Whoever asked may have left before it failed."""
    if not task.cancelled():
        task.exception()
