"""Commands that are executed together: decided on one unit, stored as one, or nothing of them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.commands import project, task, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor, Request
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import KeyReused, NotFound, Refusal, Rejected, VersionConflict
from taskflow.settings import Settings
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore

from .world import (
    Gate,
    appends_held,
    edit,
    group_at_server,
    make_project,
    make_task,
    outcome,
    register,
    remove_member,
    request,
    set_member,
    titles,
    until,
    versions,
)


def step(caller: UUID, handler: Any, *arguments: Any, **circumstances: Any) -> Request:
    return request(caller, lambda unit: handler(unit, *arguments), **circumstances)


def retitle(caller: UUID, task_id: UUID, title: str, **circumstances: Any) -> Request:
    return step(caller, handler_of(task.EditTask), task_id, task.EditTask(title=title), **circumstances)


def create(caller: UUID, project_id: UUID, title: str = "T", **circumstances: Any) -> Request:
    return step(caller, task.create_task, None, task.CreateTask(project_id=project_id, title=title), **circumstances)


def on(earlier: Request, caller: UUID, handler: Any, command: Any) -> Request:
    """On what an earlier command of the bundle makes."""

    async def run(unit: UnitOfWork) -> Any:
        return await handler(unit, unit.made[earlier.command_id], command)

    return request(caller, run)


async def head(store: EventStore) -> int:
    return (await store.log.head()).position


async def test_later_commands_see_what_earlier_ones_did(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    renamed = on(made, owner, handler_of(task.EditTask), task.EditTask(title="New"))
    same = on(made, owner, handler_of(task.EditTask), task.EditTask(title="New"))
    child = step(owner, child_of, made.command_id, project_id)
    answers = await executor.execute_together([made, renamed, same, child])
    task_id = answers[0].receipt.stream_id
    assert [(one.receipt.version, one.receipt.outcome) for one in answers[:3]] == [
        (1, Outcome.APPLIED),
        (2, Outcome.APPLIED),
        (2, Outcome.UNCHANGED),
    ]
    assert [one.state.title for one in answers[:3]] == ["T", "New", "New"], "each as of its own version"
    assert answers[3].state.parent_id == task_id
    first = answers[0].receipt.position
    assert [[event.position for event in one.appended] for one in answers] == [[first], [first + 1], [], [first + 2]]
    assert await head(store) == first + 2
    # Each has a receipt of its own, and answers alone as it did among others.
    for one, answer in zip((made, renamed, same, child), answers, strict=True):
        again = await executor.execute(replace(one, handler=not_today))
        assert (outcome(again), again.receipt.replayed) == (outcome(answer), True)


async def not_today(_: UnitOfWork) -> Any:
    """Whatever would be decided today: the receipt is looked at first."""
    raise Rejected("not-today", "no")


async def child_of(unit: UnitOfWork, command_id: UUID, project_id: UUID) -> Any:
    command = task.CreateTask(project_id=project_id, title="Child", parent_id=unit.made[command_id])
    return await task.create_task(unit, None, command)


async def test_one_refusal_leaves_nothing_of_any(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    before = await head(store)
    refused = step(owner, handler_of(task.EditTask), task_id, task.EditTask(status="no such"))
    steps = [create(owner, project_id), retitle(owner, task_id, "New"), refused, create(owner, project_id)]
    with pytest.raises(Rejected) as raised:
        await executor.execute_together(steps)
    assert raised.value.command_id == refused.command_id
    assert await head(store) == before
    assert await store.receipts([(owner, one.command_id) for one in steps]) == {}
    assert (await edit(executor, owner, task_id, title="Later")).receipt.version == 2


async def test_an_expected_version_is_compared_with_what_the_bundle_has_made_of_it(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    await executor.execute_together(
        [retitle(owner, task_id, "a", expected_version=1), retitle(owner, task_id, "b", expected_version=2)]
    )
    with pytest.raises(VersionConflict) as conflict:
        await executor.execute_together(
            [retitle(owner, task_id, "c", expected_version=3), retitle(owner, task_id, "d", expected_version=3)]
        )
    assert (conflict.value.expected, conflict.value.current) == (3, 4)
    assert await titles(store, task_id) == ["T", "a", "b"]


async def test_each_command_happens_at_its_own_moment(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    steps = [create(owner, project_id) for _ in range(3)]
    answers = await executor.execute_together(steps)
    assert [one.state.created_at for one in answers] == [one.at for one in steps]
    assert len({one.state.rank for one in answers}) == 3


async def test_personal_fields_are_sealed_in_a_bundle_too(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    name = step(owner, handler_of(user.EditProfile), None, user.EditProfile(name="Grace"))
    picture = step(owner, handler_of(user.EditProfile), None, user.EditProfile(avatar_url="https://a.example/b.png"))
    answers = await executor.execute_together([name, create(owner, project_id), picture])
    assert [one.state.version for one in answers] == [answers[0].state.version, 1, answers[0].state.version + 1]
    again = await other.execute(picture)
    assert (again.state.name, again.state.avatar_url) == ("Grace", "https://a.example/b.png")


# --- others who write meanwhile


async def test_a_member_removed_between_decision_and_append_writes_nothing(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID
) -> None:
    elsewhere = await make_project(executor, member)
    gate = Gate()
    last = request(member, gate.around(task.create_task, None, task.CreateTask(project_id=project_id, title="X")))
    sent = asyncio.create_task(executor.execute_together([create(member, elsewhere), last, create(member, elsewhere)]))
    await gate.decided.wait()
    await remove_member(other, owner, project_id, member)
    before = await head(store)
    gate.open.set()
    with pytest.raises(NotFound) as refused:
        await sent
    assert refused.value.command_id == last.command_id
    assert await head(store) == before


async def test_a_member_removed_by_the_bundle_itself_is_gone_for_what_follows(
    executor: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    before = await head(store)
    removal = step(owner, handler_of(project.RemoveMember), project.Member(project_id, member), project.RemoveMember())
    assigning = step(owner, handler_of(task.AssignTask), task_id, task.AssignTask(user_id=member))
    with pytest.raises(Rejected) as refused:
        await executor.execute_together([removal, assigning])
    assert (refused.value.code, await head(store)) == ("not-a-member", before)
    leaving = step(member, handler_of(project.RemoveMember), project.Member(project_id, member), project.RemoveMember())
    with pytest.raises(NotFound):
        await executor.execute_together([leaving, retitle(member, task_id, "Last word")])
    assert await head(store) == before


async def test_a_bundle_over_two_projects_is_one(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID
) -> None:
    """What is taken from one list is put on the other, also while each is edited by others."""
    second = await make_project(executor, owner, member=(member, "member"))
    here, there = [await make_task(executor, owner, where) for where in (project_id, second)]

    async def pair(n: int) -> None:
        one = (executor, other)[n % 2]
        await one.execute_together(
            [
                step(member, handler_of(task.EditTask), here, task.EditTask(title=f"Pair {n}")),
                step(member, handler_of(task.EditTask), there, task.EditTask(title=f"Pair {n}")),
            ]
        )

    async def single(n: int) -> None:
        await edit((executor, other)[n % 2], owner, (here, there)[n % 2], description=f"{n}")

    await asyncio.gather(*[pair(n) for n in range(20)], *[single(n) for n in range(40)])
    pairs = [[title for title in await titles(store, one) if title.startswith("Pair")] for one in (here, there)]
    assert pairs[0] == pairs[1]
    assert sorted(pairs[0]) == sorted(f"Pair {n}" for n in range(20))


async def test_a_hundred_edits_of_one_task_get_through_among_concurrent_writers(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    done = asyncio.Event()

    async def write(one: Executor, n: int) -> int:
        written = 0
        while not done.is_set():
            await edit(one, owner, task_id, description=f"{n} {written}")
            written += 1
        return written

    async def bundle() -> list[Accepted]:
        try:
            return await executor.execute_together([retitle(owner, task_id, f"Title {n}") for n in range(100)])
        finally:
            done.set()

    bundled = asyncio.create_task(bundle())
    written = await asyncio.gather(*[write(one, n) for n, one in enumerate((executor, other) * 4)])
    answers = await bundled
    first = answers[0].receipt.version
    assert [one.receipt.version for one in answers] == list(range(first, first + 100))
    assert await titles(store, task_id) == ["T", *[f"Title {n}" for n in range(100)]]
    assert await versions(store, task_id) == list(range(1, 102 + sum(written)))


async def test_a_hundred_creates_are_one_transaction(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    groups, before = store.committer.groups, await head(store)
    answers = await executor.execute_together([create(owner, project_id, f"{n}") for n in range(100)])
    assert store.committer.groups == groups + 1
    assert [one.receipt.position for one in answers] == list(range(before + 1, before + 101))
    assert len({one.receipt.recorded_at for one in answers}) == 1


async def test_the_next_command_is_decided_on_a_bundle_that_is_on_its_way(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    async with appends_held(settings) as release:
        sent = asyncio.create_task(
            executor.execute_together([retitle(owner, task_id, "a"), retitle(owner, task_id, "b")])
        )
        await group_at_server(store)
        later = asyncio.create_task(edit(executor, owner, task_id, title="c", circumstances={"expected_version": 3}))
        await until(lambda: store.committer.queued == 1, "the next one in the queue")
        await release()
    await sent
    assert (await later).receipt.version == 4


# --- repeats


async def test_fifty_copies_of_a_bundle_have_one_effect(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    steps = [made, on(made, owner, handler_of(task.EditTask), task.EditTask(title="New")), create(owner, project_id)]
    before = await head(store)
    answers = await asyncio.gather(*[one.execute_together(steps) for one in (executor, other) * 25])
    assert await head(store) == before + 3
    assert all([outcome(a) for a in one] == [outcome(a) for a in answers[0]] for one in answers)
    assert sum(not one[0].receipt.replayed for one in answers) == 1


async def test_what_was_accepted_alone_is_replayed_and_the_rest_is_one_bundle(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    made = create(owner, project_id)
    first = await executor.execute(made)
    child = step(owner, child_of, made.command_id, project_id)
    renamed = on(made, owner, handler_of(task.EditTask), task.EditTask(title="New"))
    await edit(other, owner, first.receipt.stream_id, title="Meanwhile")
    answers = await other.execute_together([made, child, renamed])
    assert [one.receipt.replayed for one in answers] == [True, False, False]
    assert (outcome(answers[0]), answers[0].state.title) == (outcome(first), "T")
    assert (answers[1].state.parent_id, answers[2].receipt.version) == (first.receipt.stream_id, 3)
    # The rest was refused once: what had been accepted alone stays, and nothing else is there.
    refused = step(owner, handler_of(task.EditTask), first.receipt.stream_id, task.EditTask(status="no such"))
    before = await head(store)
    with pytest.raises(Rejected):
        await executor.execute_together([made, create(owner, project_id), refused])
    assert await head(store) == before


async def test_a_receipt_that_comes_between_decision_and_append_is_taken(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    first, second = create(owner, project_id, "first"), create(owner, project_id, "second")
    gate = Gate()
    held = replace(
        second, handler=gate.around(task.create_task, None, task.CreateTask(project_id=project_id, title="second"))
    )
    before = await head(store)
    sent = asyncio.create_task(executor.execute_together([first, held, create(owner, project_id)]))
    await gate.decided.wait()
    alone = await other.execute(second)
    gate.open.set()
    answers = await sent
    assert [one.receipt.replayed for one in answers] == [False, True, False]
    assert outcome(answers[1]) == outcome(alone)
    assert await head(store) == before + 3


async def test_one_id_with_another_content_refuses_all(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    one = create(owner, project_id)
    await executor.execute(one)
    before = await head(store)
    changed = replace(one, fingerprint=b"another")
    for executing in (executor, other):
        with pytest.raises(KeyReused) as refused:
            await executing.execute_together([create(owner, project_id), changed])
        assert refused.value.command_id == one.command_id
    assert await head(store) == before


async def test_a_replay_is_judged_before_anything_is_stored(
    executor: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    one = create(owner, project_id)
    await executor.execute(one)
    before = await head(store)

    async def judge(accepted: Accepted) -> None:
        raise NotFound("task", accepted.receipt.stream_id)

    with pytest.raises(NotFound) as refused:
        await executor.execute_together([create(owner, project_id), one], judge)
    assert refused.value.command_id == one.command_id
    assert await head(store) == before


# --- the property

PEOPLE, TASKS = range(2), range(2)
actions = st.one_of(
    st.tuples(st.just("retitle"), st.sampled_from(TASKS), st.sampled_from(["x", "y"])),
    st.tuples(st.just("parent"), st.sampled_from(TASKS), st.none() | st.sampled_from(TASKS)),
    st.tuples(st.just("assign"), st.sampled_from(TASKS), st.none() | st.sampled_from(PEOPLE)),
    st.tuples(st.just("trash"), st.sampled_from(TASKS), st.booleans()),
    st.tuples(st.just("role"), st.sampled_from(PEOPLE), st.sampled_from(["viewer", "member", "owner"])),
    st.tuples(st.just("archive"), st.none(), st.booleans()),
)
commands = st.tuples(actions, st.none() | st.none() | st.integers(1, 4))


@hypothesis_settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(sent=st.lists(commands, min_size=1, max_size=8), who=st.sampled_from(PEOPLE))
async def test_a_bundle_is_its_commands_one_by_one_or_nothing(
    executor: Executor, store: EventStore, settings: Settings, sent: list[Any], who: int
) -> None:
    """Two equal worlds: in one the commands go one by one until the first refusal, in the other together."""
    alone, together = [await small_world(executor, settings) for _ in range(2)]
    expected: list[Any] = []
    refusal: Refusal | None = None
    for one in sent:
        try:
            accepted = await executor.execute(small_step(one, alone, who))
        except Refusal as error:
            refusal = error
            break
        expected.append(seen_by_the_client(accepted, alone))
    before = await head(store)
    steps = [small_step(one, together, who) for one in sent]
    if refusal is None:
        answers = await executor.execute_together(steps)
        assert [seen_by_the_client(one, together) for one in answers] == expected
        for left, right in zip(alone[1:], together[1:], strict=True):
            assert await versions(store, left) == await versions(store, right)
    else:
        with pytest.raises(type(refusal)) as raised:
            await executor.execute_together(steps)
        assert raised.value.command_id == steps[len(expected)].command_id
        assert await head(store) == before
        assert await store.receipts([(together[0][who], one.command_id) for one in steps]) == {}


async def small_world(executor: Executor, settings: Settings) -> tuple[Any, ...]:
    """Two people, a project, two tasks."""
    users = [await register(executor, settings) for _ in PEOPLE]
    project_id = await make_project(executor, users[0])
    await set_member(executor, users[0], project_id, users[1], "admin")
    return (users, project_id, *[await make_task(executor, users[0], project_id) for _ in TASKS])


def small_step(command: Any, world: Any, who: int) -> Request:
    action, expected = command
    users, project_id, *tasks = world
    match action:
        case ("retitle", n, title):
            run: Any = (handler_of(task.EditTask), tasks[n], task.EditTask(title=title))
        case ("parent", n, parent):
            run = (
                handler_of(task.EditTask),
                tasks[n],
                task.EditTask(parent_id=None if parent is None else tasks[parent]),
            )
        case ("assign", n, person):
            run = (handler_of(task.AssignTask), tasks[n], task.AssignTask(None if person is None else users[person]))
        case ("trash", n, yes):
            run = (
                (handler_of(task.TrashTask), tasks[n], task.TrashTask())
                if yes
                else (handler_of(task.RestoreTask), tasks[n], None)
            )
        case ("role", person, role):
            run = (
                handler_of(project.SetMember),
                project.Member(project_id, users[person]),
                project.SetMember(role=role),
            )
        case (_, _, yes):
            run = (
                handler_of(project.ArchiveProject) if yes else handler_of(project.UnarchiveProject),
                project_id,
                None,
            )
    handler, *arguments = run
    return request(users[who], lambda unit: handler(unit, *arguments), expected_version=expected)


def seen_by_the_client(accepted: Accepted, world: Any) -> Any:
    """What a client is told, with the names that the two worlds have in common."""
    users, *streams = world
    named = {str(one): f"<{index}>" for index, one in enumerate((*users, *streams))}
    text = repr((accepted.receipt.outcome, accepted.receipt.version, accepted.receipt.stream_id, accepted.events))
    for one, name in named.items():
        text = text.replace(one, name)
    return text
