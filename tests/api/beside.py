"""What no route does, done as another process would: straight on the event store of the stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from taskflow.commands import user
from taskflow.commands.execute import Executor, Target
from taskflow.commands.unit import Unit
from taskflow.settings import Settings
from taskflow.store.eventstore import open_event_store
from taskflow.streams import PROJECT, TASK, Event
from taskflow.streams.project import ProjectWorkflowSet, Workflow
from taskflow.streams.task import TaskMoved, TaskPurged
from tests.commands.world import send


class Beside:
    """Another process at the same log. Every method answers the position of what it wrote."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def grant(self, user_id: str, *roles: str) -> int:
        return await self._send(user_id, user.set_roles, UUID(user_id), roles)

    async def move(self, by: str, task_id: str, project_id: str) -> int:
        async def handler(unit: Unit) -> Target:
            task = await unit.get(TASK, UUID(task_id))
            moved = TaskMoved(
                from_project_id=task.project_id, project_id=UUID(project_id), status=task.status,
                category=task.category, rank=task.rank,
            )  # fmt: skip
            return _appended(unit, UUID(task_id), moved)

        return await self._send(by, handler)

    async def purge(self, by: str, task_id: str) -> int:
        async def handler(unit: Unit) -> Target:
            await unit.get(TASK, UUID(task_id))
            return _appended(unit, UUID(task_id), TaskPurged())

        return await self._send(by, handler)

    async def set_workflow(self, by: str, project_id: str, workflow: Workflow) -> int:
        async def handler(unit: Unit) -> Target:
            await unit.get(PROJECT, UUID(project_id))
            unit.append(PROJECT, UUID(project_id), ProjectWorkflowSet(workflow=workflow))
            return Target(PROJECT, UUID(project_id))

        return await self._send(by, handler)

    async def _send(self, by: str, handler: Any, *arguments: Any) -> int:
        return (await send(self._executor, UUID(by), handler, *arguments)).receipt.position


def _appended(unit: Unit, task_id: UUID, event: Event) -> Target:
    unit.append(TASK, task_id, event)
    return Target(TASK, task_id)


@asynccontextmanager
async def open_beside(settings: Settings) -> AsyncIterator[Beside]:
    async with open_event_store(settings, "beside the stack") as store:
        yield Beside(Executor(store, settings))
