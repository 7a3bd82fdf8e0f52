"""Whoever listens hears what happens in their projects, in order, once; and nobody holds up anybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from taskflow.api.envelopes import as_sent_live
from taskflow.commands import session, task
from taskflow.commands.execute import Executor
from taskflow.errors import Unavailable
from taskflow.follower.follower import Follower, open_follower
from taskflow.follower.sse_hub import Listener, OutboundEvent, SseHub
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.store.history import History
from tests.commands.world import edit, make_project, make_task, register, remove_member, send, set_member, until
from tests.follower.test_follower import new_session

PARTITIONS = 4
BOUND_S = 20.0


class Counting(History):
    """Counts how often the log is read for the feed."""

    reads = 0

    async def live(self, after: int, *, to: int, limit: int) -> Any:
        self.reads += 1
        return await super().live(after, to=to, limit=limit)


@pytest.fixture
async def follower(store: EventStore, settings: Settings) -> AsyncIterator[Follower]:
    async with open_follower(store, settings, PARTITIONS) as follower:
        yield follower


@pytest.fixture
def history(store: EventStore) -> Counting:
    return Counting(store.pool)


@pytest.fixture
async def sse_hub(
    follower: Follower, history: Counting, store: EventStore, settings: Settings
) -> AsyncIterator[SseHub]:
    sse_hub = SseHub(follower, history, as_sent_live(store.mapper), settings)
    yield sse_hub
    assert not sse_hub._listeners
    assert sse_hub._task is None


def listener(user: UUID, project: UUID | None = None, *, session_id: UUID | None = None, drop: Any = None) -> Listener:
    projects = None if project is None else frozenset((project,))
    return Listener(user, session_id or new_id(), projects, drop or (lambda: None))


async def joined(sse_hub: SseHub, follower: Follower, one: Listener) -> Listener:
    await follower.poll()
    assert sse_hub.join(one, follower.position)
    return one


async def heard(one: Listener, count: int) -> list[OutboundEvent]:
    """That many events; more would fail the comparison that follows."""
    events: list[OutboundEvent] = []
    async with asyncio.timeout(BOUND_S):
        while len(events) < count:
            events += await one.next(BOUND_S)
            assert not one.ended or len(events) >= count
    return events


def titles(events: list[OutboundEvent]) -> list[str]:
    texts = [one.text.decode().split("\n") for one in events]
    envelopes = [msgspec.json.decode(lines[2].removeprefix("data: ")) for lines in texts]
    assert [lines[0] for lines in texts] == [f"id: {one.position}" for one in events]
    assert [lines[1] for lines in texts] == [f"event: {one['type']}" for one in envelopes]
    return [one["data"].get("title", one["type"]) for one in envelopes]


async def test_members_hear_what_happens_and_nobody_else(
    sse_hub: SseHub,
    follower: Follower,
    executor: Executor,
    settings: Settings,
    owner: UUID,
    member: UUID,
    project_id: UUID,
) -> None:
    stranger = await register(executor, settings)
    private = await make_project(executor, owner)
    listeners = [await joined(sse_hub, follower, listener(who)) for who in (owner, member, stranger)]
    only = await joined(sse_hub, follower, listener(owner, private))
    for number in range(3):
        await make_task(executor, owner, project_id, title=f"shared {number}")
        await make_task(executor, owner, private, title=f"private {number}")
    await make_task(executor, stranger, await make_project(executor, stranger), title="elsewhere")
    assert titles(await heard(listeners[0], 6)) == [f"{what} {n}" for n in range(3) for what in ("shared", "private")]
    assert titles(await heard(listeners[1], 3)) == [f"shared {n}" for n in range(3)]
    assert titles(await heard(only, 3)) == [f"private {n}" for n in range(3)]
    assert len(await heard(listeners[2], 2)) == 2  # the project and its task
    for one in (*listeners, only):
        await sse_hub.leave(one)


async def test_a_batch_is_read_once_for_all_and_never_for_nobody(
    sse_hub: SseHub, follower: Follower, history: Counting, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    await follower.poll()
    assert history.reads == 0, "nobody listens"
    listeners = [await joined(sse_hub, follower, listener(owner)) for _ in range(50)]
    await edit(executor, owner, task_id, title="once")
    for one in listeners:
        assert titles(await heard(one, 1)) == ["once"]
    assert history.reads == 1
    for one in listeners:
        await sse_hub.leave(one)
    await edit(executor, owner, task_id, title="unheard")
    await follower.poll()
    assert history.reads == 1


async def test_what_was_missed_is_not_skipped_and_nothing_is_told_twice(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    first = await joined(sse_hub, follower, listener(owner))
    position = (await edit(executor, owner, task_id, title="one")).receipt.position
    assert titles(await heard(first, 1)) == ["one"]
    late = listener(owner)
    assert not sse_hub.join(late, position - 1), "what the feed has told already is to be read from the log"
    ahead = listener(owner)
    await edit(executor, owner, task_id, title="two")
    await follower.poll()
    assert sse_hub.join(ahead, follower.position + 1), "it has seen more than this process"
    await edit(executor, owner, task_id, title="three")
    await edit(executor, owner, task_id, title="four")
    assert titles(await heard(first, 3)) == ["two", "three", "four"]
    assert titles(await heard(ahead, 1)) == ["four"]
    for one in (first, ahead):
        await sse_hub.leave(one)


async def test_who_is_removed_hears_nothing_of_what_comes_after(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    every = await joined(sse_hub, follower, listener(member))
    one = await joined(sse_hub, follower, listener(member, project_id))
    witness = await joined(sse_hub, follower, listener(owner))
    await make_task(executor, owner, project_id, title="before")
    assert titles(await heard(every, 1)) == titles(await heard(one, 1)) == ["before"]
    await remove_member(executor, owner, project_id, member)
    await make_task(executor, owner, project_id, title="after")
    assert len(await heard(witness, 3)) == 3
    async with asyncio.timeout(BOUND_S):
        assert await one.next(BOUND_S) == []
    assert one.ended, "its one project is gone"
    assert not every.ended
    assert await every.next(0.05) == []
    # Granted anew, it goes on from there.
    await set_member(executor, owner, project_id, member, "viewer")
    await make_task(executor, owner, project_id, title="again")
    events: list[str] = []
    while "again" not in events:
        events += titles(await heard(every, 1))
    assert "after" not in events
    for each in (every, one, witness):
        await sse_hub.leave(each)


async def test_a_stream_ends_with_its_session(
    sse_hub: SseHub, follower: Follower, executor: Executor, settings: Settings
) -> None:
    person, session_id = await new_session(executor, settings)
    one = await joined(sse_hub, follower, listener(person, session_id=session_id))
    other = await joined(sse_hub, follower, listener(person))
    await send(executor, person, session.end_session, session_id)
    async with asyncio.timeout(BOUND_S):
        await one.next(BOUND_S)
    assert one.ended
    assert not other.ended
    for each in (one, other):
        await sse_hub.leave(each)


async def test_who_is_slow_is_dropped_and_nobody_waits_for_them(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    sse_hub._settings = replace(sse_hub._settings, stream_buffer_bytes_max=2_000)
    task_id = await make_task(executor, owner, project_id)
    dropped = asyncio.Event()
    slow = await joined(sse_hub, follower, listener(owner, drop=dropped.set))
    quick = await joined(sse_hub, follower, listener(owner))
    for number in range(30):
        await edit(executor, owner, task_id, title=f"{number}")
        assert titles(await heard(quick, 1)) == [f"{number}"]
    assert dropped.is_set()
    assert not slow._buffer, "it holds nothing any more"
    assert sse_hub.dropped == 1
    for each in (slow, quick):
        await sse_hub.leave(each)


async def test_nobody_is_slower_than_one_batch(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    """All of it is told at once: a buffer that is smaller is no reason to drop."""
    sse_hub._settings = replace(sse_hub._settings, stream_buffer_bytes_max=1)
    one = await joined(sse_hub, follower, listener(owner, drop=lambda: pytest.fail("dropped")))
    await send(executor, owner, task.create_task, None, task.CreateTask(title="T", project_id=project_id))
    assert len(await heard(one, 1)) == 1
    await sse_hub.leave(one)


async def test_open_streams_are_counted_and_none_begins_while_the_process_stops(sse_hub: SseHub) -> None:
    with sse_hub.place(), sse_hub.place():
        assert sse_hub.streams == 2
    assert sse_hub.streams == 0
    sse_hub.end()
    with pytest.raises(Unavailable, match="stopping"), sse_hub.place():
        pass


async def test_hundreds_that_come_and_go_leave_nothing(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    def readers() -> int:
        return sum(task.get_name() == "feed of live streams" for task in asyncio.all_tasks())

    for _ in range(4):
        listeners = [await joined(sse_hub, follower, listener(owner)) for _ in range(100)]
        await make_task(executor, owner, project_id)
        await heard(listeners[0], 1)
        assert readers() == 1
        for one in listeners:
            await sse_hub.leave(one)
    assert readers() == 0
    assert not sse_hub._listeners


async def test_streams_end_when_the_process_stops(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    one = await joined(sse_hub, follower, listener(owner))
    sse_hub.end()
    async with asyncio.timeout(BOUND_S):
        assert await one.next(BOUND_S) == []
    assert one.ended
    await sse_hub.leave(one)


async def test_a_log_that_is_away_for_a_while_costs_nobody_an_event(
    sse_hub: SseHub, follower: Follower, executor: Executor, owner: UUID, project_id: UUID, server: Callable[[str], Any]
) -> None:
    task_id = await make_task(executor, owner, project_id)
    one = await joined(sse_hub, follower, listener(owner))
    await edit(executor, owner, task_id, title="before")
    assert titles(await heard(one, 1)) == ["before"]
    server("postgres").kill()
    server("postgres").start()

    async def writes() -> bool:
        try:
            await edit(executor, owner, task_id, title="after")
        except Unavailable:
            return False
        return True

    await until(writes, "a store that takes writes again")
    assert titles(await heard(one, 1)) == ["after"]
    await sse_hub.leave(one)


async def test_an_event_that_cannot_be_decoded_is_sent_without_data_and_ends_no_stream(
    sse_hub: SseHub, follower: Follower, store: EventStore, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    one = await joined(sse_hub, follower, listener(owner))
    unreadable = await make_task(executor, owner, project_id, title="of another shape")
    await store.pool.execute(
        "update events set data = $1, schema_version = 0 where stream_id = $2", b"no json", unreadable
    )
    for number in range(3):
        await make_task(executor, owner, project_id, title=f"after {number}")
    events = await heard(one, 4)
    first = msgspec.json.decode(events[0].text.decode().split("\n")[2].removeprefix("data: "))
    assert (first["stream_id"], first["data"], first["schema_version"]) == (str(unreadable), None, 0)
    assert titles(events[1:]) == [f"after {number}" for number in range(3)]
    assert not one.ended
    await sse_hub.leave(one)
