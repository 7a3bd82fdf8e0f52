"""Invariant 4: one caller's command id, one effect, one outcome."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from taskflow.commands import project, task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.errors import (
    KeyReused,
    Rejected,
)
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store import stored_outcomes
from taskflow.store.append import Outcome
from taskflow.store.eventstore import EventStore

from .test_bundles import create, on
from .world import (
    appends_held,
    edit,
    group_at_server,
    make_task,
    outcome,
    send,
    titles,
    until,
)


async def test_fifty_copies_of_a_command_have_one_effect_and_one_outcome(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    for title in ("Once", "Twice"):
        command_id = new_id()
        answers = await asyncio.gather(
            *[
                edit(one, owner, task_id, title=title, priority="high", circumstances={"command_id": command_id})
                for one in (executor, other) * 25
            ]
        )
        assert sum(not answer.receipt.replayed for answer in answers) == 1
        assert all(outcome(answer) == outcome(answers[0]) for answer in answers)
    assert await titles(store, task_id) == ["T", "Once", "Twice"]


async def test_fifty_copies_of_a_creation_make_one_stream(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
) -> None:
    before = (await store.log.head()).position
    command = task.CreateTask(project_id=project_id, title="One")
    command_id = new_id()
    answers = await asyncio.gather(
        *[send(one, owner, task.create_task, None, command, command_id=command_id) for one in (executor, other) * 25]
    )
    assert all(outcome(answer) == outcome(answers[0]) for answer in answers)
    assert (await store.log.head()).position == before + 1


async def test_a_repeat_answers_as_of_its_version_whatever_came_after(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    command_id = new_id()
    first = await edit(executor, owner, task_id, title="First", circumstances={"command_id": command_id})
    await edit(other, owner, task_id, title="Second")
    # Decided today it would be refused.
    await send(other, owner, handler_of(project.ArchiveProject), project_id, project.ArchiveProject())
    for one in (executor, other):
        again = await edit(one, owner, task_id, title="First", circumstances={"command_id": command_id})
        assert (outcome(again), again.receipt.replayed) == (outcome(first), True)


async def test_a_repeated_no_op_stays_one(executor: Executor, other: Executor, owner: UUID, project_id: UUID) -> None:
    task_id = await make_task(executor, owner, project_id)
    command_id = new_id()
    first = await edit(executor, owner, task_id, title="T", circumstances={"command_id": command_id})
    assert (first.receipt.outcome, first.receipt.version, first.events) == (Outcome.UNCHANGED, 1, ())
    await edit(other, owner, task_id, title="Another")
    again = await edit(other, owner, task_id, title="T", circumstances={"command_id": command_id})
    assert outcome(again) == outcome(first)


async def test_one_id_with_two_contents_is_refused(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, member: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    same = {"command_id": new_id()}
    await edit(executor, owner, task_id, title="A", circumstances=same)
    for one in (executor, other):
        with pytest.raises(KeyReused):
            await edit(one, owner, task_id, title="B", circumstances=same | {"fingerprint": b"another"})
        # Refused or not in itself: the receipt is looked at first.
        with pytest.raises(KeyReused):
            await edit(one, owner, task_id, status="no such", circumstances=same | {"fingerprint": b"another"})
    # An id is its caller's own.
    theirs = await edit(other, member, task_id, title="C", circumstances=same | {"fingerprint": b"another"})
    assert theirs.receipt.replayed is False
    assert await titles(store, task_id) == ["T", "A", "C"]


async def test_copies_of_a_command_that_meet_in_one_queue_have_one_effect(
    executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    command_id = new_id()
    # Executors of their own, so that no copy waits for another before it is queued.
    executors = [Executor(store, settings) for _ in range(5)]
    async with appends_held(settings) as release:
        first = asyncio.create_task(edit(executor, owner, task_id, title="At the server"))
        await group_at_server(store)
        copies = [
            asyncio.create_task(edit(one, owner, task_id, title="Once", circumstances={"command_id": command_id}))
            for one in executors
        ]
        await until(lambda: store.committer.queued == 5, "five copies in the queue")
        await release()
    await first
    answers = await asyncio.gather(*copies)
    assert all(outcome(answer) == outcome(answers[0]) for answer in answers)
    assert sum(not answer.receipt.replayed for answer in answers) == 1
    assert await titles(store, task_id) == ["T", "At the server", "Once"]


async def test_a_refused_command_leaves_no_receipt(
    executor: Executor, other: Executor, owner: UUID, project_id: UUID
) -> None:
    task_id = await make_task(executor, owner, project_id)
    same = {"command_id": new_id()}
    with pytest.raises(Rejected):
        await edit(executor, owner, task_id, status="no such", circumstances=same)
    accepted = await edit(other, owner, task_id, title="Now", circumstances=same)
    assert accepted.receipt.replayed is False


class Asked:
    """The questions to the store while this is entered."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.queries: list[str] = []

    def _note(self, record: Any) -> None:
        self.queries.append(record.query)

    def __enter__(self) -> list[str]:
        for connection in self._store.connections:
            connection.add_query_logger(self._note)
        return self.queries

    def __exit__(self, *_: object) -> None:
        for connection in self._store.connections:
            connection.remove_query_logger(self._note)


async def test_a_batch_of_repeats_asks_the_store_as_often_as_one_of_them(
    executor: Executor, other_store: EventStore, settings: Settings, owner: UUID, project_id: UUID
) -> None:
    made = [create(owner, project_id, f"Task {n}") for n in range(15)]
    renamed = [on(one, owner, handler_of(task.EditTask), task.EditTask(title="New")) for one in made]
    same = [on(one, owner, handler_of(task.EditTask), task.EditTask(title="New")) for one in made]
    steps = [*made, *renamed, *same]
    answers = await executor.execute_in_order(steps)
    fresh = Executor(other_store, settings)
    asked = []
    for several in (steps[:2], steps[:2], steps):
        with Asked(other_store) as queries:
            again = await fresh.execute_in_order(several)
        asked.append(len(queries))
        for answer, repeat in zip(answers, again, strict=False):
            assert isinstance(answer, Accepted)
            assert isinstance(repeat, Accepted)
            assert (outcome(repeat), repeat.events) == (outcome(answer), answer.events)
            assert repeat.receipt.replayed
    assert asked[1:] == [3, 3], "receipts, states, events; the first ones also open the connection"


async def test_repeats_are_answered_however_many_events_they_have(
    executor: Executor, other: Executor, monkeypatch: pytest.MonkeyPatch, owner: UUID, project_id: UUID
) -> None:
    monkeypatch.setattr(stored_outcomes, "EVENTS_MAX", 3)
    made = [create(owner, project_id, f"Task {n}") for n in range(7)]
    command = task.EditTask(title="New", priority="high", labels=("a",), description="d")
    steps = [*made, *[on(one, owner, handler_of(task.EditTask), command) for one in made]]
    answers = await executor.execute_in_order(steps)
    for answer, repeat in zip(answers, await other.execute_in_order(steps), strict=True):
        assert isinstance(answer, Accepted)
        assert isinstance(repeat, Accepted)
        assert (outcome(repeat), repeat.events) == (outcome(answer), answer.events)
