"""Relations as commands: what may be related, and that nobody closes a cycle of `blocks`, however many try at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

import pytest

from taskflow.commands import relations, task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.fields import BLOCKED_MAX
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import NotFound, Rejected
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK
from taskflow.streams.task import Relation, RelationAdded, RelationType, TaskCreated, TaskPurged
from tests.commands.world import (
    Gate,
    appends_held,
    edit,
    group_at_server,
    make_project,
    make_task,
    request,
    send,
    until,
)


async def relate(executor: Executor, by: UUID, one: UUID, other: UUID, type_: RelationType = "blocks") -> Accepted:
    return await send(executor, by, handler_of(relations.AddRelation), one, relations.AddRelation(type_, other))


async def part(executor: Executor, by: UUID, one: UUID, other: UUID, type_: RelationType = "blocks") -> Accepted:
    target = relations.TaskRelation(one, type_, other)
    return await send(executor, by, handler_of(relations.RemoveRelation), target, relations.RemoveRelation())


async def chain(executor: Executor, by: UUID, project_id: UUID, length: int) -> list[UUID]:
    """Tasks of which each blocks the next, made by one append."""
    ids: list[UUID] = []

    async def handler(unit: UnitOfWork) -> UUID:
        ids[:] = [await unit.new(TASK) for _ in range(length)]
        for one in ids:
            created = TaskCreated(project_id=project_id, title="T", status="todo", category="todo", rank="a")
            unit.append(TASK, one, created)
        for one, other in pairwise(ids):
            unit.append(TASK, one, RelationAdded(relation="blocks", task_id=other))
        return ids[0]

    await executor.execute(request(by, handler))
    return ids


async def purge(executor: Executor, by: UUID, task_id: UUID) -> None:
    async def handler(unit: UnitOfWork) -> UUID:
        await unit.get(TASK, task_id)
        unit.append(TASK, task_id, TaskPurged())
        return task_id

    await executor.execute(request(by, handler))


class TestCycles:
    async def test_two_that_would_close_one_in_one_group_do_not_both_win(
        self, executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
    ) -> None:
        a, b, c = [await make_task(executor, owner, project_id) for _ in range(3)]
        await together(executor, store, settings, owner, c, [(a, b), (b, a)])

    async def test_nor_three(
        self, executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
    ) -> None:
        a, b, c, d = [await make_task(executor, owner, project_id) for _ in range(4)]
        await together(executor, store, settings, owner, d, [(a, b), (b, c), (c, a)])

    @pytest.mark.parametrize("length", [2, 3])
    async def test_nor_from_two_processes(
        self, executor: Executor, other: Executor, owner: UUID, project_id: UUID, length: int
    ) -> None:
        for _ in range(10):
            ids = [await make_task(executor, owner, project_id) for _ in range(length)]
            await assert_one_is_refused(
                [
                    asyncio.create_task(relate((executor, other)[n % 2], owner, one, ids[(n + 1) % length]))
                    for n, one in enumerate(ids)
                ]
            )

    async def test_nor_two_that_add_the_last_edges_of_a_longer_one(
        self, executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
    ) -> None:
        """Neither writes the task that the other names: what both walk through tells them of each other."""
        busy = await make_task(executor, owner, project_id)
        upper, lower = [await chain(executor, owner, project_id, 3) for _ in range(2)]
        await together(executor, store, settings, owner, busy, [(upper[-1], lower[0]), (lower[-1], upper[0])])

    async def test_other_relations_close_none(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        a, b = [await make_task(executor, owner, project_id) for _ in range(2)]
        for one, other in ((a, b), (b, a)):
            for type_ in ("relates_to", "duplicates"):
                await relate(executor, owner, one, other, type_)
        await relate(executor, owner, a, b)
        with pytest.raises(Rejected) as refused:
            await relate(executor, owner, b, a)
        assert refused.value.code == "cycle"

    async def test_what_was_taken_away_is_no_way_back(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        a, b, c = await chain(executor, owner, project_id, 3)
        await part(executor, owner, b, c)
        await relate(executor, owner, c, a)
        with pytest.raises(Rejected):
            await relate(executor, owner, b, c)

    async def test_many_ways_to_one_task_are_no_cycle(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        top, left, right, bottom = [await make_task(executor, owner, project_id) for _ in range(4)]
        for one, other in ((left, bottom), (right, bottom), (top, left), (top, right), (top, bottom)):
            await relate(executor, owner, one, other)
        with pytest.raises(Rejected) as refused:
            await relate(executor, owner, bottom, top)
        assert refused.value.code == "cycle"

    async def test_go_through_tasks_that_the_caller_does_not_see_and_through_the_trash(
        self, executor: Executor, owner: UUID, member: UUID, project_id: UUID
    ) -> None:
        theirs = await make_project(executor, owner)
        a, b = [await make_task(executor, owner, project_id) for _ in range(2)]
        hidden, trashed = [await make_task(executor, owner, within) for within in (theirs, project_id)]
        for one, other in ((a, hidden), (hidden, trashed), (trashed, b)):
            await relate(executor, owner, one, other)
        await send(executor, owner, handler_of(task.TrashTask), trashed, task.TrashTask())
        with pytest.raises(Rejected) as refused:
            await relate(executor, member, b, a)
        assert refused.value.code == "cycle"
        assert str(hidden) not in str(refused.value)
        assert str(trashed) not in str(refused.value)

    async def test_are_looked_for_among_so_many_tasks_and_no_more(
        self, executor: Executor, owner: UUID, project_id: UUID
    ) -> None:
        fits = await chain(executor, owner, project_id, BLOCKED_MAX)
        more = await chain(executor, owner, project_id, BLOCKED_MAX + 2)
        one = await make_task(executor, owner, project_id)
        with pytest.raises(Rejected) as refused:
            await relate(executor, owner, one, more[1])
        assert refused.value.code == "too-deep"
        await relate(executor, owner, one, more[2])
        with pytest.raises(Rejected) as refused:
            await relate(executor, owner, fits[-1], fits[0])
        assert refused.value.code == "cycle"
        # One that would be found only beyond that is refused too.
        with pytest.raises(Rejected) as refused:
            await relate(executor, owner, more[-1], more[0])
        assert refused.value.code == "too-deep"


class TestWhatMayBeRelated:
    async def test_the_other_task_is_one_that_the_caller_sees(
        self, executor: Executor, owner: UUID, member: UUID, project_id: UUID
    ) -> None:
        theirs = await make_project(executor, owner)
        one, hidden = [await make_task(executor, owner, within) for within in (project_id, theirs)]
        purged = await make_task(executor, owner, project_id)
        await purge(executor, owner, purged)
        for other in (hidden, purged, project_id, UUID(int=1)):
            with pytest.raises(NotFound, match=f"no task {other}"):
                await relate(executor, member, one, other)

    async def test_in_whatever_project_and_with_whatever_role(
        self, executor: Executor, owner: UUID, member: UUID, project_id: UUID
    ) -> None:
        theirs = await make_project(executor, owner, member=(member, "viewer"))
        mine, other = [await make_task(executor, owner, within) for within in (project_id, theirs)]
        related = await relate(executor, member, mine, other)
        assert related.state.relations == (Relation("blocks", other),)

    async def test_what_is_there_is_unchanged_and_what_is_not_is_not_found(
        self, executor: Executor, owner: UUID, project_id: UUID
    ) -> None:
        one, other = [await make_task(executor, owner, project_id) for _ in range(2)]
        first = await relate(executor, owner, one, other)
        again = await relate(executor, owner, one, other)
        assert (again.receipt.version, again.events) == (first.receipt.version, ())
        assert (await part(executor, owner, one, other)).state.relations == ()
        with pytest.raises(NotFound):
            await part(executor, owner, one, other)

    async def test_a_relation_is_taken_away_though_the_other_task_is_gone(
        self, executor: Executor, owner: UUID, project_id: UUID
    ) -> None:
        one, other = [await make_task(executor, owner, project_id) for _ in range(2)]
        await relate(executor, owner, one, other)
        await purge(executor, owner, other)
        assert (await part(executor, owner, one, other)).state.relations == ()


async def together(
    executor: Executor,
    store: EventStore,
    settings: Settings,
    owner: UUID,
    busy: UUID,
    edges: Sequence[tuple[UUID, UUID]],
) -> None:
    """All decide before any of them is stored, and go to the server in one group."""
    gates = [Gate() for _ in edges]
    async with appends_held(settings) as release:
        first = asyncio.create_task(edit(executor, owner, busy, title="At the server"))
        await group_at_server(store)
        closing = [
            asyncio.create_task(
                executor.execute(
                    request(
                        owner,
                        gate.around(handler_of(relations.AddRelation), one, relations.AddRelation("blocks", other)),
                    )
                )
            )
            for gate, (one, other) in zip(gates, edges, strict=True)
        ]
        for gate in gates:
            await gate.decided.wait()
        for gate in gates:
            gate.open.set()
        await until(lambda: store.committer.queued == len(edges), "all in the queue")
        await release()
    await first
    await assert_one_is_refused(closing)


async def assert_one_is_refused(closing: Sequence[asyncio.Task[Accepted]]) -> None:
    answers = await asyncio.gather(*closing, return_exceptions=True)
    refusals = [answer for answer in answers if not isinstance(answer, Accepted)]
    assert [answer.code for answer in refusals if isinstance(answer, Rejected)] == ["cycle"], refusals
    assert len(refusals) == 1
