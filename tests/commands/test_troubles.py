"""Callers that leave, queues that are full, servers that are away, values that no server takes."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Executor
from taskflow.errors import (
    QueueFull,
    StoreError,
    Unavailable,
)
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore, open_event_store

from .world import (
    appends_held,
    edit,
    group_at_server,
    make_task,
    register,
    send,
    titles,
    until,
    versions,
)


async def test_a_command_whose_caller_left_is_stored_and_answers_its_repeat(
    executor: Executor, other: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    for one in (executor, other):
        same = {"command_id": new_id()}
        async with appends_held(settings) as release:
            leaving = asyncio.create_task(edit(executor, owner, task_id, title=f"{same}", circumstances=same))
            await group_at_server(store)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            again = asyncio.create_task(edit(one, owner, task_id, title=f"{same}", circumstances=same))
            await release()
        accepted = await again
        assert accepted.state.title == f"{same}"
    assert await versions(store, task_id) == [1, 2, 3]


async def test_a_full_queue_refuses_and_forgets(settings: Settings, executor: Executor) -> None:
    small = replace(settings, append_queue_max=2)
    async with open_event_store(small, "test") as store:
        crowded = Executor(store, small)
        people = [await register(executor, settings) for _ in range(4)]
        command = user.EditProfile(settings={"theme": "dark"})
        same = {"command_id": new_id()}
        async with appends_held(settings) as release:
            sent = [asyncio.create_task(send(crowded, people[0], handler_of(user.EditProfile), None, command))]
            await group_at_server(store)
            sent += [
                asyncio.create_task(send(crowded, who, handler_of(user.EditProfile), None, command))
                for who in people[1:3]
            ]
            await until(lambda: store.committer.queued == 2, "a full queue")
            with pytest.raises(QueueFull, match="2 commands are waiting"):
                await send(crowded, people[3], handler_of(user.EditProfile), None, command, **same)
            await release()
        assert all(accepted.receipt.outcome is Outcome.APPLIED for accepted in await asyncio.gather(*sent))
        later = await send(crowded, people[3], handler_of(user.EditProfile), None, command, **same)
        assert (later.receipt.outcome, later.receipt.replayed) == (Outcome.APPLIED, False)


async def test_a_store_that_is_away_is_unavailable_and_the_same_id_goes_on_later(
    settings: Settings, server: Any, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    impatient = replace(settings, append_deadline_ms=200)
    async with open_event_store(impatient, "test") as store:
        one = Executor(store, impatient)
        await edit(one, owner, task_id, title="Before")
        unread = await make_task(executor, owner, project_id)
        server("postgres").kill()
        same = {"command_id": new_id()}
        with pytest.raises(Unavailable):  # decided from memory, and cannot be stored
            await edit(one, owner, task_id, title="After", circumstances=same)
        with pytest.raises(Unavailable):  # a refusal that cannot be compared with the store
            await edit(one, owner, task_id, status="no such")
        with pytest.raises(Unavailable):  # nothing in memory to decide on
            await edit(one, owner, unread, title="After")
        server("postgres").start()
        accepted = await edit(one, owner, task_id, title="After", circumstances=same)
        assert (accepted.receipt.version, accepted.state.title) == (3, "After")


async def test_an_accepted_command_succeeds_though_its_snapshot_cannot_be_written(
    settings: Settings, owner: UUID, project_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    often = replace(settings, snapshot_every_events=3)
    async with open_event_store(often, "test") as store:
        one = Executor(store, often)
        task_id = await make_task(one, owner, project_id)
        await store.pool.execute("alter table snapshots rename to gone")
        for n in range(2, 7):
            assert (await edit(one, owner, task_id, title=f"Title {n}")).receipt.version == n
    assert "a snapshot was not written" in caplog.text


async def test_what_the_driver_cannot_write_costs_only_its_own_command(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    async with appends_held(settings) as release:
        first = asyncio.create_task(edit(executor, owner, task_id, title="At the server"))
        await group_at_server(store)
        bad = asyncio.create_task(
            edit(executor, owner, task_id, title="Bad", circumstances={"correlation_id": "half a \ud800"})
        )
        good = asyncio.create_task(make_task(executor, owner, project_id))
        await until(lambda: store.committer.queued == 2, "both in the queue")
        await release()
    await first
    with pytest.raises(StoreError, match="refused"):
        await bad
    assert await good
    assert await titles(store, task_id) == ["T", "At the server"]
    assert (await edit(executor, owner, task_id, title="Good")).receipt.version == 3
