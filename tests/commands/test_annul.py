"""Annulling an event of a task: who may, which event, what the task is then, and at every version before and after."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands import annul, checklist, comments, move, project, purge, relations, task, undoing, user
from taskflow.commands.catalog import handler_of
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.undo import UndoTask
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import Forbidden, NotFound, NothingToUndo, Rejected, VersionConflict
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import NOBODY
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import PROJECT, TASK
from taskflow.streams.project import ProjectWorkflowSet, Status, Workflow
from taskflow.streams.task import Relation, TaskEventAnnulled, TaskState
from tests.commands.world import (
    Gate,
    edit,
    make_project,
    make_task,
    outcome,
    register,
    remove_member,
    request,
    send,
)

ANNUL = annul.AnnulEvent(reason="A mistake")


async def at(store: EventStore, stream_id: UUID, version: int) -> annul.LogPosition:
    (position,) = await store.log.positions(stream_id, [version])
    return annul.LogPosition(str(position))


async def annulled(executor: Executor, by: UUID, task_id: UUID, version: int, **circumstances: Any) -> Accepted:
    """Annuls the event that led to a version of a task."""
    target = await at(executor._store, task_id, version)
    return await send(executor, by, annul.annul_event, target, ANNUL, **circumstances)


async def cannot(executor: Executor, by: UUID, task_id: UUID, version: int, *, why: str) -> None:
    with pytest.raises(Rejected, match=why) as refusal:
        await annulled(executor, by, task_id, version)
    assert refusal.value.code == "cannot-annul"


async def undo(executor: Executor, by: UUID, task_id: UUID, version: int | None = None) -> TaskState:
    state: TaskState = (await send(executor, by, undoing.undo_task, task_id, UndoTask(version))).state
    return state


async def version(store: EventStore, task_id: UUID, number: int) -> TaskState:
    found = await store.state_cache.at_version(TASK, task_id, number)
    assert found is not None
    return found


class TestTheTask:
    async def test_is_as_if_the_event_had_not_happened_and_the_log_has_both(
        self, executor: Executor, store: EventStore, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="wrong", priority="high")
        after = await annulled(executor, admin, task_id, 2)
        assert (after.state.title, after.state.priority, after.state.version) == ("T", "high", 4)
        assert after.events == (TaskEventAnnulled(version=2, reason="A mistake"),)
        recorded = await store.log.stream(task_id)
        types = ["TaskCreated", "TaskRetitled", "TaskPrioritised", "TaskEventAnnulled"]
        assert [one.type for one in recorded] == types
        assert recorded[-1].actor == admin
        assert (await version(store, task_id, 3)).title == "wrong", "a version before the annulment stays as it was"

    async def test_keeps_what_was_set_after_the_annulled_event(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        for title in ("a", "b"):
            await edit(executor, owner, task_id, title=title)
        assert (await annulled(executor, admin, task_id, 2)).state.title == "b"
        assert (await annulled(executor, admin, task_id, 3)).state.title == "T"

    async def test_goes_on_from_there_in_this_process_and_in_others(
        self, executor: Executor, other: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(other, owner, task_id, title="wrong")
        await annulled(executor, admin, task_id, 2)
        for one, priority in ((executor, "high"), (other, "low")):
            state = (await edit(one, owner, task_id, priority=priority)).state
            assert (state.title, state.priority) == ("T", priority)

    async def test_has_no_part_twice_where_its_removal_was_annulled_after_it_came_back(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id, related = [await make_task(executor, owner, project_id) for _ in range(2)]
        item = checklist.AddChecklistItem(text="x")
        added = await send(executor, owner, handler_of(checklist.AddChecklistItem), task_id, item)
        said = await send(executor, owner, handler_of(comments.AddComment), task_id, comments.AddComment(body="said"))
        relation = relations.AddRelation("relates_to", related)
        await send(executor, owner, handler_of(relations.AddRelation), task_id, relation)
        item_id, comment_id = added.state.checklist[0].id, said.state.comments[0].id
        removals: list[tuple[Any, Any]] = [
            (checklist.RemoveChecklistItem(), checklist.TaskItem(task_id, item_id)),
            (comments.DeleteComment(), comments.TaskComment(task_id, comment_id)),
            (relations.RemoveRelation(), relations.TaskRelation(task_id, "relates_to", related)),
        ]
        for command, target in removals:
            removed = (await send(executor, owner, handler_of(type(command)), target, command)).receipt.version
            await undo(executor, owner, task_id)
            state = (await annulled(executor, admin, task_id, removed)).state
            assert [one.id for one in state.checklist] == [item_id]
            assert [one.id for one in state.comments] == [comment_id]
            assert state.relations == (Relation("relates_to", related),)

    async def test_stands_again_below_the_parent_that_it_had(
        self, executor: Executor, store: EventStore, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        """Whoever moves the parent takes it along: the store knows the parent, and not only the state."""
        first, second, child = [await make_task(executor, owner, project_id) for _ in range(3)]
        await edit(executor, owner, child, parent_id=first)
        await edit(executor, owner, child, parent_id=second)
        await annulled(executor, admin, child, 3)
        assert await store.children([first], limit=9) == [child]
        assert await store.children([second], limit=9) == []
        elsewhere = await make_project(executor, owner)
        await send(executor, owner, handler_of(move.MoveTask), first, move.MoveTask(project_id=elsewhere))
        moved = await store.state_cache.load(TASK, child)
        assert (moved.state.project_id, moved.state.parent_id) == (elsewhere, first)


class TestWhoMay:
    async def test_only_an_admin_of_the_system(
        self, executor: Executor, store: EventStore, settings: Settings, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        analyst = await register(executor, settings)
        await send(executor, NOBODY, user.set_roles, analyst, ("analyst",))
        for nobody in (owner, analyst):
            with pytest.raises(Forbidden):
                await annulled(executor, nobody, task_id, 2)
            with pytest.raises(Forbidden):
                await send(executor, nobody, annul.annul_event, annul.LogPosition("999999"), ANNUL)

    async def test_a_role_that_is_taken_away_meanwhile_is_none(
        self, executor: Executor, other: Executor, store: EventStore, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        gate, target = Gate(), await at(store, task_id, 2)
        annulling = asyncio.create_task(executor.execute(request(admin, gate.around(annul.annul_event, target, ANNUL))))
        await gate.decided.wait()
        await send(other, NOBODY, user.set_roles, admin, ())
        gate.open.set()
        with pytest.raises(Forbidden):
            await annulling
        assert len(await store.log.stream(task_id)) == 2


class TestWhich:
    async def test_a_position_without_an_event_is_not_found(self, executor: Executor, admin: UUID) -> None:
        for position in ("999999999", "9" * 18):
            with pytest.raises(NotFound):
                await send(executor, admin, annul.annul_event, annul.LogPosition(position), ANNUL)

    async def test_creation_move_purge_and_annulment_stay(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id, elsewhere = await make_task(executor, owner, project_id), await make_project(executor, owner)
        await edit(executor, owner, task_id, title="a")
        await send(executor, owner, handler_of(move.MoveTask), task_id, move.MoveTask(project_id=elsewhere))
        await annulled(executor, admin, task_id, 2)
        for number in (1, 3, 4):
            await cannot(executor, admin, task_id, number, why="is never annulled")
        await send(executor, owner, handler_of(task.TrashTask), task_id, task.TrashTask())
        await send(executor, NOBODY, purge.purge_task, task_id, datetime.now(UTC))
        await cannot(executor, admin, task_id, 6, why="is never annulled")
        await cannot(executor, admin, task_id, 5, why="is purged")

    async def test_only_events_of_tasks(
        self, executor: Executor, store: EventStore, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        for stream in (project_id, owner):
            (target,) = [await at(store, stream, 1)]
            with pytest.raises(Rejected, match="only events of tasks") as refusal:
                await send(executor, admin, annul.annul_event, target, ANNUL)
            assert refusal.value.code == "cannot-annul"

    async def test_none_twice_because_the_second_reason_would_be_lost(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        await annulled(executor, admin, task_id, 2)
        await cannot(executor, admin, task_id, 2, why="by version 3 of the task")

    async def test_of_two_at_once_one_is_told_of_the_other(
        self, executor: Executor, other: Executor, store: EventStore, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        for _ in range(5):
            task_id = await make_task(executor, owner, project_id)
            await edit(executor, owner, task_id, title="a")
            both = await asyncio.gather(
                *[annulled(one, admin, task_id, 2) for one in (executor, other)], return_exceptions=True
            )
            (refusal,) = [one for one in both if isinstance(one, BaseException)]
            assert isinstance(refusal, Rejected)
            assert refusal.code == "cannot-annul"
            assert len(await store.log.stream(task_id)) == 3


class TestRules:
    async def test_an_archived_project_changes_no_more(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        await send(executor, owner, handler_of(project.ArchiveProject), project_id, project.ArchiveProject())
        await cannot(executor, admin, task_id, 2, why="archived")

    async def test_nobody_is_given_a_task_who_has_left(
        self, executor: Executor, owner: UUID, member: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id, assignee_id=member)
        await edit(executor, owner, task_id, assignee_id=owner, title="a")
        await remove_member(executor, owner, project_id, member)
        versions = {
            type(event).__name__: number
            for number, event in enumerate(
                await executor._store.mapper.decode(await executor._store.log.stream(task_id)), 1
            )
        }
        await cannot(executor, admin, task_id, versions["TaskAssigned"], why="not a member")
        assert (await annulled(executor, admin, task_id, versions["TaskRetitled"])).state.title == "T"

    async def test_a_status_that_left_the_workflow_is_what_it_is_mapped_to(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        """Statuses that leave are mapped to another for ever, so there is always one."""
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, status="done")
        statuses = (Status("open", "Open", "todo"), Status("done", "Done", "done"))

        async def rearrange(unit: UnitOfWork) -> UUID:
            await unit.get(PROJECT, project_id)
            mapped = {"todo": "open", "in_progress": "open", "cancelled": "done"}
            unit.append(PROJECT, project_id, ProjectWorkflowSet(workflow=Workflow(statuses), mapped=mapped))
            return project_id

        await send(executor, owner, rearrange)
        state = (await annulled(executor, admin, task_id, 2)).state
        assert (state.status, state.completed_at) == ("todo", None)

    async def test_no_cycle_of_parents_comes_back(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        above, below = [await make_task(executor, owner, project_id) for _ in range(2)]
        await edit(executor, owner, above, parent_id=below)
        await edit(executor, owner, above, parent_id=None)
        await edit(executor, owner, below, parent_id=above)
        await cannot(executor, admin, above, 3, why="cannot be its own parent or ancestor")

    async def test_no_cycle_of_parents_is_closed_by_two_at_once(
        self, executor: Executor, other: Executor, store: EventStore, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        for _ in range(5):
            above, below = [await make_task(executor, owner, project_id) for _ in range(2)]
            await edit(executor, owner, above, parent_id=below)
            await edit(executor, owner, above, parent_id=None)
            both = await asyncio.gather(
                annulled(executor, admin, above, 3),
                edit(other, owner, below, parent_id=above),
                return_exceptions=True,
            )
            (refusal,) = [one for one in both if isinstance(one, BaseException)]
            assert isinstance(refusal, Rejected)
            states = [(await store.state_cache.load(TASK, one)).state for one in (above, below)]
            assert [one.parent_id is None for one in states].count(True) == 1

    async def test_no_cycle_of_blocks_comes_back_and_no_relation_to_nothing(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        one, two = [await make_task(executor, owner, project_id) for _ in range(2)]

        async def relate(here: UUID, there: UUID) -> None:
            command = relations.AddRelation("blocks", there)
            await send(executor, owner, handler_of(relations.AddRelation), here, command)

        async def part(here: UUID, there: UUID) -> int:
            target = relations.TaskRelation(here, "blocks", there)
            command = relations.RemoveRelation()
            accepted = await send(executor, owner, handler_of(relations.RemoveRelation), target, command)
            return accepted.receipt.version

        await relate(one, two)
        removed = await part(one, two)
        await relate(two, one)
        await cannot(executor, admin, one, removed, why="already blocks this one")
        await part(two, one)
        await send(executor, owner, handler_of(task.TrashTask), two, task.TrashTask())
        await send(executor, NOBODY, purge.purge_task, two, datetime.now(UTC))
        await cannot(executor, admin, one, removed, why="no task")

    async def test_no_limit_is_passed(self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID) -> None:
        labels = [f"label {n}" for n in range(50)]
        task_id = await make_task(executor, owner, project_id, labels=tuple(labels))
        await edit(executor, owner, task_id, labels=("other",))
        await edit(executor, owner, task_id, labels=("other", "more"))
        await cannot(executor, admin, task_id, 2, why="at most 50 labels")

    async def test_no_rule_is_left_without_what_it_needs(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        day = datetime(2031, 5, 6, tzinfo=UTC).date()
        await edit(executor, owner, task_id, due_on=day, time_zone="Europe/Berlin")
        await edit(executor, owner, task_id, recurrence="FREQ=DAILY;UNTIL=20310601")
        await cannot(executor, admin, task_id, 2, why="no time zone")
        state = (await annulled(executor, admin, task_id, 3)).state
        assert (state.recurrence, state.series, state.due_on) == (None, None, day)
        assert (await annulled(executor, admin, task_id, 2)).state.due_on is None


class TestUndo:
    async def test_does_not_see_what_was_annulled_nor_the_annulment(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        for title in ("a", "b"):
            await edit(executor, owner, task_id, title=title)
        await annulled(executor, admin, task_id, 3)
        for number in (3, 4):
            with pytest.raises(NothingToUndo):
                await undo(executor, owner, task_id, number)
        assert (await undo(executor, owner, task_id)).title == "T"
        with pytest.raises(NothingToUndo):
            await undo(executor, owner, task_id)

    async def test_sets_nothing_back_to_what_was_annulled(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        for title in ("a", "b"):
            await edit(executor, owner, task_id, title=title)
        await annulled(executor, admin, task_id, 2)
        assert (await undo(executor, owner, task_id)).title == "T"

    async def test_that_was_annulled_counts_as_not_done(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        await undo(executor, owner, task_id)
        assert (await annulled(executor, admin, task_id, 3)).state.title == "a"
        assert (await undo(executor, owner, task_id)).title == "T"

    async def test_of_a_change_that_was_annulled_in_part_sets_back_the_rest(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a", priority="high")
        await annulled(executor, admin, task_id, 2)
        state = await undo(executor, owner, task_id)
        assert (state.title, state.priority) == ("T", "medium")


class TestVersionsAndReceipts:
    async def test_a_version_that_is_not_the_tasks_is_told(
        self, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        with pytest.raises(VersionConflict):
            await annulled(executor, admin, task_id, 2, expected_version=1)
        assert (await annulled(executor, admin, task_id, 2, expected_version=2)).receipt.version == 3

    async def test_a_repeat_is_answered_as_it_was_of_the_annulment_and_of_what_it_annulled(
        self, executor: Executor, other: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        task_id = await make_task(executor, owner, project_id)
        ids = [new_id() for _ in range(2)]
        edited = await edit(executor, owner, task_id, circumstances={"command_id": ids[0]}, title="a")
        done = await annulled(executor, admin, task_id, 2, command_id=ids[1])
        await edit(executor, owner, task_id, title="b")
        for one in (executor, other):
            again = await edit(one, owner, task_id, circumstances={"command_id": ids[0]}, title="a")
            assert (outcome(again), again.state.title) == (outcome(edited), "a")
            repeated = await annulled(one, admin, task_id, 2, command_id=ids[1])
            assert (outcome(repeated), repeated.state.title) == (outcome(done), "T")
            assert repeated.receipt.replayed

    async def test_a_writer_in_between_is_seen_by_whichever_is_second(
        self, executor: Executor, other: Executor, settings: Settings, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        store = executor._store
        task_id = await make_task(executor, owner, project_id)
        await edit(executor, owner, task_id, title="a")
        for number in range(5):
            newest = len(await store.log.stream(task_id))
            await edit(executor, owner, task_id, title=f"wrong {number}")
            await asyncio.gather(
                annulled(executor, admin, task_id, newest + 1),
                edit(other, owner, task_id, priority=("low", "high")[number % 2]),
            )
            async with open_event_store(settings, "test") as fresh:
                state = (await fresh.state_cache.load(TASK, task_id)).state
            assert (state.title, state.priority) == ("a", ("low", "high")[number % 2])


class TestSnapshots:
    EVERY = 5

    async def test_a_snapshot_past_the_annulled_event_is_replaced_and_one_that_was_kept_misleads_nobody(
        self, settings: Settings, executor: Executor, owner: UUID, admin: UUID, project_id: UUID
    ) -> None:
        often = replace(settings, snapshot_every_events=self.EVERY)
        task_id = await make_task(executor, owner, project_id)
        async with open_event_store(often, "test") as store:
            one = Executor(store, often)
            for number in range(1, 9):
                await edit(one, owner, task_id, title=f"T{number}", labels=(f"l{number}",))
            newest = len(await store.log.stream(task_id))
            kept: Any = await store.pool.fetchrow("select * from snapshots where stream_id = $1", task_id)
            await annulled(one, admin, task_id, 2)
            await annulled(one, admin, task_id, newest)
            taken = await store.pool.fetchval("select version from snapshots where stream_id = $1", task_id)
            assert (kept["version"] <= newest, taken) == (True, newest + 2)
        versions = range(1, newest + 3)
        expected = await self._anew(settings, task_id, versions)
        assert await self._anew(often, task_id, versions) == expected
        assert [expected[newest - 1].title, expected[newest].title] == ["T8", "T8"]
        assert expected[-1].labels == ("l7",)
        # A process that was killed before it replaced the snapshot.
        async with open_event_store(often, "test") as store:
            await store.pool.execute(
                "update snapshots set version = $2, state = $3 where stream_id = $1",
                *(task_id, kept["version"], kept["state"]),
            )
        assert await self._anew(often, task_id, versions) == expected

    async def _anew(self, settings: Settings, task_id: UUID, versions: range) -> list[Any]:
        async with open_event_store(settings, "test") as fresh:
            states: list[Any] = [await fresh.state_cache.at_version(TASK, task_id, one) for one in versions]
            return [*states, (await fresh.state_cache.load(TASK, task_id)).state]
