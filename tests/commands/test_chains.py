"""Commands that are executed in order: each decided on what those before it leave, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import task, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor, Request
from taskflow.commands.undo import UndoTask
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import KeyReused, NotFound, QueueFull, Refusal, Rejected, TooManyUnchanged, VersionConflict
from taskflow.settings import Settings
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore, open_event_store

from .test_bundles import (
    child_of,
    create,
    head,
    not_today,
    on,
    retitle,
    step,
)
from .world import (
    Gate,
    appends_held,
    edit,
    group_at_server,
    make_project,
    make_task,
    outcome,
    remove_member,
    request,
    titles,
    until,
    versions,
)


def no_such_status(caller: UUID, task_id: UUID) -> Request:
    return step(caller, handler_of(task.EditTask), task_id, task.EditTask(status="no such"))


def trash(caller: UUID, task_id: UUID, **circumstances: Any) -> Request:
    return step(caller, handler_of(task.TrashTask), task_id, task.TrashTask(), **circumstances)


def positions(answers: list[Accepted | Refusal | KeyReused]) -> list[int]:
    return [one.receipt.position for one in answers if isinstance(one, Accepted) and one.appended]


def counted(one: Request) -> tuple[Request, list[int]]:
    """The step, and a list that grows with each run of its handler."""
    runs: list[int] = []

    async def run(unit: UnitOfWork) -> Any:
        runs.append(len(runs))
        return await one.handler(unit)

    return replace(one, handler=run), runs


# --- outcomes


async def test_each_is_decided_on_what_those_before_it_leave(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    renamed = on(made, owner, handler_of(task.EditTask), task.EditTask(title="New"))
    same = on(made, owner, handler_of(task.EditTask), task.EditTask(title="New"))
    child = step(owner, child_of, made.command_id, project_id)
    steps = [made, renamed, same, child]
    answers = await executor.execute_in_order(steps)
    assert [(one.receipt.version, one.receipt.outcome) for one in answers if isinstance(one, Accepted)] == [
        (1, Outcome.APPLIED),
        (2, Outcome.APPLIED),
        (2, Outcome.UNCHANGED),
        (1, Outcome.APPLIED),
    ]
    first, second, third = positions(answers)
    assert first < second < third
    for one, answer in zip(steps, answers, strict=True):
        again = await other.execute(replace(one, handler=not_today))
        assert isinstance(answer, Accepted)
        assert (outcome(again), again.receipt.replayed) == (outcome(answer), True)


async def test_a_refused_one_stops_none_of_the_others(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    steps = [
        retitle(owner, task_id, "a"),
        no_such_status(owner, task_id),
        retitle(owner, task_id, "b", expected_version=2),
        retitle(owner, task_id, "c", expected_version=2),
        replace(create(owner, project_id), handler=not_today),
        retitle(owner, task_id, "d"),
    ]
    answers = await executor.execute_in_order(steps)
    assert [type(one) for one in answers] == [Accepted, Rejected, Accepted, VersionConflict, Rejected, Accepted]
    conflict = answers[3]
    assert isinstance(conflict, VersionConflict)
    assert (conflict.expected, conflict.current) == (2, 3)
    assert await titles(store, task_id) == ["T", "a", "b", "d"]
    refused = [steps[index].command_id for index in (1, 3, 4)]
    assert [one.command_id for one in answers if isinstance(one, Refusal)] == refused
    assert await store.receipts([(owner, one) for one in refused]) == {}


async def test_a_hundred_creates_share_a_commit(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    steps = [create(owner, project_id) for _ in range(100)]
    async with appends_held(settings) as release:
        before = asyncio.create_task(make_task(executor, owner, project_id))
        await group_at_server(store)
        groups = store.committer.groups
        sent = asyncio.create_task(executor.execute_in_order(steps))
        await until(lambda: store.committer.queued == 100, "all of them in the queue")
        await release()
    await before
    answers = await sent
    assert store.committer.groups == groups + 2
    first = positions(answers)[0]
    assert positions(answers) == list(range(first, first + 100))
    assert len({one.state.rank for one in answers if isinstance(one, Accepted)}) == 100


async def test_what_a_person_says_of_themselves_is_sealed(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    name = step(owner, handler_of(user.EditProfile), None, user.EditProfile(name="Grace"))
    picture = step(owner, handler_of(user.EditProfile), None, user.EditProfile(avatar_url="https://a.example/b.png"))
    await executor.execute_in_order([name, create(owner, project_id), picture])
    again = await other.execute(picture)
    assert (again.state.name, again.state.avatar_url) == ("Grace", "https://a.example/b.png")


async def test_history_shows_what_is_still_on_its_way(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    """An undo looks into the log: it waits until the commands before it are there."""
    task_id = await make_task(executor, owner, project_id)
    answers = await executor.execute_in_order(
        [
            retitle(owner, task_id, "a"),
            retitle(owner, task_id, "b"),
            step(owner, handler_of(UndoTask), task_id, UndoTask()),
            step(owner, handler_of(UndoTask), task_id, UndoTask()),
        ]
    )
    assert [one.state.title for one in answers if isinstance(one, Accepted)] == ["a", "b", "a", "T"]


# --- others who write meanwhile


async def test_one_that_loses_is_decided_again_with_those_after_it(
    executor: Executor, other: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    steps = [create(owner, project_id), retitle(owner, task_id, "mine"), create(owner, project_id)]
    observed = [counted(one) for one in steps]
    chain = [one for one, _ in observed]
    async with appends_held(settings) as release:
        theirs = asyncio.create_task(edit(other, owner, task_id, description="theirs"))
        await group_at_server(store)
        sent = asyncio.create_task(executor.execute_in_order(chain))
        await until(lambda: all(runs for _, runs in observed), "all of them decided")
        await release()
    answers = await sent
    assert (await theirs).receipt.version == 2
    assert [len(runs) for _, runs in observed] == [1, 2, 2]
    assert [one.receipt.version for one in answers if isinstance(one, Accepted)] == [1, 3, 1]
    first, second, third = positions(answers)
    assert first < second < third
    assert await titles(store, task_id) == ["T", "mine"]


async def test_a_refusal_on_pending_events_that_are_lost_is_none(
    executor: Executor, other: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    late, runs = counted(retitle(owner, task_id, "late"))
    async with appends_held(settings) as release:
        theirs = asyncio.create_task(edit(other, owner, task_id, description="theirs"))
        await group_at_server(store)
        sent = asyncio.create_task(executor.execute_in_order([trash(owner, task_id, expected_version=1), late]))
        await until(lambda: bool(runs), "the second refused, on a task that is about to be trashed")
        await release()
    await theirs
    answers = await sent
    assert [type(one) for one in answers] == [VersionConflict, Accepted]
    assert await titles(store, task_id) == ["T", "late"]


async def test_a_refusal_waits_for_the_pending_events_it_has_read(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    refused, runs = counted(retitle(owner, task_id, "late"))
    async with appends_held(settings) as release:
        sent = asyncio.create_task(executor.execute_in_order([trash(owner, task_id), refused]))
        await until(lambda: bool(runs), "the second refused")
        await group_at_server(store)
        assert not sent.done()
        await release()
    trashed, late = await sent
    assert isinstance(trashed, Accepted)
    assert isinstance(late, Rejected)
    assert (late.code, len(runs)) == ("trashed", 1)


@pytest.mark.parametrize("last", [False, True])
async def test_what_a_refusal_has_read_is_checked_by_what_comes_after_it(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, last: bool
) -> None:
    """This process still believes the task to be in the trash: the order of the commands holds all the same."""
    task_id = await make_task(executor, owner, project_id)
    await executor.execute_in_order([trash(owner, task_id)])
    await other.execute(request(owner, lambda unit: handler_of(task.RestoreTask)(unit, task_id, task.RestoreTask())))
    steps = [create(owner, project_id), retitle(owner, task_id, "New")]
    answers = await executor.execute_in_order(steps if last else [*steps, create(owner, project_id)])
    assert all(isinstance(one, Accepted) for one in answers)
    assert positions(answers) == sorted(positions(answers))
    assert await titles(store, task_id) == ["T", "New"]


async def test_a_member_removed_meanwhile_writes_nothing_more(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID
) -> None:
    elsewhere = await make_project(executor, member)
    gate = Gate()
    held = request(
        member, gate.around(handler_of(task.CreateTask), None, task.CreateTask(project_id=project_id, title="X"))
    )
    sent = asyncio.create_task(executor.execute_in_order([create(member, elsewhere), held, create(member, elsewhere)]))
    await gate.decided.wait()
    await remove_member(other, owner, project_id, member)
    gate.open.set()
    assert [type(one) for one in await sent] == [Accepted, NotFound, Accepted]


async def test_a_hundred_edits_of_one_task_get_through_among_concurrent_writers(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    chains = [[retitle(owner, task_id, f"{n} {m}") for m in range(25)] for n in range(4)]
    doors = (executor, other) * 2
    answers = await asyncio.gather(*[one.execute_in_order(steps) for one, steps in zip(doors, chains, strict=True)])
    for one in answers:
        assert all(isinstance(answer, Accepted) for answer in one)
        assert positions(one) == sorted(positions(one))
    assert await versions(store, task_id) == list(range(1, 102))


async def test_a_process_without_room_for_states_comes_through(
    settings: Settings, owner: UUID, project_id: UUID
) -> None:
    async with open_event_store(replace(settings, state_cache_bytes_max=1), "forgetful") as store:
        executor = Executor(store, settings)
        task_id = await make_task(executor, owner, project_id)
        answers = await executor.execute_in_order([retitle(owner, task_id, f"{n}") for n in range(10)])
        assert all(isinstance(one, Accepted) for one in answers)
        assert await titles(store, task_id) == ["T", *[f"{n}" for n in range(10)]]


# --- repeats


async def test_fifty_copies_have_one_effect(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    steps = [made, on(made, owner, handler_of(task.EditTask), task.EditTask(title="New")), create(owner, project_id)]
    before = await head(store)
    answers = await asyncio.gather(*[one.execute_in_order(steps) for one in (executor, other) * 25])
    assert await head(store) == before + 3
    seen = [[outcome(a) for a in one if isinstance(a, Accepted)] for one in answers]
    assert all(one == seen[0] and len(one) == 3 for one in seen)


async def test_copies_that_overlap_have_one_effect(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    """Each command is in several chains, at another place in each."""
    steps = [create(owner, project_id, f"{n}") for n in range(12)]
    before = await head(store)
    chains = [steps[:8], steps[4:], [*steps[6:], *steps[:6]], steps[::-1]]
    await asyncio.gather(
        *[one.execute_in_order(chain) for one, chain in zip((executor, other) * 2, chains, strict=True)]
    )
    assert await head(store) == before + 12


async def test_what_was_accepted_before_is_replayed_and_the_rest_goes_on(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    first = await executor.execute(made)
    child = step(owner, child_of, made.command_id, project_id)
    changed = replace(made, fingerprint=b"another")
    answers = await other.execute_in_order([made, child])
    assert [one.receipt.replayed for one in answers if isinstance(one, Accepted)] == [True, False]
    assert isinstance(answers[0], Accepted)
    assert isinstance(answers[1], Accepted)
    assert (outcome(answers[0]), answers[1].state.parent_id) == (outcome(first), first.receipt.stream_id)
    before = await head(store)
    reused, accepted = await other.execute_in_order([changed, create(owner, project_id)])
    assert isinstance(reused, KeyReused)
    assert isinstance(accepted, Accepted)
    assert await head(store) == before + 1


async def test_a_receipt_that_comes_between_decision_and_append_is_taken(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    first, second, third = (create(owner, project_id, title) for title in ("first", "second", "third"))
    gate = Gate()
    held = replace(
        second,
        handler=gate.around(handler_of(task.CreateTask), None, task.CreateTask(project_id=project_id, title="second")),
    )
    before = await head(store)
    sent = asyncio.create_task(executor.execute_in_order([first, held, third]))
    await gate.decided.wait()
    alone = await other.execute(second)
    gate.open.set()
    answers = [one for one in await sent if isinstance(one, Accepted)]
    assert [one.receipt.replayed for one in answers] == [False, True, False]
    assert outcome(answers[1]) == outcome(alone)
    assert await head(store) == before + 3


async def test_a_receipt_counts_more_than_a_refusal(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    """Accepted elsewhere, after it was looked for and before it is refused here."""
    made = create(owner, project_id)
    gate = Gate()
    first = replace(
        create(owner, project_id),
        handler=gate.around(handler_of(task.CreateTask), None, task.CreateTask(project_id=project_id, title="X")),
    )
    sent = asyncio.create_task(
        executor.execute_in_order([first, replace(made, handler=not_today), create(owner, project_id)])
    )
    await gate.decided.wait()
    alone = await other.execute(made)
    gate.open.set()
    answers = [one for one in await sent if isinstance(one, Accepted)]
    assert outcome(answers[1]) == outcome(alone)
    assert [one.receipt.replayed for one in answers] == [False, True, False]


# --- bounds


async def test_a_full_queue_is_said_and_what_was_stored_is_answered_next_time(
    store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    async with open_event_store(replace(settings, append_queue_max=10), "small queue") as small:
        executor = Executor(small, settings)
        await make_task(executor, owner, project_id)  # so that nothing has to be read
        steps = [create(owner, project_id) for _ in range(30)]
        before = await head(store)
        async with appends_held(settings) as release:
            first = asyncio.create_task(make_task(executor, owner, project_id))
            await group_at_server(small)
            with pytest.raises(QueueFull):
                await executor.execute_in_order(steps)
            await release()
        await first
        while True:
            try:
                answers = await executor.execute_in_order(steps)
                break
            except QueueFull:
                await asyncio.sleep(0.01)
        assert all(isinstance(one, Accepted) for one in answers)
        assert await head(store) == before + 31


async def test_what_changes_nothing_is_limited_and_given_back(
    store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    executor = Executor(store, settings, unchanged=_Limit(2))
    task_id = await make_task(executor, owner, project_id)
    steps = [retitle(owner, task_id, "T") for _ in range(3)]
    answers = await executor.execute_in_order([*steps, retitle(owner, task_id, "New")])
    assert [type(one) for one in answers] == [Accepted, Accepted, TooManyUnchanged, Accepted]
    assert await titles(store, task_id) == ["T", "New"]


async def test_what_changes_nothing_in_a_chain_is_counted_with_few_questions(
    store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    limit = _Limit(100)
    executor = Executor(store, settings, unchanged=limit)
    task_id = await make_task(executor, owner, project_id)
    await executor.execute_in_order([retitle(owner, task_id, "T") for _ in range(30)])
    assert (limit.left, limit.asked) == (70, 2)
    await executor.execute_in_order([retitle(owner, task_id, title) for title in ("T", "New", "New", "Newer", "Last")])
    assert (limit.left, limit.asked) == (68, 5), "two of them, and what was reserved for more is given back"
    assert await titles(store, task_id) == ["T", "New", "Newer", "Last"]


class _Limit:
    """So many commands that change nothing, and no more."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.asked = 0

    async def reserve_unchanged(self, _: UUID, commands: int) -> None:
        self.asked += 1
        if commands > self.left:
            raise TooManyUnchanged("no more", retry_after_s=1)
        self.left -= commands

    async def give_back_unchanged(self, _: UUID, commands: int) -> None:
        self.asked += 1
        self.left += commands
