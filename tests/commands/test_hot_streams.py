"""Many commands on one stream at once, from one process and from two."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from taskflow.commands.execute import Accepted, Executor
from taskflow.errors import (
    VersionConflict,
)
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import TASK

from .world import (
    edit,
    make_project,
    make_task,
    register,
    versions,
)


async def test_two_hundred_edits_of_one_task_at_once_see_no_conflict(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    answers = await asyncio.gather(*[edit(executor, owner, task_id, title=f"Title {n}") for n in range(200)])
    assert sorted(answer.receipt.version for answer in answers) == list(range(2, 202))
    assert await versions(store, task_id) == list(range(1, 202))
    assert all(answer.state.version == answer.receipt.version for answer in answers)


async def test_a_process_without_room_for_states_reads_each_anew(settings: Settings) -> None:
    async with open_event_store(replace(settings, state_cache_bytes_max=1), "forgetful") as store:
        executor = Executor(store, settings)
        owner = await register(executor, settings)
        task_id = await make_task(executor, owner, await make_project(executor, owner))
        await asyncio.gather(*[edit(executor, owner, task_id, title=f"Title {n}") for n in range(30)])
        assert await versions(store, task_id) == list(range(1, 32))


async def test_heavy_states_fill_no_more_memory_than_they_may(settings: Settings) -> None:
    async with open_event_store(replace(settings, state_cache_bytes_max=1_000_000), "small") as store:
        executor = Executor(store, settings)
        owner = await register(executor, settings)
        project_id = await make_project(executor, owner)
        tasks = [await make_task(executor, owner, project_id, description="x" * 100_000) for _ in range(20)]
        in_memory = [task_id for task_id in tasks if store.state_cache.known(TASK, task_id) is not None]
        assert in_memory == tasks[-len(in_memory) :]
        assert 5 < len(in_memory) < 10
        # What was forgotten is read again.
        assert (await edit(executor, owner, tasks[0], title="new")).receipt.version == 2


async def test_two_processes_edit_one_task_and_see_no_conflict(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    answers = await asyncio.gather(
        *[edit(one, owner, task_id, title=f"Title {n}") for n, one in enumerate((executor, other) * 50)]
    )
    assert sorted(answer.receipt.version for answer in answers) == list(range(2, 102))
    assert await versions(store, task_id) == list(range(1, 102))


async def test_of_many_edits_that_expect_one_version_exactly_one_wins(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    answers = await asyncio.gather(
        *[
            edit(one, owner, task_id, title=f"Title {n}", circumstances={"expected_version": 1})
            for n, one in enumerate((executor, other) * 20)
        ],
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Accepted) for answer in answers) == 1
    conflicts = [answer for answer in answers if isinstance(answer, VersionConflict)]
    assert {(conflict.expected, conflict.current) for conflict in conflicts} == {(1, 2)}
    assert len(conflicts) == 39
    assert await versions(store, task_id) == [1, 2]


async def test_occurred_at_never_decreases_within_a_stream(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    now = datetime.now(UTC)
    for one, minutes in ((executor, 5), (other, -5), (executor, 0)):
        at = now + timedelta(minutes=minutes)
        await edit(one, owner, task_id, title=f"At {minutes}", circumstances={"at": at})
    times = [event.occurred_at for event in await store.log.stream(task_id)]
    assert times == sorted(times)
    assert times[1] == times[2] == times[3] == now + timedelta(minutes=5)
