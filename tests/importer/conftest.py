"""The store that imports write to, as a second process sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "test") as store:
        yield store
