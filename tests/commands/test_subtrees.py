"""A parent moves with everything below it, whatever is added meanwhile, and comes back whole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import move, project, purge, task, undoing
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor, Handler
from taskflow.commands.fields import PARENT_DEPTH_MAX
from taskflow.commands.hints import Hints
from taskflow.commands.undo import UndoTask
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.commands.workflow import NewStatus, SetWorkflow
from taskflow.errors import NotFound, NothingToUndo, Rejected
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK
from taskflow.streams.task import TaskMoved, TaskState
from tests.commands.world import Gate, edit, make_project, make_task, remove_member, request, send


@pytest.fixture
async def there(executor: Executor, owner: UUID, member: UUID) -> UUID:
    return await make_project(executor, owner, member=(member, "member"))


def moving_of(task_id: UUID, project_id: UUID) -> Handler:
    async def handler(unit: UnitOfWork) -> UUID:
        return await move.move_task(unit, task_id, move.MoveTask(project_id=project_id))

    return handler


async def move_as(executor: Executor, by: UUID, task_id: UUID, project_id: UUID, **more: Any) -> Accepted:
    return await send(executor, by, move.move_task, task_id, move.MoveTask(project_id=project_id), **more)


async def undo(executor: Executor, by: UUID, task_id: UUID, version: int | None = None) -> Accepted:
    return await send(executor, by, undoing.undo_task, task_id, UndoTask(version=version))


async def trash(executor: Executor, by: UUID, task_id: UUID) -> None:
    await send(executor, by, handler_of(task.TrashTask), task_id, task.TrashTask())


async def state_of(store: EventStore, task_id: UUID) -> TaskState:
    folded = await store.state_cache.load(TASK, task_id)
    if folded.pending is not None:
        await asyncio.wait([folded.pending.done])
    state: TaskState = folded.state
    return state


async def places(store: EventStore, *tasks: UUID) -> list[UUID]:
    return [(await state_of(store, one)).project_id for one in tasks]


@pytest.fixture
async def tree(executor: Executor, owner: UUID, project_id: UUID) -> list[UUID]:
    """A top, a part of it, a part of that in the trash, and a part of that one."""
    ids: list[UUID] = []
    for _ in range(4):
        ids.append(await make_task(executor, owner, project_id, parent_id=ids[-1] if ids else None))
    await trash(executor, owner, ids[2])
    return ids


# --- moves


async def test_what_is_below_goes_along_as_one_change_of_each(
    executor: Executor, store: EventStore, owner: UUID, there: UUID, tree: list[UUID]
) -> None:
    accepted = await move_as(executor, owner, tree[0], there)
    assert (accepted.receipt.stream_id, accepted.receipt.events) == (tree[0], 4)
    assert accepted.receipt.version == accepted.state.version == 2
    assert [one.stream_id for one in accepted.appended] == tree
    assert accepted.appended[-1].position == accepted.receipt.position
    states = [await state_of(store, one) for one in tree]
    assert [one.project_id for one in states] == [there] * 4
    assert [one.parent_id for one in states] == [None, *tree[:3]]
    assert [one.trashed_at is not None for one in states] == [False, False, True, False]
    ranks = [one.rank for one in states]
    assert ranks == sorted(set(ranks))
    commands = {(await store.log.stream(one))[-1].command_id for one in tree}
    assert len(commands) == 1


async def test_it_leaves_its_own_parent_and_takes_nothing_beside_it(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    beside = await make_task(executor, owner, project_id, parent_id=tree[0])
    moved = await move_as(executor, owner, tree[1], there)
    assert moved.state.parent_id is None
    assert await places(store, *tree, beside) == [project_id, there, there, there, project_id]


async def test_the_status_named_is_the_tops_and_each_other_takes_its_own(
    executor: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID
) -> None:
    top = await make_task(executor, owner, project_id)
    open_, done = [await make_task(executor, owner, project_id, parent_id=top, assignee_id=member) for _ in range(2)]
    await send(executor, owner, handler_of(task.CompleteTask), done, task.CompleteTask())
    elsewhere = await make_project(executor, owner)
    statuses = (
        NewStatus("new", "New", "todo"),
        NewStatus("wait", "Wait", "waiting"),
        NewStatus("over", "Over", "done"),
    )
    mapping = {"todo": "new", "in_progress": "new", "done": "over", "cancelled": "over"}
    await send(executor, owner, _set_workflow, elsewhere, SetWorkflow(statuses=statuses, mapping=mapping))
    command = move.MoveTask(project_id=elsewhere, status="wait")
    await send(executor, owner, move.move_task, top, command)
    states = [await state_of(store, one) for one in (top, open_, done)]
    assert [one.status for one in states] == ["wait", "new", "over"]
    assert states[2].completed_at is not None
    assert [one.assignee_id for one in states] == [None, None, None]


async def _set_workflow(unit: UnitOfWork, project_id: UUID, command: SetWorkflow) -> UUID:
    unit._hints = Hints(status_counts=_Nothing())  # type: ignore[arg-type]  # nothing here is in a status that leaves
    return await handler_of(SetWorkflow)(unit, project_id, command)


class _Nothing:
    async def tasks_in(self, *_: Any) -> dict[str, int]:
        return {}


async def test_one_that_can_be_in_no_status_there_keeps_all_of_them(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    top = await make_task(executor, owner, project_id)
    part = await make_task(executor, owner, project_id, parent_id=top)
    await send(executor, owner, handler_of(task.CancelTask), part, task.CancelTask())
    elsewhere = await make_project(executor, owner)
    await send(executor, owner, _set_workflow, elsewhere, SetWorkflow(statuses=(NewStatus("todo", "To do", "todo"),)))
    with pytest.raises(Rejected) as refused:
        await move_as(executor, owner, top, elsewhere)
    assert (refused.value.code, str(part) in str(refused.value)) == ("no-such-status", True)
    assert await places(store, top, part) == [project_id, project_id]


async def test_what_an_earlier_move_left_elsewhere_stays_with_what_is_below_it(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    """As moves were before whole subtrees moved."""
    elsewhere = await make_project(executor, owner)

    async def move_alone(unit: UnitOfWork) -> UUID:
        state = await unit.get(TASK, tree[1])
        event = TaskMoved(project_id, elsewhere, "todo", "todo", state.rank, None, tree[0])
        unit.append(TASK, tree[1], event)
        return tree[1]

    await executor.execute(request(owner, move_alone))
    await move_as(executor, owner, tree[0], there)
    assert await places(store, *tree) == [there, elsewhere, project_id, project_id]


async def test_a_purged_part_is_no_part(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    await send(executor, NOBODY, purge.purge_task, tree[2], datetime.now(UTC) + timedelta(days=1))
    accepted = await move_as(executor, owner, tree[0], there)
    assert accepted.receipt.events == 2
    assert await places(store, *tree) == [there, there, project_id, project_id]
    await undo(executor, owner, tree[1])
    assert await places(store, *tree) == [project_id] * 4


async def test_more_than_may_move_at_once_stay(
    store: EventStore, settings: Settings, owner: UUID, project_id: UUID, there: UUID
) -> None:
    small = Executor(store, replace(settings, move_tasks_max=3))
    top, other = [await make_task(small, owner, project_id) for _ in range(2)]
    parts = [await make_task(small, owner, project_id, parent_id=top) for _ in range(2)]
    parts.append(await make_task(small, owner, project_id, parent_id=parts[0]))
    part = await make_task(small, owner, project_id, parent_id=other)
    assert (await move_as(small, owner, top, there)).receipt.events == 4
    moves = [moving_of(other, there), moving_of(top, project_id)]
    with pytest.raises(Rejected) as refused:  # together they are four
        await small.execute_together([request(owner, handler) for handler in moves])
    assert refused.value.code == "too-many-subtasks"
    await make_task(small, owner, there, parent_id=parts[2])
    for wants in (move_as(small, owner, top, project_id), undo(small, owner, parts[1])):
        with pytest.raises(Rejected) as refused:
            await wants
        assert refused.value.code == "too-many-subtasks"
    assert await places(store, top, *parts, other, part) == [there] * 4 + [project_id] * 2


async def test_a_bundle_moves_what_it_has_made_and_undoes_it(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID
) -> None:
    ids = [new_id() for _ in range(3)]

    async def make(unit: UnitOfWork, n: int) -> UUID:
        parent = ids[n - 1] if n else None
        command = task.CreateTask(project_id=project_id, title="T", parent_id=parent)
        return await task.create_task(unit, ids[n], command)

    steps = [request(owner, partial(make, n=n)) for n in range(3)]
    made = await executor.execute_together([*steps, request(owner, moving_of(ids[0], there))])
    assert made[-1].receipt.events == 3
    assert await places(store, *ids) == [there] * 3

    async def undo_at(unit: UnitOfWork) -> UUID:
        return await undoing.undo_task(unit, ids[2], UndoTask())

    steps = [request(owner, handler) for handler in (undo_at, moving_of(ids[0], there), undo_at)]
    done = await executor.execute_together(steps)
    assert [one.receipt.events for one in done] == [3, 3, 3]
    assert await places(store, *ids) == [project_id] * 3


# --- meanwhile


async def test_a_child_that_is_added_meanwhile_goes_along(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    gate = Gate()
    handler = gate.around(move.move_task, tree[0], move.MoveTask(project_id=there))
    moved = asyncio.create_task(executor.execute(request(owner, handler)))
    await gate.decided.wait()
    late = await make_task(other, owner, project_id, parent_id=tree[1])
    gate.open.set()
    await moved
    assert gate.runs == 2
    assert await places(store, *tree, late) == [there] * 5


async def test_one_that_comes_below_meanwhile_goes_along_and_one_that_leaves_stays(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    loose = await make_task(executor, owner, project_id)
    gate = Gate()
    handler = gate.around(move.move_task, tree[0], move.MoveTask(project_id=there))
    moved = asyncio.create_task(executor.execute(request(owner, handler)))
    await gate.decided.wait()
    await edit(other, owner, loose, parent_id=tree[3])
    await edit(other, owner, tree[1], parent_id=None)
    gate.open.set()
    await moved
    assert await places(store, tree[0], *tree[1:], loose) == [there] + [project_id] * 4


async def test_a_child_that_loses_against_the_move_is_not_made_in_the_old_project(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    gate = Gate()
    command = task.CreateTask(project_id=project_id, title="late", parent_id=tree[1])
    late = asyncio.create_task(executor.execute(request(owner, gate.around(task.create_task, None, command))))
    await gate.decided.wait()
    await move_as(other, owner, tree[0], there)
    gate.open.set()
    with pytest.raises(NotFound):
        await late


@pytest.mark.parametrize("shared", [True, False])
async def test_whoever_adds_while_it_moves_to_and_fro_tears_nothing(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, shared: bool
) -> None:
    """In two processes, or as neighbours in the groups of one."""
    top = await make_task(executor, owner, project_id)
    adds_with = executor if shared else other
    made: list[UUID] = []
    moves = 0

    async def add() -> None:
        for _ in range(150):
            parent = made[-1] if made and len(made) % 3 else top
            home = (await state_of(store, parent)).project_id
            try:
                made.append(await make_task(adds_with, owner, home, parent_id=parent))
            except NotFound:
                await asyncio.sleep(0)  # it had moved

    async def move_about() -> None:
        nonlocal moves
        for n in range(25):
            if n % 3:
                await move_as(executor, owner, top, there if n % 2 else project_id)
            else:
                try:
                    await undo(executor, owner, made[n % len(made)] if made else top)
                except NothingToUndo:
                    await move_as(executor, owner, top, there)
            moves += 1

    await asyncio.gather(add(), move_about())
    assert moves == 25
    assert len(made) > 10
    assert set(await places(store, *made)) == set(await places(store, top))


# --- undo


@pytest.mark.parametrize("at", [0, 1, 3])
async def test_undone_at_any_of_them_all_come_back_and_redone_all_go(
    executor: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID, there: UUID, at: int
) -> None:
    above = await make_task(executor, owner, project_id)
    tree = [await make_task(executor, owner, project_id, parent_id=above)]
    for _ in range(3):
        tree.append(await make_task(executor, owner, project_id, parent_id=tree[-1], assignee_id=member))
    await trash(executor, owner, tree[2])
    before = [await state_of(store, one) for one in tree]
    await remove_member(executor, owner, there, member)
    await move_as(executor, owner, tree[0], there)
    assert {(await state_of(store, one)).assignee_id for one in tree} == {None}
    undone = await undo(executor, owner, tree[at])
    assert undone.receipt.stream_id == tree[at]
    after = [await state_of(store, one) for one in tree]
    for was, now in zip(before, after, strict=True):
        same = replace(was, version=now.version, updated_at=now.updated_at, former_projects=now.former_projects)
        assert now == same
    again = await undo(executor, owner, tree[1], undone.state.version if at == 1 else after[1].version)
    assert again.receipt.events == 4
    assert await places(store, *tree) == [there] * 4
    # A redone change is not undone any more.
    await undo(executor, owner, tree[0])
    assert await places(store, *tree) == [project_id] * 4
    assert (await state_of(store, tree[0])).parent_id == above


async def test_what_came_below_since_goes_back_along(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    await move_as(executor, owner, tree[0], there)
    late = await make_task(executor, owner, there, parent_id=tree[3])
    later = await make_task(executor, owner, there, parent_id=late)
    await undo(executor, owner, tree[1])
    assert await places(store, *tree, late, later) == [project_id] * 6
    with pytest.raises(NothingToUndo):
        await undo(executor, owner, tree[1])


async def test_of_one_that_moved_alone_what_came_below_since_goes_back_along(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID
) -> None:
    top = await make_task(executor, owner, project_id)
    await move_as(executor, owner, top, there)
    late = await make_task(executor, owner, there, parent_id=top)
    await undo(executor, owner, top)
    assert await places(store, top, late) == [project_id] * 2


@pytest.mark.parametrize("since", ["moved on", "put below another", "its project archived"])
async def test_where_one_cannot_come_back_none_does(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID], since: str
) -> None:
    await move_as(executor, owner, tree[0], there)
    elsewhere = await make_project(executor, owner)
    if since == "moved on":
        await move_as(executor, owner, tree[1], elsewhere)
    elif since == "put below another":
        await edit(executor, owner, tree[1], parent_id=await make_task(executor, owner, there))
    else:
        await send(executor, owner, handler_of(project.ArchiveProject), project_id, project.ArchiveProject())
    was = await places(store, *tree)
    for one in (tree[0], tree[3]):
        if since == "moved on" and one == tree[3]:
            continue  # it moved along: its newest change is another
        with pytest.raises(Rejected):
            await undo(executor, owner, one)
    assert await places(store, *tree) == was


async def test_who_may_not_write_in_the_former_project_takes_none_back(
    executor: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    await move_as(executor, owner, tree[0], there)
    await remove_member(executor, owner, project_id, member)
    with pytest.raises(NotFound):
        await undo(executor, member, tree[1])
    assert await places(store, *tree) == [there] * 4


async def test_a_child_added_while_it_is_undone_comes_back_too(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID, tree: list[UUID]
) -> None:
    await move_as(executor, owner, tree[0], there)
    gate = Gate()
    undone = asyncio.create_task(executor.execute(request(owner, gate.around(undoing.undo_task, tree[3], UndoTask()))))
    await gate.decided.wait()
    late = await make_task(other, owner, there, parent_id=tree[0])
    gate.open.set()
    await undone
    assert await places(store, *tree, late) == [project_id] * 5


# --- depth


async def test_a_task_is_not_hung_where_what_is_below_it_would_be_too_deep(
    executor: Executor, owner: UUID, project_id: UUID
) -> None:
    towers: list[list[UUID]] = [[], []]
    for tower, height in zip(towers, (PARENT_DEPTH_MAX // 2, PARENT_DEPTH_MAX // 2 + 1), strict=True):
        for _ in range(height):
            tower.append(await make_task(executor, owner, project_id, parent_id=tower[-1] if tower else None))
    low, high = towers
    with pytest.raises(Rejected) as refused:
        await edit(executor, owner, high[0], parent_id=low[-1])
    assert refused.value.code == "too-deep"
    await edit(executor, owner, high[0], parent_id=low[-2])
    with pytest.raises(Rejected):
        await make_task(executor, owner, project_id, parent_id=high[-1])
