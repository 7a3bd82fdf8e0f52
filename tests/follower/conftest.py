"""A process that follows the log, and another that writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from taskflow.commands.execute import Executor
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from tests.commands.world import make_project, register


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "test") as store:
        yield store


@pytest.fixture
async def other_store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "test other") as store:
        yield store


@pytest.fixture
def executor(store: EventStore, settings: Settings) -> Executor:
    return Executor(store, settings)


@pytest.fixture
def other(other_store: EventStore, settings: Settings) -> Executor:
    """The executor of the process that does not follow."""
    return Executor(other_store, settings)


@pytest.fixture
async def owner(executor: Executor, settings: Settings) -> UUID:
    return await register(executor, settings)


@pytest.fixture
async def member(executor: Executor, settings: Settings) -> UUID:
    return await register(executor, settings)


@pytest.fixture
async def project_id(executor: Executor, owner: UUID, member: UUID) -> UUID:
    """A project with both."""
    return await make_project(executor, owner, member=(member, "member"))
