"""Purging of tasks that were in the trash for too long. The system sends this command; no client can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskflow.errors import Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import TaskPurged, TaskState

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from taskflow.commands.unit_of_work import UnitOfWork


def purge(task: TaskState, trashed_before: datetime) -> list[Event]:
    """Purges a task. Raises Rejected if it was purged before, or has not been in the trash for long enough (it may have
    been restored since the purge was planned)."""
    if task.purged:
        raise Rejected("purged", "the task was purged before")
    if task.trashed_at is None or task.trashed_at > trashed_before:
        raise Rejected("not-due", f"the task has not been in the trash since {trashed_before.isoformat()}")
    return [TaskPurged()]


async def purge_task(unit: UnitOfWork, task_id: UUID, trashed_before: datetime) -> UUID:
    task = await unit.get(TASK, task_id)
    unit.append(TASK, task_id, *purge(task, trashed_before))
    return task_id
