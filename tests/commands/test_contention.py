"""Many at one stream, queues that are full, callers who left: every append ends, and ends once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import session, task, user
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.session import NewSession
from taskflow.errors import (
    KeyMissing,
    NotFound,
    QueueFull,
    Rejected,
    StoreError,
    Unavailable,
    VersionConflict,
)
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY, Outcome
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import TASK

from .world import (
    Gate,
    appends_held,
    edit,
    group_at_server,
    make_project,
    make_task,
    register,
    registration,
    request,
    send,
    titles,
    until,
    versions,
)


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
                executor.execute(request(owner), gate.around(task.edit_task, child, task.EditTask(parent_id=parent)))
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


async def assert_one_edge(closing: list[asyncio.Task[Accepted]]) -> None:
    answers = await asyncio.gather(*closing, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Accepted", "Rejected"]
    assert [answer.code for answer in answers if isinstance(answer, Rejected)] == ["cycle"]


# --- hot streams


async def test_two_hundred_edits_of_one_task_at_once_see_no_conflict(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    answers = await asyncio.gather(*[edit(executor, owner, task_id, title=f"Title {n}") for n in range(200)])
    assert sorted(answer.receipt.version for answer in answers) == list(range(2, 202))
    assert await versions(store, task_id) == list(range(1, 202))
    assert all(answer.state.version == answer.receipt.version for answer in answers)


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


# --- callers that leave, queues that are full, servers that are away


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
            sent = [asyncio.create_task(send(crowded, people[0], user.edit_profile, None, command))]
            await group_at_server(store)
            sent += [asyncio.create_task(send(crowded, who, user.edit_profile, None, command)) for who in people[1:3]]
            await until(lambda: store.committer.queued == 2, "a full queue")
            with pytest.raises(QueueFull, match="2 commands wait"):
                await send(crowded, people[3], user.edit_profile, None, command, **same)
            await release()
        assert all(accepted.receipt.outcome is Outcome.APPLIED for accepted in await asyncio.gather(*sent))
        later = await send(crowded, people[3], user.edit_profile, None, command, **same)
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


# --- people


async def test_a_session_that_starts_while_its_person_registers_waits_for_their_key(
    executor: Executor, store: EventStore, settings: Settings
) -> None:
    email = "quick@example.com"
    person = registration(settings, email)
    async with appends_held(settings) as release:
        command = user.RegisterUser(email=email, password="not looked at", name="Quick")
        registering = asyncio.create_task(send(executor, NOBODY, user.register_user, person, command))
        await until(lambda: person.user_id in store.folds._folded, "a registration under way")
        new = NewSession(session_id=new_id(), address="192.0.2.1", agent="A browser")
        login = asyncio.create_task(
            send(
                executor,
                NOBODY,
                session.start_session,
                person.user_id,
                person.claim_id,
                person.password_hash,
                new,
            )
        )
        for _ in range(50):
            await asyncio.sleep(0)
        await release()
    await registering
    assert (await login).state.address == "192.0.2.1"


async def test_of_many_registrations_of_one_address_exactly_one_wins(
    executor: Executor, other: Executor, store: EventStore, settings: Settings
) -> None:
    spellings = ("ada@example.com", " Ada@Example.com ", "ADA@EXAMPLE.COM")
    answers = await asyncio.gather(
        *[register(one, settings, email) for one in (executor, other) for email in spellings * 3],
        return_exceptions=True,
    )
    assert sum(isinstance(answer, UUID) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Rejected)} == {"email-taken"}
    assert await store.pool.fetchval("select count(*) from keys") == 1, "a loser leaves no key behind"


async def test_a_key_that_is_gone_is_an_alarm_and_nothing_is_written(
    other: Executor, store: EventStore, owner: UUID
) -> None:
    before = await versions(store, owner)
    await store.pool.execute("delete from keys where person = $1", owner)
    with pytest.raises(KeyMissing):
        await send(other, owner, user.edit_profile, None, user.EditProfile(name="Nobody"))
    assert await versions(store, owner) == before


async def test_a_member_who_is_not_there_is_told_nothing(
    executor: Executor, other: Executor, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    stranger = await register(executor, settings)
    theirs = await make_project(other, stranger)
    task_id = await make_task(executor, owner, project_id)
    for stream_id in (task_id, new_id()):
        with pytest.raises(NotFound, match=f"no task {stream_id}"):
            await edit(other, stranger, stream_id, title="X", circumstances={"expected_version": 99})
    with pytest.raises(NotFound):  # a parent in a project that is not the task's
        await edit(executor, owner, task_id, parent_id=await make_task(other, stranger, theirs))


async def test_many_readers_of_one_stream_share_one_read(store: EventStore, executor: Executor, owner: UUID) -> None:
    from taskflow.streams import USER

    store.folds._folded.clear()
    loaded = await asyncio.gather(*[store.folds.load(USER, owner) for _ in range(100)])
    assert all(one is loaded[0] for one in loaded)
    assert (await store.folds.load(TASK, new_id())).state is None
