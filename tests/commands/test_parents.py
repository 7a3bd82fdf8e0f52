"""What a task may be hung below, once tasks have moved to other projects, into the trash and out of it for good."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from taskflow.commands import task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.commands.fields import PARENT_DEPTH_MAX
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import NotFound, Rejected
from taskflow.streams import TASK, Event
from taskflow.streams.task import TaskMoved, TaskPurged
from tests.commands.world import edit, make_project, make_task, request, send


async def append(executor: Executor, by: UUID, task_id: UUID, event: Event) -> None:
    async def handler(unit: UnitOfWork) -> UUID:
        await unit.get(TASK, task_id)
        unit.append(TASK, task_id, event)
        return task_id

    await executor.execute(request(by, handler))


async def trash(executor: Executor, by: UUID, task_id: UUID) -> None:
    await send(executor, by, handler_of(task.TrashTask), task_id, task.TrashTask())


def moved(source: UUID, destination: UUID, **more: Any) -> TaskMoved:
    return TaskMoved(from_project_id=source, project_id=destination, status="todo", category="todo", rank="a", **more)


async def test_below_a_task_in_the_trash_nothing_is_hung(executor: Executor, owner: UUID, project_id: UUID) -> None:
    parent, child = [await make_task(executor, owner, project_id) for _ in range(2)]
    await trash(executor, owner, parent)
    with pytest.raises(Rejected) as refused:
        await edit(executor, owner, child, parent_id=parent)
    assert refused.value.code == "trashed"
    with pytest.raises(Rejected) as refused:
        await make_task(executor, owner, project_id, parent_id=parent)
    assert refused.value.code == "trashed"


async def test_what_hangs_there_already_stays_and_may_be_edited(
    executor: Executor, owner: UUID, project_id: UUID
) -> None:
    parent = await make_task(executor, owner, project_id)
    child = await make_task(executor, owner, project_id, parent_id=parent)
    await trash(executor, owner, parent)
    edited = await edit(executor, owner, child, title="New", parent_id=parent)
    assert (edited.state.title, edited.state.parent_id) == ("New", parent)
    assert (await edit(executor, owner, child, parent_id=None)).state.parent_id is None


async def test_a_purged_task_and_one_of_another_project_are_not_found(
    executor: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    purged, gone, child = [await make_task(executor, owner, project_id) for _ in range(3)]
    await append(executor, owner, purged, TaskPurged())
    await append(executor, owner, gone, moved(project_id, await make_project(executor, owner)))
    for parent in (purged, gone):
        for by in (owner, member):
            with pytest.raises(NotFound, match=f"no task {parent}"):
                await edit(executor, by, child, parent_id=parent)


async def test_the_walk_goes_on_above_a_parent_wherever_it_leads(
    executor: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    """`away` stands in another project, `trashed` in the trash, and below both hangs the parent."""
    elsewhere = await make_project(executor, owner)
    top, away, trashed, parent = [await make_task(executor, owner, project_id) for _ in range(4)]
    for child, above in ((parent, trashed), (trashed, away), (away, top)):
        await edit(executor, owner, child, parent_id=above)
    await append(executor, owner, away, moved(project_id, elsewhere, parent_id=top))
    await trash(executor, owner, trashed)
    free = await make_task(executor, member, project_id, parent_id=parent)
    assert (await edit(executor, member, free, parent_id=None)).state.parent_id is None
    with pytest.raises(Rejected) as refused:
        await edit(executor, member, top, parent_id=parent)
    assert refused.value.code == "cycle"
    assert str(away) not in str(refused.value)


async def test_the_depth_is_counted_through_other_projects(executor: Executor, owner: UUID, project_id: UUID) -> None:
    elsewhere = await make_project(executor, owner)
    tasks = [await make_task(executor, owner, project_id)]
    for _ in range(PARENT_DEPTH_MAX - 1):
        tasks.append(await make_task(executor, owner, project_id, parent_id=tasks[-1]))
    await append(executor, owner, tasks[3], moved(project_id, elsewhere, parent_id=tasks[2]))
    with pytest.raises(Rejected) as refused:
        await make_task(executor, owner, project_id, parent_id=tasks[-1])
    assert refused.value.code == "too-deep"
    await make_task(executor, owner, project_id, parent_id=tasks[-2])
