"""An event store, and an executor that registers people in it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from taskflow.commands.execute import Executor
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "test") as store:
        yield store


@pytest.fixture
def executor(store: EventStore, settings: Settings) -> Executor:
    return Executor(store, settings)
