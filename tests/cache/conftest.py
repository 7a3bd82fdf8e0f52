"""Fixtures: the caches of two processes on one Redis, and the source behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from taskflow.cache.cache import Cache, open_cache
from taskflow.settings import Settings

from .world import Views


@pytest.fixture
def views() -> Views:
    return Views()


@pytest.fixture
def own(settings: Settings) -> Settings:
    # A long timeout, so that a busy machine does not look like a failing Redis. Tests of the timeout set a short one.
    return replace(settings, cache_timeout_ms=5_000, cache_breaker_open_ms=100)


@pytest.fixture
async def cache(own: Settings) -> AsyncIterator[Cache]:
    async with open_cache(own) as cache:
        yield cache


@pytest.fixture
async def other_cache(own: Settings) -> AsyncIterator[Cache]:
    """The cache of another process on the same Redis."""
    async with open_cache(own) as cache:
        yield cache
