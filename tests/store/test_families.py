"""Which task stands below which, as the store knows it, and the check that nobody came below a task meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from taskflow.ids import new_id
from taskflow.store.append import Append, Conflict, Receipt
from taskflow.streams.project_scope import NO_PARENT
from tests.store.test_append import _future, append, commit

if TYPE_CHECKING:
    from taskflow.store.eventstore import EventStore

PLACE: dict[str, Any] = {"status": "todo", "category": "todo", "rank": "m"}
PROJECT = UUID(int=1)


def below(parent: UUID | None, *writes: tuple[UUID, int], **more: Any) -> Append:
    """An append that puts its streams below a task, or below none."""
    made = append(*writes, **more)
    events = tuple(replace(one, parent=parent or NO_PARENT) for one in made.events)
    return replace(made, events=events, done=_future())


def whole(*families: UUID, **more: Any) -> Append:
    """An append that has read all children of some tasks."""
    return replace(append(**more), families=families, done=_future())


async def children(store: EventStore, *parents: UUID) -> set[UUID]:
    return set(await store.children(parents, limit=100))


async def test_a_child_is_where_it_was_put_last(store: EventStore) -> None:
    top, other, one, two = [new_id() for _ in range(4)]
    await commit(store, append((top, 0)), append((other, 0)), below(top, (one, 0)), below(top, (two, 0)))
    assert await children(store, top) == {one, two}
    await commit(store, append((one, 1)), below(other, (two, 1)))
    assert (await children(store, top), await children(store, other)) == ({one}, {two})
    assert await children(store, top, other) == {one, two}
    # Twice in one group, and at last nowhere.
    await commit(store, below(None, (one, 2)), below(other, (one, 3)), below(None, (two, 2)))
    assert (await children(store, top), await children(store, other)) == (set(), {one})


async def test_a_child_that_was_not_read_is_a_conflict(store: EventStore) -> None:
    top, known, new = [new_id() for _ in range(3)]
    await commit(store, append((top, 0)), below(top, (known, 0)))
    read = ((top, 1), (known, 1))
    assert isinstance((await commit(store, whole(top, guards=read)))[0], Receipt)
    assert (await commit(store, whole(top, guards=((top, 1),)))) == [Conflict(top, 1)]
    # In one group, before it: the commands of a group see what those before them leave.
    adds, moves = below(top, (new, 0)), whole(top, guards=read)
    assert [type(one) for one in await commit(store, adds, moves)] == [Receipt, Conflict]
    assert isinstance((await commit(store, whole(top, guards=(*read, (new, 1)))))[0], Receipt)
    # One that goes away is no conflict of a family, and after it nothing is.
    leaves, moves = below(None, (new, 1)), whole(top, guards=read)
    assert [type(one) for one in await commit(store, leaves, moves)] == [Receipt, Receipt]
    moves, adds = whole(top, guards=read), below(top, (new_id(), 0))
    assert [type(one) for one in await commit(store, moves, adds)] == [Receipt, Receipt]


async def test_a_child_of_an_append_that_lost_is_none(store: EventStore) -> None:
    top, new = new_id(), new_id()
    await commit(store, append((top, 0)))
    loser = below(top, (new, 0), guards=((top, 7),))
    outcomes = await commit(store, loser, whole(top, guards=((top, 1),)))
    assert [type(one) for one in outcomes] == [Conflict, Receipt]


async def test_a_bundle_may_make_the_children_that_it_moves(store: EventStore) -> None:
    top, new = new_id(), new_id()
    await commit(store, append((top, 0)))
    made = below(top, (new, 0))
    moved = replace(append((top, 1), (new, 1)), checks=(), done=_future())
    checks = ((top, "task", 1), (new, "task", 0))
    head = replace(made, checks=checks, families=(top, new), others=(moved,), done=_future())
    await commit(store, head)
    assert all(isinstance(one.done.result(), Receipt) for one in head.bundle)


async def test_two_writers_never_leave_a_child_behind(store: EventStore, other_store: EventStore) -> None:
    """One adds children, with the top guarded; the other writes on the top, having read all of them."""
    top = new_id()
    await commit(store, append((top, 0)))
    version, known, added = 1, set[UUID](), 0

    async def add() -> None:
        nonlocal added
        for _ in range(100):
            added += isinstance((await commit(other_store, below(top, (new_id(), 0))))[0], Receipt)

    async def write() -> None:
        nonlocal version
        for _ in range(100):
            found = await children(store, top)
            wrote = append((top, version), guards=tuple((one, 1) for one in found))
            wrote = replace(wrote, families=(top,), done=_future())
            outcome = (await commit(store, wrote))[0]
            if isinstance(outcome, Receipt):
                version += 1
                position = outcome.position
                there = await store.pool.fetch(
                    "select stream_id from streams where parent = $1 and first_position < $2", top, position
                )
                assert {UUID(int=row[0].int) for row in there} == found
                known.update(found)

    await asyncio.gather(add(), write())
    assert added == 100
    assert await children(store, top) >= known


# --- the release before, and what was stored before
