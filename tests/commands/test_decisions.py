"""Invariants 3 and 12: no write, no-op or refusal stands on what had moved in another process or in the same group."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from taskflow.commands import project, task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.errors import (
    Forbidden,
    NotFound,
    Rejected,
    VersionConflict,
)
from taskflow.settings import Settings
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore

from .world import (
    Gate,
    appends_held,
    edit,
    group_at_server,
    make_task,
    register,
    remove_member,
    request,
    send,
    set_member,
    titles,
    until,
    versions,
)

# --- roles


@pytest.mark.parametrize("withdrawn", ["removed", "made a viewer"])
async def test_a_role_withdrawn_between_decision_and_append_refuses_the_write(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID, withdrawn: str
) -> None:
    task_id = await make_task(executor, owner, project_id)
    gate = Gate()
    last_word = asyncio.create_task(
        executor.execute(
            request(member, gate.around(handler_of(task.EditTask), task_id, task.EditTask(title="Last word")))
        )
    )
    await gate.decided.wait()
    if withdrawn == "removed":
        await remove_member(other, owner, project_id, member)
    else:
        await set_member(other, owner, project_id, member, "viewer")
    gate.open.set()
    with pytest.raises(NotFound if withdrawn == "removed" else Forbidden):
        await last_word
    assert gate.runs == 1, "the second decision ends at the role"
    assert await titles(store, task_id) == ["T"]


async def test_a_role_withdrawn_earlier_in_the_same_group_refuses_the_write(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, member: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    gate = Gate()
    async with appends_held(settings) as release:
        first = asyncio.create_task(edit(executor, owner, task_id, title="At the server"))
        await group_at_server(store)
        last_word = asyncio.create_task(
            executor.execute(
                request(member, gate.around(handler_of(task.AssignTask), task_id, task.AssignTask(user_id=member)))
            )
        )
        await gate.decided.wait()
        removal = asyncio.create_task(remove_member(executor, owner, project_id, member))
        await until(lambda: store.committer.queued == 1, "the removal in the queue")
        gate.open.set()
        await until(lambda: store.committer.queued == 2, "both in the queue")
        await release()
    await first
    await removal
    with pytest.raises(NotFound):
        await last_word
    assert [event.type for event in await store.log.stream(task_id)] == ["TaskCreated", "TaskRetitled"]


async def test_a_role_granted_elsewhere_works_at_once(
    executor: Executor, other: Executor, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    newcomer = await register(executor, settings)
    task_id = await make_task(executor, owner, project_id)
    with pytest.raises(NotFound):
        await edit(executor, newcomer, task_id, title="Too early")
    await set_member(other, owner, project_id, newcomer, "member")
    accepted = await edit(executor, newcomer, task_id, title="Hello")
    assert accepted.state.title == "Hello"


# --- decisions on stale states


async def test_a_no_op_decided_on_a_stale_state_is_decided_again(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id, title="Old")
    await edit(other, owner, task_id, title="New")
    accepted = await edit(executor, owner, task_id, title="Old")
    assert (accepted.receipt.outcome, accepted.receipt.version) == (Outcome.APPLIED, 3)
    assert await titles(store, task_id) == ["Old", "New", "Old"]


async def test_a_refusal_decided_on_a_stale_state_is_decided_again(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    await send(executor, owner, handler_of(task.TrashTask), task_id, task.TrashTask())
    await send(other, owner, handler_of(task.RestoreTask), task_id, task.RestoreTask())
    accepted = await edit(executor, owner, task_id, title="Possible again")
    assert (accepted.receipt.version, accepted.state.trashed_at) == (4, None)


async def test_an_expected_version_is_compared_with_the_store_and_not_with_what_a_process_remembers(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    await edit(other, owner, task_id, title="Second")
    accepted = await edit(executor, owner, task_id, title="Third", circumstances={"expected_version": 2})
    assert accepted.receipt.version == 3
    with pytest.raises(VersionConflict, match="expected version 2, stream is at 3"):
        await edit(other, owner, task_id, title="Late", circumstances={"expected_version": 2})


async def test_a_refusal_on_a_state_that_never_came_to_be_is_decided_again(
    executor: Executor, other: Executor, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    """The version fits by then, but it is another event's: versions alone would let the refusal stand."""
    task_id = await make_task(executor, owner, project_id)
    await edit(other, owner, task_id, title="Elsewhere")
    async with appends_held(settings) as release:
        trash = asyncio.create_task(
            send(executor, owner, handler_of(task.TrashTask), task_id, task.TrashTask(), expected_version=1)
        )
        gate = Gate()
        retitle = asyncio.create_task(
            executor.execute(
                request(owner, gate.around(handler_of(task.EditTask), task_id, task.EditTask(title="Mine")))
            )
        )
        # Both are decided, the second on the first's event; neither is known to be stored or not.
        await until(lambda: len(executor._running) == 2, "two commands under way")
        for _ in range(50):
            await asyncio.sleep(0)
        assert not gate.decided.is_set(), "the state under way is a task in the trash: nothing to edit"
        gate.open.set()
        await release()
    with pytest.raises(VersionConflict):
        await trash
    accepted = await retitle
    assert (accepted.receipt.version, accepted.state.title) == (3, "Mine")


async def test_an_id_of_another_kind_of_stream_is_not_found(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    for one in (executor, other, other):  # what made it, what has never seen it, what has just seen it
        with pytest.raises(NotFound, match="no task"):
            await edit(one, owner, project_id, title="Not a task")
        with pytest.raises(NotFound, match="no project"):
            await send(one, owner, handler_of(project.ArchiveProject), task_id, project.ArchiveProject())
        with pytest.raises(NotFound, match="no task"):
            await edit(one, owner, owner, title="Not a task")


async def test_a_create_never_appends_to_a_stream_that_is_there(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    command = task.CreateTask(project_id=project_id, title="Again")
    for taken in (task_id, project_id, owner):
        with pytest.raises(Rejected, match="already"):
            await send(other, owner, task.create_task, taken, command)
    with pytest.raises(Rejected, match="already"):
        await send(other, owner, project.create_project, task_id, project.CreateProject(name="Again"))
    assert await versions(store, task_id) == [1]
