"""Two executors on two event stores over one log: what two processes have."""

from __future__ import annotations

from uuid import UUID

import pytest

from taskflow.commands.execute import Executor
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore

from .world import make_admin, make_project, register


@pytest.fixture
def executor(store: EventStore, settings: Settings) -> Executor:
    return Executor(store, settings)


@pytest.fixture
def other(other_store: EventStore, settings: Settings) -> Executor:
    """The executor of another process."""
    return Executor(other_store, settings)


@pytest.fixture
async def owner(executor: Executor, settings: Settings) -> UUID:
    return await register(executor, settings)


@pytest.fixture
async def member(executor: Executor, settings: Settings) -> UUID:
    return await register(executor, settings)


@pytest.fixture
async def admin(executor: Executor, settings: Settings) -> UUID:
    """An admin of the system, in no project of anybody's."""
    return await make_admin(executor, settings)


@pytest.fixture
async def project_id(executor: Executor, owner: UUID, member: UUID) -> UUID:
    """A project with both."""
    return await make_project(executor, owner, member=(member, "member"))
