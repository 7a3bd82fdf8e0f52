"""What no route does, done as another process would: straight on the event store of the stack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from taskflow.commands import user
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.purge import purge_task
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import open_event_store
from taskflow.streams import PROJECT
from taskflow.streams.project import MemberAdded, Role
from tests.commands.world import send


class Beside:
    """Another process at the same log."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def grant(self, user_id: str, *roles: str) -> int:
        """These are all of somebody's system roles; the position."""
        return (await send(self._executor, UUID(user_id), user.set_roles, UUID(user_id), roles)).receipt.position

    async def purge(self, task_id: str) -> int:
        """The end of a task that is in the trash, however short its stay; the position."""
        return (await send(self._executor, NOBODY, purge_task, UUID(task_id), datetime.now(UTC))).receipt.position

    async def add_without_asking(self, by: str, project: str, user_id: str, role: Role) -> int:
        """As releases did that asked nobody; the position."""

        async def add(unit: UnitOfWork) -> UUID:
            await unit.get(PROJECT, UUID(project))
            unit.append(PROJECT, UUID(project), MemberAdded(user_id=UUID(user_id), role=role))
            return UUID(project)

        return (await send(self._executor, UUID(by), add)).receipt.position

    async def command(self, by: str, at: datetime, handler: Any, *arguments: Any, **circumstances: Any) -> Accepted:
        """A command of somebody's at whatever time."""
        return await send(self._executor, UUID(by), handler, *arguments, at=at, **circumstances)


@asynccontextmanager
async def open_beside(settings: Settings) -> AsyncIterator[Beside]:
    async with open_event_store(settings, "beside the stack") as store:
        yield Beside(Executor(store, settings))


def grant_at_the_machine(settings: Settings, user_id: str, *roles: str) -> int:
    """As `Beside.grant`, for tests that have no event loop."""

    async def grant() -> int:
        async with open_beside(settings) as beside:
            return await beside.grant(user_id, *roles)

    return asyncio.run(grant())
