"""Rendered calendars: one rendering for each change, one at a time for an owner, a few at once in a process."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from taskflow.api.calendar_feeds import CalendarFeeds
from taskflow.errors import Unavailable
from taskflow.settings import Settings

ADA, BOB = UUID(int=1), UUID(int=2)


class Renderer:
    """Renders when it is let, and knows how often it did and how many ran at once."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.begun = self.running = self.most = 0

    async def __call__(self) -> bytes:
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.may.wait()
        finally:
            self.running -= 1
        return b"feed %d" % self.begun


async def _begun(renderer: Renderer, count: int) -> None:
    while renderer.begun < count:
        await asyncio.sleep(0)


async def test_many_who_ask_at_once_share_one_rendering() -> None:
    feeds, renderer = CalendarFeeds(Settings()), Renderer()
    asking = [asyncio.create_task(feeds.get(ADA, "a", renderer)) for _ in range(50)]
    await _begun(renderer, 1)
    asking[0].cancel()  # who leaves takes nobody along
    renderer.may.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {feed.body for feed in answers[1:] if not isinstance(feed, BaseException)} == {b"feed 1"}
    assert (await feeds.get(ADA, "a", renderer)).body == b"feed 1"
    assert renderer.begun == 1


async def test_what_changed_is_rendered_anew_after_the_rendering_before_it() -> None:
    feeds, renderer = CalendarFeeds(Settings()), Renderer()
    old, new = (asyncio.create_task(feeds.get(ADA, sources, renderer)) for sources in ("a", "b"))
    await _begun(renderer, 1)
    renderer.may.set()
    assert [(await old).body, (await new).body] == [b"feed 1", b"feed 2"]
    assert renderer.most == 1
    assert (await old).etag != (await new).etag


async def test_what_cannot_be_compared_is_not_kept() -> None:
    feeds, renderer = CalendarFeeds(Settings()), Renderer()
    renderer.may.set()
    assert [(await feeds.get(ADA, None, renderer)).body for _ in range(2)] == [b"feed 1", b"feed 2"]


async def test_a_process_renders_a_few_at_once() -> None:
    feeds, renderer = CalendarFeeds(Settings(calendar_renders_max=2)), Renderer()
    asking = [asyncio.create_task(feeds.get(UUID(int=owner), "a", renderer)) for owner in range(10)]
    await _begun(renderer, 2)
    renderer.may.set()
    await asyncio.gather(*asking)
    assert (renderer.begun, renderer.most) == (10, 2)


async def test_one_that_takes_too_long_is_refused_and_leaves_room_for_others() -> None:
    feeds, stuck, renderer = (
        CalendarFeeds(Settings(calendar_renders_max=1, calendar_timeout_ms=1)),
        Renderer(),
        Renderer(),
    )
    with pytest.raises(Unavailable):
        await feeds.get(ADA, "a", stuck)
    while stuck.running:
        await asyncio.sleep(0)
    renderer.may.set()
    feeds = CalendarFeeds(Settings(calendar_renders_max=1))
    assert (await feeds.get(BOB, "a", renderer)).body == b"feed 1"


async def test_a_failure_is_told_and_forgotten() -> None:
    feeds, renderer = CalendarFeeds(Settings()), Renderer()
    renderer.may.set()

    async def fails() -> bytes:
        raise OSError("no views")

    with pytest.raises(OSError, match="no views"):
        await feeds.get(ADA, "a", fails)
    assert (await feeds.get(ADA, "a", renderer)).body == b"feed 1"
