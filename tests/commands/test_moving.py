"""Moves, ranks and the end of the trash, with another process that gets in between."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskflow.commands import move, purge, ranking, task
from taskflow.commands.adjacent_tasks import AdjacentTask, Side
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.hints import Hints
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Behind, Forbidden, NotFound, Rejected, VersionConflict
from taskflow.settings import Settings
from taskflow.store.append import NOBODY, Outcome
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK
from taskflow.streams.task import TaskMoved

from .world import Gate, edit, make_project, make_task, remove_member, request, send, set_member, versions


@pytest.fixture
async def there(executor: Executor, owner: UUID, member: UUID) -> UUID:
    """Another project with the same people."""
    return await make_project(executor, owner, member=(member, "member"))


async def move_as(executor: Executor, by: UUID, task_id: UUID, project_id: UUID, **circumstances: Any) -> Accepted:
    command = move.MoveTask(project_id=project_id)
    return await send(executor, by, move.move_task, task_id, command, **circumstances)


# --- moves


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("withdrawn", ["removed", "made a viewer"])
async def test_a_role_withdrawn_in_either_project_meanwhile_refuses_the_move(
    executor: Executor,
    other: Executor,
    store: EventStore,
    owner: UUID,
    member: UUID,
    project_id: UUID,
    there: UUID,
    where: str,
    withdrawn: str,
) -> None:
    task_id = await make_task(executor, owner, project_id)
    gate = Gate()
    handler = gate.around(move.move_task, task_id, move.MoveTask(project_id=there))
    last_word = asyncio.create_task(executor.execute(request(member, handler)))
    await gate.decided.wait()
    project = project_id if where == "here" else there
    if withdrawn == "removed":
        await remove_member(other, owner, project, member)
    else:
        await set_member(other, owner, project, member, "viewer")
    gate.open.set()
    with pytest.raises(NotFound if withdrawn == "removed" else Forbidden):
        await last_word
    assert await versions(store, task_id) == [1]


async def test_an_assignee_removed_there_meanwhile_does_not_go_along(
    executor: Executor, other: Executor, owner: UUID, member: UUID, project_id: UUID, there: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id, assignee_id=member)
    gate = Gate()
    handler = gate.around(move.move_task, task_id, move.MoveTask(project_id=there))
    moved = asyncio.create_task(executor.execute(request(owner, handler)))
    await gate.decided.wait()
    await remove_member(other, owner, there, member)
    gate.open.set()
    assert (await moved).state.assignee_id is None
    assert gate.runs == 2


async def test_an_edit_meanwhile_is_kept_and_a_version_that_was_expected_is_not_there(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID, there: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    gate = Gate()
    handler = gate.around(move.move_task, task_id, move.MoveTask(project_id=there))
    moved = asyncio.create_task(executor.execute(request(owner, handler)))
    await gate.decided.wait()
    await edit(other, owner, task_id, title="Meanwhile")
    gate.open.set()
    accepted = await moved
    assert (accepted.state.title, accepted.state.project_id, accepted.state.version) == ("Meanwhile", there, 3)
    with pytest.raises(VersionConflict):
        await move_as(other, owner, task_id, project_id, expected_version=2)
    assert (await move_as(other, owner, task_id, project_id, expected_version=3)).state.project_id == project_id


async def test_an_edit_of_someone_of_the_old_project_does_not_get_in_after_the_move(
    executor: Executor, other: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    elsewhere = await make_project(executor, owner)
    task_id = await make_task(executor, owner, project_id)
    gate = Gate()
    handler = gate.around(handler_of(task.EditTask), task_id, task.EditTask(title="Last word"))
    last_word = asyncio.create_task(executor.execute(request(member, handler)))
    await gate.decided.wait()
    await move_as(other, owner, task_id, elsewhere)
    gate.open.set()
    with pytest.raises(NotFound):
        await last_word


async def test_two_who_move_it_to_two_projects_leave_it_in_one(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID
) -> None:
    third = await make_project(executor, owner)
    task_id = await make_task(executor, owner, project_id)
    one, two = await asyncio.gather(move_as(executor, owner, task_id, there), move_as(other, owner, task_id, third))
    assert await versions(store, task_id) == [1, 2, 3]
    last = max(one, two, key=lambda accepted: accepted.receipt.version)
    assert last.state.project_id in {there, third}
    assert set(last.state.former_projects) == {project_id, there, third} - {last.state.project_id}


async def test_a_cycle_is_none_the_less_one_through_two_projects(
    executor: Executor, owner: UUID, project_id: UUID, there: UUID
) -> None:
    above = await make_task(executor, owner, project_id)
    below = await make_task(executor, owner, project_id, parent_id=above)

    async def move_alone(unit: UnitOfWork) -> UUID:
        """As tasks moved before what is below them went along."""
        await unit.get(TASK, above)
        unit.append(TASK, above, TaskMoved(project_id, there, "todo", "todo", "a"))
        return above

    await executor.execute(request(owner, move_alone))
    await make_task(executor, owner, project_id, parent_id=below)
    third = await make_task(executor, owner, there)
    await edit(executor, owner, above, parent_id=third)
    await move_as(executor, owner, third, project_id)
    with pytest.raises(Rejected, match="its own parent or ancestor"):
        await edit(executor, owner, third, parent_id=below)


# --- ranks


class Seen:
    """A view as it was at some moment: what it says may be old."""

    def __init__(self, project_id: UUID, ranks: dict[UUID, str]) -> None:
        self.project_id = project_id
        self.ranks = ranks
        self.asked = 0
        self.behind = False

    async def catch_up(self) -> None:
        if self.behind:
            raise Behind(2, 1)

    async def next_to(self, project_id: UUID, rank: str, side: Side, besides: Collection[UUID]) -> AdjacentTask | None:
        assert project_id == self.project_id
        self.asked += 1
        beyond = [
            AdjacentTask(task_id, found)
            for task_id, found in self.ranks.items()
            if task_id not in besides and (found > rank if side == "after" else found < rank)
        ]
        pick = min if side == "after" else max
        return pick(beyond, key=lambda neighbour: neighbour.rank, default=None)


class Board:
    """Four cards in a project, and a view of them."""

    def __init__(self, project_id: UUID, cards: list[UUID], seen: Seen, executor: Executor) -> None:
        self.project_id, self.cards, self.seen, self.executor = project_id, cards, seen, executor


@pytest.fixture
async def board(store: EventStore, settings: Settings, executor: Executor, owner: UUID, project_id: UUID) -> Board:
    cards = [await make_task(executor, owner, project_id, title=str(n)) for n in range(4)]
    seen = Seen(project_id, {card: await rank_of(store, card) for card in cards})
    return Board(project_id, cards, seen, Executor(store, settings, hints=Hints(adjacent_tasks=seen)))


async def rank_of(store: EventStore, task_id: UUID) -> str:
    state = (await store.state_cache.load(TASK, task_id)).state
    rank: str = state.rank
    return rank


async def put(executor: Executor, by: UUID, task_id: UUID, **where: UUID) -> str:
    rank: str = (await send(executor, by, handler_of(ranking.RankTask), task_id, ranking.RankTask(**where))).state.rank
    return rank


@pytest.mark.parametrize("side", ["after", "before"])
async def test_a_neighbour_that_moved_since_it_was_seen_is_looked_at_where_it_is(
    board: Board, other: Executor, store: EventStore, owner: UUID, side: str
) -> None:
    a, b, c, d = board.cards if side == "after" else reversed(board.cards)
    # b is behind d by now: right behind a stands c.
    await put(other, owner, b, **{side: d})
    rank = await put(board.executor, owner, d, **{side: a})
    low, high = sorted([await rank_of(store, a), await rank_of(store, c)])
    assert low < rank < high


@pytest.mark.parametrize("gone", ["trashed", "moved", "purged"])
async def test_a_neighbour_that_is_gone_since_it_was_seen_is_none(
    board: Board, other: Executor, store: EventStore, owner: UUID, there: UUID, gone: str
) -> None:
    a, b, c, d = board.cards
    if gone == "moved":
        await move_as(other, owner, b, there)
    else:
        await send(other, owner, handler_of(task.TrashTask), b, task.TrashTask())
        if gone == "purged":
            await send(other, NOBODY, purge.purge_task, b, datetime.now(UTC) + timedelta(days=1))
    rank = await put(board.executor, owner, d, after=a)
    assert await rank_of(store, a) < rank < await rank_of(store, c)


async def test_a_neighbour_that_moves_before_the_append_is_decided_on_again(
    board: Board, other: Executor, store: EventStore, owner: UUID
) -> None:
    a, b, c, d = board.cards
    gate = Gate()
    handler = gate.around(handler_of(ranking.RankTask), d, ranking.RankTask(after=a))
    moved = asyncio.create_task(board.executor.execute(request(owner, handler)))
    await gate.decided.wait()
    await put(other, owner, b, before=a)
    gate.open.set()
    accepted = await moved
    assert gate.runs == 2
    assert await rank_of(store, b) < await rank_of(store, a) < accepted.state.rank < await rank_of(store, c)


async def test_what_the_same_unit_has_moved_counts(board: Board, store: EventStore, owner: UUID) -> None:
    a, b, c, d = board.cards
    made: list[UUID] = []

    async def all_at_once(unit: UnitOfWork) -> UUID:
        await handler_of(ranking.RankTask)(unit, d, ranking.RankTask(after=a))
        await handler_of(ranking.RankTask)(unit, c, ranking.RankTask(after=a))
        new = task.CreateTask(project_id=board.project_id, title="New")
        made.append(await task.create_task(unit, None, new))
        await handler_of(task.TrashTask)(unit, b, task.TrashTask())
        return await handler_of(ranking.RankTask)(unit, a, ranking.RankTask(after=d))

    await board.executor.execute(request(owner, all_at_once))
    ranks = {card: await rank_of(store, card) for card in (a, c, d, made[-1])}
    assert sorted(ranks, key=ranks.__getitem__) == [c, d, a, made[-1]]


@pytest.mark.parametrize("side", ["after", "before"])
async def test_without_a_view_it_is_close_to_whom_it_was_put_to(
    board: Board, executor: Executor, store: EventStore, owner: UUID, side: str
) -> None:
    a, b, c, d = board.cards if side == "after" else reversed(board.cards)
    board.seen.behind = True
    ranks = [await put(board.executor, owner, d, **{side: a}), await put(executor, owner, c, **{side: a})]
    low, high = sorted([await rank_of(store, a), await rank_of(store, b)])
    assert all(low < rank < high for rank in ranks)
    assert len(set(ranks)) == 2


async def test_tasks_of_one_batch_leave_room_between_them(board: Board, store: EventStore, owner: UUID) -> None:
    made: list[UUID] = []

    async def batch(unit: UnitOfWork) -> UUID:
        made.clear()
        for _ in range(3):
            target = await task.create_task(unit, None, task.CreateTask(project_id=board.project_id, title="T"))
            made.append(target)
        return target

    await board.executor.execute(request(owner, batch))
    ranks = [await rank_of(store, one) for one in made]
    assert ranks == sorted(set(ranks))
    board.seen.ranks |= dict(zip(made, ranks, strict=True))
    rank = await put(board.executor, owner, made[2], after=made[0])
    assert ranks[0] < rank < ranks[1]


async def test_equal_ranks_are_passed_together(
    board: Board, store: EventStore, executor: Executor, owner: UUID
) -> None:
    """Two tasks of one microsecond, made by two processes."""
    at = datetime.now(UTC)
    new = task.CreateTask(project_id=board.project_id, title="T")
    made = [(await send(executor, owner, task.create_task, None, new, at=at)).receipt.stream_id for _ in range(2)]
    one, two = sorted(made)
    rank = await rank_of(store, one)
    assert rank == await rank_of(store, two)
    board.seen.ranks |= dict.fromkeys(made, rank)
    assert await put(board.executor, owner, board.cards[0], after=one) > rank
    assert await put(board.executor, owner, board.cards[1], after=one, before=two) > rank
    below = await put(board.executor, owner, board.cards[2], before=two)
    assert await rank_of(store, board.cards[3]) < below < rank


async def test_between_two_that_are_named_nobody_is_asked(board: Board, owner: UUID) -> None:
    a, b, _, d = board.cards
    await put(board.executor, owner, d, after=a, before=b)
    assert board.seen.asked == 0


# --- the trash


async def purge_as_worker(executor: Executor, task_id: UUID, **circumstances: Any) -> Accepted:
    limit = datetime.now(UTC) + timedelta(days=1)
    return await send(executor, NOBODY, purge.purge_task, task_id, limit, **circumstances)


async def test_two_processes_purge_once_and_nobody_finds_it_then(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, there: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    await send(executor, owner, handler_of(task.TrashTask), task_id, task.TrashTask())
    same = {"command_id": UUID(int=5)}
    one, two = await asyncio.gather(purge_as_worker(executor, task_id, **same), purge_as_worker(other, task_id, **same))
    assert {one.receipt.outcome, two.receipt.outcome} == {Outcome.APPLIED}
    assert await versions(store, task_id) == [1, 2, 3]
    with pytest.raises(Rejected):
        await purge_as_worker(executor, task_id)
    for handler, command in (
        (handler_of(task.RestoreTask), task.RestoreTask()),
        (handler_of(task.EditTask), task.EditTask(title="x")),
        (move.move_task, move.MoveTask(project_id=there)),
        (handler_of(ranking.RankTask), ranking.RankTask(after=task_id)),
    ):
        with pytest.raises(NotFound):
            await send(executor, owner, handler, task_id, command)
    with pytest.raises(NotFound):
        await make_task(executor, owner, project_id, parent_id=task_id)


async def test_a_restoration_meanwhile_wins(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    await send(executor, owner, handler_of(task.TrashTask), task_id, task.TrashTask())
    gate = Gate()
    handler = gate.around(purge.purge_task, task_id, datetime.now(UTC) + timedelta(days=1))
    purged = asyncio.create_task(executor.execute(request(NOBODY, handler)))
    await gate.decided.wait()
    await send(other, owner, handler_of(task.RestoreTask), task_id, task.RestoreTask())
    gate.open.set()
    with pytest.raises(Rejected, match="not been in the trash"):
        await purged
    assert await versions(store, task_id) == [1, 2, 3]
