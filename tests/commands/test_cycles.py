"""Two commands that close a cycle between them do not both win."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from taskflow.commands import task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.fields import PARENT_DEPTH_MAX
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Rejected
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK
from taskflow.streams.task import TaskParentSet
from tests.commands.world import Gate, appends_held, edit, group_at_server, make_task, request, until


async def test_two_edits_of_one_group_do_not_close_a_cycle(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    a, b, c = [await make_task(executor, owner, project_id) for _ in range(3)]
    gates = [Gate(), Gate()]
    async with appends_held(settings) as release:
        first = asyncio.create_task(edit(executor, owner, c, title="At the server"))
        await group_at_server(store)
        closing = [
            asyncio.create_task(
                executor.execute(
                    request(owner, gate.around(handler_of(task.EditTask), child, task.EditTask(parent_id=parent)))
                )
            )
            for gate, child, parent in zip(gates, (a, b), (b, a), strict=True)
        ]
        for gate in gates:
            await gate.decided.wait()
        for gate in gates:
            gate.open.set()
        await until(lambda: store.committer.queued == 2, "both in the queue")
        await release()
    await first
    await assert_one_edge(closing)


async def test_two_processes_do_not_close_a_cycle(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    for _ in range(10):
        a, b = [await make_task(executor, owner, project_id) for _ in range(2)]
        await assert_one_edge(
            [
                asyncio.create_task(edit(executor, owner, a, parent_id=b)),
                asyncio.create_task(edit(other, owner, b, parent_id=a)),
            ]
        )


async def test_a_subtree_that_reaches_too_deep_takes_nothing_more_and_closes_no_cycle(
    executor: Executor, owner: UUID, project_id: UUID
) -> None:
    async def chain() -> list[UUID]:
        tasks = [await make_task(executor, owner, project_id) for _ in range(PARENT_DEPTH_MAX)]
        for child, parent in zip(tasks[1:], tasks, strict=False):
            await edit(executor, owner, child, parent_id=parent)
        return tasks

    upper, lower = await chain(), await chain()
    with pytest.raises(Rejected) as refused:
        await edit(executor, owner, lower[0], parent_id=upper[-2])
    assert refused.value.code == "too-deep"

    async def hang(unit: UnitOfWork) -> UUID:
        """As it was possible before what is below was looked at."""
        await unit.get(TASK, lower[0])
        unit.append(TASK, lower[0], TaskParentSet(parent_id=upper[-2]))
        return lower[0]

    await executor.execute(request(owner, hang))
    more = await make_task(executor, owner, project_id)
    for child in (more, upper[0]):
        with pytest.raises(Rejected) as refused:
            await edit(executor, owner, child, parent_id=lower[-1])
        assert refused.value.code == "too-deep"
    # What reaches too deep can be taken away again.
    await edit(executor, owner, lower[0], parent_id=None)
    with pytest.raises(Rejected) as refused:
        await edit(executor, owner, upper[0], parent_id=upper[-1])
    assert refused.value.code == "cycle"


async def assert_one_edge(closing: list[asyncio.Task[Accepted]]) -> None:
    answers = await asyncio.gather(*closing, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Accepted", "Rejected"]
    assert [answer.code for answer in answers if isinstance(answer, Rejected)] == ["cycle"]
