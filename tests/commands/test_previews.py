"""Dry runs: what is decided and not stored is as true as a refusal is."""

from __future__ import annotations

import asyncio
from uuid import UUID

from msgspec.structs import replace

from taskflow.commands import task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.preview import preview
from taskflow.errors import Forbidden, NotFound, VersionConflict
from taskflow.settings import Settings
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore

from .test_bundles import create, head, on, retitle, step
from .world import Gate, appends_held, edit, group_at_server, make_task, outcome, remove_member, set_member


async def any_caller(_: Accepted) -> None:
    """Nothing was withdrawn from anybody."""


async def test_what_is_tried_is_what_an_execution_then_does(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    made = create(owner, project_id)
    steps = [
        retitle(owner, task_id, "New"),
        step(owner, handler_of(task.EditTask), task_id, task.EditTask(status="no such")),
        retitle(owner, task_id, "New"),
        retitle(owner, task_id, "Newer", expected_version=1),
        made,
        on(made, owner, handler_of(task.EditTask), task.EditTask(title="Child")),
    ]
    before = await head(store)
    tried = await preview(other, steps, any_caller)
    assert await head(store) == before
    done = await executor.execute_in_order(steps)
    for one, answer in zip(tried, done, strict=True):
        if not isinstance(answer, Accepted):
            assert (type(one), str(one)) == (type(answer), str(answer))
            continue
        assert isinstance(one, Accepted)
        assert (one.receipt.outcome, one.receipt.version, one.receipt.position) == (
            answer.receipt.outcome,
            answer.receipt.version,
            0,
        )
        assert [event.type for event in one.appended] == [event.type for event in answer.appended]
    assert isinstance(done[3], VersionConflict)
    again = await preview(other, steps, any_caller)
    for one, answer in zip(again, done, strict=True):
        if isinstance(answer, Accepted):
            assert isinstance(one, Accepted)
            assert outcome(one) == outcome(answer)


async def test_what_moved_while_it_was_tried_is_looked_at_again(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    """Another process writes between the decision and the answer."""
    task_id = await make_task(executor, owner, project_id)
    gate = Gate()
    held = replace(
        retitle(owner, task_id, "New"),
        handler=gate.around(handler_of(task.EditTask), task_id, task.EditTask(title="New")),
    )
    trying = asyncio.create_task(preview(executor, [held], any_caller))
    await gate.decided.wait()
    await edit(other, owner, task_id, title="New")
    gate.open.set()
    [tried] = await trying
    assert isinstance(tried, Accepted)
    assert (tried.receipt.outcome, tried.receipt.version) == (Outcome.UNCHANGED, 2)


async def test_a_refusal_on_what_has_moved_is_not_told(
    executor: Executor, other: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    """What a refused command has read counts too, though it leaves nothing behind."""
    task_id = await make_task(executor, owner, project_id)
    await edit(executor, member, task_id, title="Mine")
    await set_member(other, owner, project_id, member, "viewer")
    await make_task(executor, owner, project_id)  # this process has seen the viewer
    refused = retitle(member, task_id, "New")
    [tried] = await preview(executor, [refused], any_caller)
    assert isinstance(tried, Forbidden)
    await set_member(other, owner, project_id, member, "member")
    [tried] = await preview(executor, [refused], any_caller)
    assert isinstance(tried, Accepted)
    await remove_member(other, owner, project_id, member)
    [tried] = await preview(executor, [refused], any_caller)
    assert isinstance(tried, NotFound)


async def test_what_is_on_its_way_is_waited_for(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    async with appends_held(settings) as release:
        writing = asyncio.create_task(edit(executor, owner, task_id, title="New"))
        await group_at_server(store)
        trying = asyncio.create_task(preview(executor, [retitle(owner, task_id, "New")], any_caller))
        done, _ = await asyncio.wait([trying], timeout=0.2)
        assert not done, "it stands on a title that is not stored"
        await release()
        [tried] = await trying
    await writing
    assert isinstance(tried, Accepted)
    assert (tried.receipt.outcome, tried.receipt.version) == (Outcome.UNCHANGED, 2)


async def test_a_command_that_was_accepted_while_it_was_tried_is_a_repeat(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    gate = Gate()
    handler = gate.around(handler_of(task.CreateTask), None, task.CreateTask(project_id=project_id, title="T"))
    trying = asyncio.create_task(preview(executor, [replace(made, handler=handler)], any_caller))
    await gate.decided.wait()
    done = await other.execute(made)
    gate.open.set()
    [tried] = await trying
    assert isinstance(tried, Accepted)
    assert outcome(tried) == outcome(done)
    assert tried.receipt.replayed
