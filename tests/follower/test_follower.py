"""What is withdrawn elsewhere is known here, and who cannot know it answers nobody."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from taskflow.commands import session, user
from taskflow.commands.execute import Executor
from taskflow.errors import EpochChanged, StoreError, Unavailable, UnknownEventType
from taskflow.follower import follower as following
from taskflow.follower.follower import POLL_AGE_S_MAX, Follower, open_follower
from taskflow.ids import new_id, shard_of
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import STREAM_TYPE_OF_EVENT, STREAM_TYPES, TASK
from tests.commands.world import (
    edit,
    make_project,
    make_task,
    register,
    registration,
    remove_member,
    send,
    set_member,
    until,
)
from tests.store.test_append import append, event

PARTITIONS = 4


@pytest.fixture
def without_polls(settings: Settings) -> Settings:
    """A follower that does not poll by itself, as one that has been stopped for a while."""
    return replace(settings, follower_poll_ms=10**9)


def aged(follower: Follower, seconds: float) -> None:
    """As if the last poll had been that long ago."""
    follower._polled_at = time.monotonic() - seconds


async def new_session(executor: Executor, settings: Settings) -> tuple[UUID, UUID]:
    """Somebody who registered: the person and their first session."""
    email = f"{new_id().hex}@example.com"
    person = registration(settings, email)
    command = user.RegisterUser(email=email, password="not looked at", name="Ada")
    await send(executor, NOBODY, user.register_user, person, command)
    assert person.session is not None
    return person.user_id, person.session.session_id


# --- what happens elsewhere


async def test_what_is_withdrawn_elsewhere_is_known_here(
    store: EventStore, settings: Settings, other: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    person, session_id = await new_session(other, settings)
    async with open_follower(store, settings, PARTITIONS) as follower:
        assert follower.projects_of(member)[project_id] == "member"
        assert not follower.session_ended(session_id)
        await remove_member(other, owner, project_id, member)
        await until(lambda: follower.known_role(project_id, member) is None, "a role that was removed")
        assert project_id not in follower.projects_of(member)
        await send(other, person, session.end_session, session_id)
        await until(lambda: follower.session_ended(session_id), "a session that was ended")
        await send(other, owner, user.set_roles, owner, ("analyst",))
        await until(lambda: follower.system_roles(owner) == ("analyst",), "a system role that was given")


async def test_who_polls_for_a_position_knows_what_it_withdrew(
    store: EventStore, without_polls: Settings, other: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    async with open_follower(store, without_polls, PARTITIONS) as follower:
        removed = await remove_member(other, owner, project_id, member)
        assert follower.known_role(project_id, member) == "member"
        await follower.poll()
        assert follower.position == removed.receipt.position
        assert follower.known_role(project_id, member) is None


async def test_a_process_that_was_stopped_polls_before_it_answers(
    store: EventStore, without_polls: Settings, other: Executor, owner: UUID, member: UUID, project_id: UUID
) -> None:
    async with open_follower(store, without_polls, PARTITIONS) as follower:
        await remove_member(other, owner, project_id, member)
        await follower.ready()
        assert follower.known_role(project_id, member) == "member", "its last poll is recent enough"
        aged(follower, POLL_AGE_S_MAX + 0.1)
        await follower.ready()
        assert follower.known_role(project_id, member) is None


async def test_what_is_granted_elsewhere_works_at_once(
    store: EventStore, without_polls: Settings, other: Executor, owner: UUID, project_id: UUID
) -> None:
    newcomer = await register(other, without_polls)
    async with open_follower(store, without_polls, PARTITIONS) as follower:
        assert await follower.role(project_id, newcomer) is None
        await set_member(other, owner, project_id, newcomer, "viewer")
        assert await follower.role(project_id, newcomer) == "viewer"


async def test_a_state_that_moved_elsewhere_is_read_again(
    store: EventStore, settings: Settings, executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    async with open_follower(store, settings, PARTITIONS) as follower:
        await edit(other, owner, task_id, title="Moved")
        await follower.poll()
        assert (await store.state_cache.load(TASK, task_id)).version == 2


# --- a log that cannot be reached


async def test_who_is_cut_off_from_the_log_answers_for_a_while_and_then_nobody(
    store: EventStore, settings: Settings, other: Executor, owner: UUID, member: UUID, project_id: UUID, server: Any
) -> None:
    patient = replace(settings, auth_stale_max_s=3)
    async with open_follower(store, patient, PARTITIONS) as follower:
        server("postgres").kill()
        aged(follower, POLL_AGE_S_MAX + 0.5)
        await follower.ready()
        assert await follower.role(project_id, owner) == "owner"
        with pytest.raises(TRANSIENT_ERRORS):  # a miss asks the log: nobody is told that there is nothing
            await follower.role(project_id, new_id())
        aged(follower, 3.5)
        with pytest.raises(Unavailable, match="cannot check access"):
            await follower.ready()
        server("postgres").start()

        async def is_ready() -> bool:
            try:
                await follower.ready()
            except Unavailable:
                return False
            return True

        await until(is_ready, "a process that sees the log again")
        await remove_member(other, owner, project_id, member)
        await until(lambda: follower.known_role(project_id, member) is None, "a follower that follows again")


async def test_a_log_that_hangs_is_as_good_as_none(
    store: EventStore, without_polls: Settings, owner: UUID, project_id: UUID
) -> None:
    patient = replace(without_polls, auth_stale_max_s=3)
    async with open_follower(store, patient, PARTITIONS) as follower:
        hanging = await asyncpg.connect(without_polls.postgres_url)
        try:
            async with hanging.transaction():
                await hanging.execute("lock table log_head in access exclusive mode")
                aged(follower, 3.5)
                with pytest.raises(Unavailable, match="cannot check access"):
                    await follower.ready()
            await follower.ready()
            assert follower.age_s <= POLL_AGE_S_MAX
        finally:
            await hanging.close()


# --- a log that cannot be read


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "WrittenByAFutureRelease"}, "WrittenByAFutureRelease"),
        ({"type": "MemberAdded", "data": b'{"another":"shape"}'}, "another"),
        ({"type": "MemberAdded", "schema_version": 9, "data": b"{}"}, "version 9"),
        ({"type": "MemberRemoved", "data": b'{"user_id":"00000000-0000-0000-0000-000000000001"}'}, "position"),
    ],
)
async def test_an_event_that_cannot_be_folded_makes_the_process_unready(
    store: EventStore, other_store: EventStore, settings: Settings, without_polls: Settings, changes: Any, reason: str
) -> None:
    stream = new_id()
    strange = append((stream, 0))
    strange = replace(strange, events=(event(stream, 1, **changes),), done=asyncio.get_running_loop().create_future())
    async with (
        open_follower(store, settings, PARTITIONS) as follower,
        open_follower(other_store, without_polls, PARTITIONS) as stopped,
    ):
        before = follower.position
        await other_store.committer.submit(strange)
        await until(lambda: follower.failure is not None, "a follower that gave up")
        assert reason in (follower.failure or "")
        for _ in range(2):
            with pytest.raises(Unavailable, match=f"past position {before}"):
                await follower.ready()
            with pytest.raises(Unavailable, match=f"past position {before}"):
                await follower.role(new_id(), new_id())
        assert follower.position == before
        # Whoever meets it first, a request or the background, finds the same.
        aged(stopped, POLL_AGE_S_MAX + 1)
        with pytest.raises(Unavailable, match=f"past position {before}"):
            await stopped.ready()
    with pytest.raises((StoreError, ValueError, KeyError)):
        async with open_follower(store, settings, PARTITIONS):
            pass


async def test_a_process_of_an_older_release_does_not_start_on_what_it_does_not_know(
    store: EventStore, settings: Settings
) -> None:
    stream = new_id()
    future = append((stream, 0))
    await store.committer.submit(
        replace(
            future,
            events=(event(stream, 1, type="WrittenByAFutureRelease"),),
            done=asyncio.get_running_loop().create_future(),
        )
    )
    with pytest.raises(UnknownEventType, match="WrittenByAFutureRelease"):
        async with open_follower(store, settings, PARTITIONS):
            pass


@pytest.mark.parametrize("change", ["epoch = epoch + 1", "timeline = timeline + 1", "system_id = system_id + 1"])
async def test_another_log_behind_the_same_url_makes_the_process_unready(
    store: EventStore, settings: Settings, owner: UUID, change: str
) -> None:
    async with open_follower(store, settings, PARTITIONS) as follower:
        await store.pool.execute(f"update log_meta set {change}")
        await until(lambda: follower.failure is not None, "a follower that noticed")
        with pytest.raises(Unavailable, match="epoch"):
            await follower.ready()
    if not change.startswith("epoch"):
        with pytest.raises(EpochChanged):
            async with open_follower(store, settings, PARTITIONS):
                pass


async def test_a_store_that_answers_nonsense_is_not_one_that_is_away(store: EventStore, settings: Settings) -> None:
    async with open_follower(store, settings, PARTITIONS) as follower:
        await store.pool.execute("alter table log_head rename to gone")
        await until(lambda: follower.failure is not None, "a follower that gave up")
        with pytest.raises(Unavailable, match="log_head"):
            await follower.ready()


# --- restarts


async def test_a_follower_from_its_snapshot_knows_what_one_from_the_beginning_knows(
    store: EventStore, other_store: EventStore, settings: Settings, executor: Executor, owner: UUID, project_id: UUID
) -> None:
    often = replace(settings, follower_snapshot_every_events=3)
    people = [await register(executor, settings) for _ in range(5)]
    person, session_id = await new_session(executor, settings)

    async def saved() -> int:
        position: int = await store.pool.fetchval("select coalesce(max(position), 0) from progress")
        return position

    async def write(turn: int) -> None:
        for number, one in enumerate(people):
            await set_member(executor, owner, project_id, one, ("viewer", "member", "admin")[(turn + number) % 3])
        await remove_member(executor, owner, project_id, people[turn % len(people)])
        founder = people[turn % len(people)]
        await make_task(executor, founder, await make_project(executor, founder))

    async with open_follower(store, often, PARTITIONS) as follower:
        for turn in range(4):
            await write(turn)
        await send(executor, person, session.end_session, session_id)
        await send(executor, owner, user.set_roles, owner, ("admin",))
        head = (await store.log.head()).position

        async def saved_late() -> bool:
            return await saved() > head - 3

        await until(saved_late, "a snapshot")
    # What came after the snapshot, before the restart.
    without_polls = replace(settings, follower_snapshot_every_events=10**9)
    await write(4)
    head = (await store.log.head()).position
    began = await saved()
    assert 0 < began < head
    async with open_follower(other_store, without_polls, PARTITIONS) as restarted:
        assert restarted._saved_position == began
        await store.pool.execute("delete from progress")
        async with open_follower(store, without_polls, PARTITIONS) as anew:
            assert anew._saved_position == 0
            assert restarted.position == anew.position == head
            assert restarted.access_state == anew.access_state
            assert restarted.session_ended(session_id)
            assert restarted.system_roles(owner) == ("admin",)
            await assert_ring_is_right(store, restarted, began)
            await assert_ring_is_right(store, anew, 0)
            assert follower.access_state.position < head


async def assert_ring_is_right(store: EventStore, follower: Follower, began: int) -> None:
    """Held against the log itself, at every position: what the ring does not know it does not claim."""
    events = await store.log.read(0, limit=100_000)
    head = events[-1].position
    assert follower.recent_positions.head == head
    for partition, kind in itertools.product(range(PARTITIONS), STREAM_TYPES):
        here = [e for e in events if shard_of(e.stream_id) % PARTITIONS == partition]
        positions = [e.position for e in here if STREAM_TYPE_OF_EVENT[e.type] is kind]
        # Of what was before it began the ring knows the last event of any kind.
        at_start = max((e.position for e in here if e.position <= began), default=0)
        for at in range(head + 1):
            before = max((p for p in positions if p <= at), default=0)
            known = follower.recent_positions.last_event_of(kind.name, partition, at_or_before=at)
            assert known == max(before, at_start) if at >= began else known is None
            after = min((p for p in positions if p > at), default=head + 1)
            fresh = follower.recent_positions.fresh_up_to(kind.name, partition, at)
            assert at <= fresh <= after - 1
            if at >= began:
                assert fresh == after - 1


async def test_an_older_snapshot_never_replaces_a_newer_one(
    store: EventStore, settings: Settings, executor: Executor, owner: UUID
) -> None:
    often = replace(settings, follower_snapshot_every_events=1)
    async with open_follower(store, often, PARTITIONS):
        await make_project(executor, owner)
        head = (await store.log.head()).position

        async def saved() -> bool:
            position: int | None = await store.pool.fetchval("select max(position) from progress")
            return position == head

        await until(saved, "a snapshot")
    late = Follower(store, often, PARTITIONS)
    late.access_state.position = head - 1
    late._saved_position = 0
    await late._save_if_due()
    assert await store.pool.fetchval("select position from progress") == head


async def test_a_snapshot_that_cannot_be_written_ends_nothing(
    store: EventStore, settings: Settings, executor: Executor, owner: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    often = replace(settings, follower_snapshot_every_events=1)
    async with open_follower(store, often, PARTITIONS) as follower:
        await store.pool.execute("alter table progress rename to gone")
        await make_project(executor, owner)
        await until(lambda: "was not saved" in caplog.text, "a failed snapshot")
        project_id = await make_project(executor, owner)
        await until(lambda: follower.known_role(project_id, owner) == "owner", "a follower that follows on")
        await follower.ready()


async def test_large_facts_are_read_a_few_at_a_time(
    store: EventStore, settings: Settings, without_polls: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Executor(store, settings)
    async with open_follower(store, without_polls, PARTITIONS) as behind:
        people = [await register(executor, settings) for _ in range(4)]
        project_id = await make_project(executor, people[0])
        for person in people[1:]:
            await make_task(executor, people[0], project_id)
            await set_member(executor, people[0], project_id, person, "viewer")
        monkeypatch.setattr(following, "CHUNK_BYTES_MAX", 1)
        await behind.poll()
        assert behind.access_state.members[project_id] == dict.fromkeys(people[1:], "viewer") | {people[0]: "owner"}
        assert behind.position == (await store.log.head()).position
