"""Undoing on the real store: what is read back, what is guarded, and what may not come back."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from taskflow.commands import project, task
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.undo import UndoTask
from taskflow.commands.undoing import undo_task
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Forbidden, NotFound, NothingToUndo, Rejected, VersionConflict
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.streams import TASK, Event, EventMetadata
from taskflow.streams.task import (
    RelationAdded,
    RelationRemoved,
    TaskMoved,
    TaskParentSet,
    TaskPurged,
)

from .task_story import events_of, facets
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
    send,
    set_member,
)


async def append(executor: Executor, by: UUID, task_id: UUID, *events: Event, **circumstances: Any) -> Accepted:
    """One command of any kind."""

    async def handler(unit: UnitOfWork) -> UUID:
        await unit.get(TASK, task_id)
        unit.append(TASK, task_id, *events)
        return task_id

    return await send(executor, by, handler, **circumstances)


async def undo(executor: Executor, by: UUID, task_id: UUID, version: int | None = None, **more: Any) -> Accepted:
    return await send(executor, by, undo_task, task_id, UndoTask(version=version), **more)


async def refused(code: str, *arguments: Any) -> None:
    with pytest.raises(Rejected) as rejected:
        await undo(*arguments)
    assert rejected.value.code == code


class TestReadingBack:
    async def test_every_event_names_what_it_undoes(
        self, executor: Executor, store: EventStore, owner: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a", priority="high")
        accepted = await undo(executor, owner, task_id)
        assert (accepted.state.title, accepted.state.priority) == ("T", "medium")
        recorded = await store.log.stream(task_id)
        assert [event.causation_id for event in recorded] == [None, None, None, *[recorded[1].event_id] * 2]

    async def test_what_another_process_did_is_undone_too(
        self, executor: Executor, other: Executor, owner: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        await edit(other, owner, task_id, title="b")
        assert (await undo(executor, owner, task_id)).state.title == "a"
        assert (await undo(other, owner, task_id)).state.title == "T"
        with pytest.raises(NothingToUndo):
            await undo(executor, owner, task_id)

    async def test_what_is_still_on_its_way_is_waited_for(
        self, executor: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        async with appends_held(settings) as release:
            first = asyncio.create_task(edit(executor, owner, task_id, title="a"))
            await group_at_server(store)
            second = asyncio.create_task(edit(executor, owner, task_id, title="b"))
            undone = asyncio.create_task(undo(executor, owner, task_id))
            await asyncio.wait([undone], timeout=0.1)
            assert not undone.done()
            await release()
            await asyncio.gather(first, second)
        assert (await undone).state.title in {"T", "a"}, "the newest that it had read"

    async def test_what_did_not_arrive_was_never_there(
        self, executor: Executor, other: Executor, store: EventStore, settings: Settings, owner: UUID, project_id: UUID
    ) -> None:
        """An edit that loses against another process's is decided again, and so is the undo that saw it."""
        task_id = await make_task(executor, owner, project_id)
        async with appends_held(settings) as release:
            theirs = asyncio.create_task(edit(other, owner, task_id, title="theirs"))
            await group_at_server(store)
            ours = asyncio.create_task(edit(executor, owner, task_id, title="ours"))
            while (folded := executor._store.state_cache._folded.get(task_id)) is not None and folded.pending is None:
                await asyncio.sleep(0)
            assert folded is not None
            undone = asyncio.create_task(undo(executor, owner, task_id))
            await asyncio.wait([undone], timeout=0.1)
            await release()
            await asyncio.gather(theirs, ours)
        accepted = await undone
        recorded = await store.log.stream(task_id)
        answered = [event.causation_id for event in recorded if event.causation_id is not None]
        assert len(answered) == 1
        assert answered[0] in {event.event_id for event in recorded}
        assert accepted.state.version <= len(recorded)

    async def test_of_many_undos_at_once_each_takes_another_change(
        self, executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        for title in "abcdef":
            await edit(executor, owner, task_id, title=title)
        await asyncio.gather(*[undo(one, owner, task_id) for one in (executor, other) * 3])
        recorded = await store.log.stream(task_id)
        assert {event.causation_id for event in recorded[7:]} == {event.event_id for event in recorded[1:7]}
        state = await store.state_cache.at_version(TASK, task_id, 13)
        assert state is not None
        assert state.title == "T"

    async def test_what_the_same_unit_staged_is_undone_command_by_command(
        self, executor: Executor, store: EventStore, owner: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)

        async def several(unit: UnitOfWork) -> UUID:
            for title in "ab":
                await handler_of(task.EditTask)(unit, task_id, task.EditTask(title=title))
                unit.turn += 1
            return await undo_task(unit, task_id, UndoTask())

        accepted = await send(executor, owner, several)
        assert accepted.state.title == "a"
        recorded = await store.log.stream(task_id)
        assert [event.causation_id for event in recorded] == [None, None, None, recorded[2].event_id]

    async def test_it_stands_on_what_it_read(
        self, executor: Executor, other: Executor, owner: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        gate = Gate()
        undone = asyncio.create_task(send(executor, owner, gate.around(undo_task, task_id, UndoTask(version=2))))
        await gate.decided.wait()
        await edit(other, owner, task_id, title="b")
        gate.open.set()
        with pytest.raises(Rejected, match="later changes have replaced"):
            await undone


class TestAsEveryCommand:
    async def test_an_expected_version_is_compared(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        with pytest.raises(VersionConflict):
            await undo(executor, owner, task_id, expected_version=1)
        assert (await undo(executor, owner, task_id, expected_version=2)).state.version == 3

    async def test_a_repeat_has_the_same_outcome_and_undoes_nothing_more(
        self, executor: Executor, other: Executor, owner: UUID, project_id: UUID
    ) -> None:
        task_id, command_id = await make_task(executor, owner, project_id), new_id()
        await edit(executor, owner, task_id, title="a")
        await edit(executor, owner, task_id, title="b")
        first = await undo(executor, owner, task_id, command_id=command_id)
        await edit(executor, owner, task_id, title="c")
        again = await undo(other, owner, task_id, command_id=command_id)
        assert outcome(again) == outcome(first)
        assert again.receipt.replayed

    async def test_strangers_find_nothing_and_viewers_may_not(
        self, executor: Executor, settings: Settings, owner: UUID, project_id: UUID
    ) -> None:
        task_id, viewer = await make_task(executor, owner, project_id), await register(executor, settings)
        await edit(executor, owner, task_id, title="a")
        with pytest.raises(NotFound):
            await undo(executor, viewer, task_id)
        await set_member(executor, owner, project_id, viewer, "viewer")
        with pytest.raises(Forbidden):
            await undo(executor, viewer, task_id)

    async def test_a_purged_task_is_not_found(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        task_id = await make_task(executor, owner, project_id)
        await append(executor, owner, task_id, TaskPurged())
        with pytest.raises(NotFound):
            await undo(executor, owner, task_id)

    async def test_an_archived_project_stays_as_it_is(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        await send(executor, owner, handler_of(project.ArchiveProject), project_id, project.ArchiveProject())
        await refused("project-archived", executor, owner, task_id)


class TestWhatMayNotComeBack:
    async def test_an_assignee_who_was_removed(
        self, executor: Executor, owner: UUID, member: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id, assignee_id=member)
        await edit(executor, owner, task_id, assignee_id=None)
        await remove_member(executor, owner, project_id, member)
        await refused("not-a-member", executor, owner, task_id)

    async def test_a_parent_that_is_in_another_project(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        parent, elsewhere = await make_task(executor, owner, project_id), await make_project(executor, owner)
        task_id = await make_task(executor, owner, project_id, parent_id=parent)
        await edit(executor, owner, task_id, parent_id=None)
        await append(executor, owner, parent, move(project_id, elsewhere))
        await refused("no-such-parent", executor, owner, task_id)

    async def test_a_parent_that_stands_below_by_now(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        parent = await make_task(executor, owner, project_id)
        task_id = await make_task(executor, owner, project_id, parent_id=parent)
        await edit(executor, owner, task_id, parent_id=None)
        await edit(executor, owner, parent, parent_id=task_id)
        await refused("cycle", executor, owner, task_id)

    async def test_of_two_that_would_close_a_circle_between_them_one_is_refused(
        self, executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID
    ) -> None:
        one, two = [await make_task(executor, owner, project_id) for _ in range(2)]
        for task_id, parent in ((one, two), (two, one)):
            await append(executor, owner, task_id, TaskParentSet(parent_id=parent))
            await append(executor, owner, task_id, TaskParentSet(parent_id=None))
        answers = await asyncio.gather(undo(executor, owner, one), undo(other, owner, two), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["Accepted", "Rejected"]

    async def test_a_relation_that_would_close_a_circle(
        self, executor: Executor, owner: UUID, project_id: UUID
    ) -> None:
        one, two, three = [await make_task(executor, owner, project_id) for _ in range(3)]
        await append(executor, owner, one, RelationAdded(relation="blocks", task_id=two))
        await append(executor, owner, one, RelationRemoved(relation="blocks", task_id=two))
        await append(executor, owner, two, RelationAdded(relation="blocks", task_id=three))
        assert (await undo(executor, owner, one)).state.relations[0].task_id == two
        await undo(executor, owner, one, 4)
        await append(executor, owner, three, RelationAdded(relation="blocks", task_id=one))
        await refused("cycle", executor, owner, one)

    async def test_a_relation_to_what_the_caller_does_not_see(
        self, executor: Executor, owner: UUID, member: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        hidden = await make_task(executor, owner, await make_project(executor, owner))
        await append(executor, owner, task_id, RelationAdded(relation="relates_to", task_id=hidden))
        await append(executor, owner, task_id, RelationRemoved(relation="relates_to", task_id=hidden))
        await refused("no-such-task", executor, member, task_id)
        assert (await undo(executor, owner, task_id)).state.relations


def move(from_project_id: UUID, to: UUID, **more: Any) -> TaskMoved:
    return TaskMoved(from_project_id=from_project_id, project_id=to, status="todo", category="todo", rank="m", **more)


class TestMovingBack:
    async def test_is_for_members_of_both_projects(
        self, executor: Executor, owner: UUID, member: UUID, project_id: UUID
    ) -> None:
        there = await make_project(executor, owner, member=(member, "member"))
        task_id = await make_task(executor, owner, project_id, assignee_id=member)
        await append(executor, owner, task_id, move(project_id, there))
        await remove_member(executor, owner, project_id, member)
        with pytest.raises(NotFound):
            await undo(executor, member, task_id)
        await refused("not-a-member", executor, owner, task_id)
        await set_member(executor, owner, project_id, member, "viewer")
        with pytest.raises(Forbidden):
            await undo(executor, member, task_id)
        state = (await undo(executor, owner, task_id)).state
        assert (state.project_id, state.assignee_id, state.former_projects) == (project_id, member, (there,))
        state = (await undo(executor, owner, task_id, state.version)).state
        assert (state.project_id, state.assignee_id) == (there, None)

    async def test_not_into_an_archived_project(self, executor: Executor, owner: UUID, project_id: UUID) -> None:
        task_id, there = await make_task(executor, owner, project_id), await make_project(executor, owner)
        await append(executor, owner, task_id, move(project_id, there))
        await send(executor, owner, handler_of(project.ArchiveProject), project_id, project.ArchiveProject())
        await refused("project-archived", executor, owner, task_id)


PLAIN = ["retitle", "describe", "status", "prioritise", "due", "label", "rank", "recurrence", "recur", "comment"]
commands = st.lists(st.tuples(st.sampled_from([*PLAIN, "item", "trash"]), st.integers(0, 3)), min_size=1, max_size=3)


@hypothesis_settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.one_of(commands, commands, st.just("undo")), max_size=10))
async def test_any_story_is_walked_back_and_every_version_is_the_fold_of_its_events(
    executor: Executor, other: Executor, store: EventStore, owner: UUID, project_id: UUID, steps: list[Any]
) -> None:
    made = await send(
        executor, owner, task.create_task, None, task.CreateTask(project_id=project_id, title="T", labels=("red",))
    )
    task_id, state = made.receipt.stream_id, made.state
    answered = {1: state}
    for number, step in enumerate(steps):
        through = (executor, other)[number % 2]
        events = [] if step == "undo" else events_of(state, step)
        try:
            accepted = await (append(through, owner, task_id, *events) if events else undo(through, owner, task_id))
        except NothingToUndo:
            assert facets(state) == facets(made.state)
            continue
        state = answered[accepted.receipt.version] = accepted.state
    with pytest.raises(NothingToUndo):
        for _ in range(len(steps) + 1):
            state = (await undo(executor, owner, task_id)).state
            answered[state.version] = state
    assert facets(state) == facets(made.state)

    recorded = await store.log.stream(task_id)
    folded: Any = None
    for record, event in zip(recorded, await store.mapper.decode(recorded), strict=True):
        version = record.stream_version
        folded = TASK.evolve(folded, event, EventMetadata(task_id, version, record.occurred_at, record.actor))
        assert await store.state_cache.at_version(TASK, task_id, version) == folded
        assert answered.get(version, folded) == folded
