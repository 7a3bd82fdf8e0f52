"""An event store for each test, and a second process's view of the same log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "test") as store:
        yield store


@pytest.fixture
async def other_store(settings: Settings) -> AsyncIterator[EventStore]:
    """Another committer and other caches: what another process has."""
    async with open_event_store(settings, "test other") as store:
        yield store
