"""Any story of a task in which events are annulled: its versions, receipts, snapshots and undos, through two processes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.commands import task
from taskflow.commands.execute import Accepted, Executor
from taskflow.commands.undo import FACETS, Effect, set_by
from taskflow.errors import NothingToUndo, Refusal, Rejected
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import TASK, EventMetadata
from taskflow.streams.task import TaskEventAnnulled, TaskState
from tests.folding import Told, annulled_in, folded

from .task_story import events_of, facets
from .test_annul import annulled
from .test_undo import PLAIN, append, undo
from .world import outcome, send

SNAPSHOT_EVERY = 4
commands = st.lists(st.tuples(st.sampled_from([*PLAIN, "item", "trash"]), st.integers(0, 3)), min_size=1, max_size=3)
annulments = st.integers(0, 30)
"""The number of an event, counted from the newest; modulo as many as there are."""
stories = st.lists(st.one_of(commands, commands, annulments, annulments, st.just("undo")), max_size=14)
few = hypothesis_settings(max_examples=12, suppress_health_check=list(HealthCheck))


class Telling:
    """A task, what each write of it answered, and how to send each again."""

    def __init__(self, store: EventStore, task_id: UUID, owner: UUID, admin: UUID) -> None:
        self.store, self.task_id, self.owner, self.admin = store, task_id, owner, admin
        self.answers: list[tuple[Accepted, Any]] = []

    async def told(self) -> list[Told]:
        """The whole history."""
        recorded = await self.store.log.stream(self.task_id)
        events = await self.store.mapper.decode(recorded)
        return [
            (event, EventMetadata(self.task_id, one.stream_version, one.occurred_at, one.actor))
            for one, event in zip(recorded, events, strict=True)
        ]

    async def newest(self) -> TaskState:
        """The state as it is in the log: what this process has in memory may be older."""
        state = await self.store.state_cache.at_version(TASK, self.task_id, len(await self.told()))
        assert state is not None
        return state

    async def step(self, executor: Executor, step: Any) -> None:
        """Does what a step says, if it is allowed."""
        state = await self.newest()
        newest = state.version
        command_id = new_id()

        async def write(executor: Executor) -> Accepted:
            if isinstance(step, int):
                version = newest - step % newest
                return await annulled(executor, self.admin, self.task_id, version, command_id=command_id)
            if step == "undo":
                return await undo(executor, self.owner, self.task_id, command_id=command_id)
            return await append(executor, self.owner, self.task_id, *events, command_id=command_id)

        events = [] if step == "undo" or isinstance(step, int) else events_of(state, step)
        if not events and isinstance(step, list):
            return
        try:
            self.answers.append((await write(executor), write))
        except NothingToUndo:
            return
        except Rejected as refusal:
            assert refusal.code == "cannot-annul" or step == "undo"


async def tell(executor: Executor, other: Executor, owner: UUID, admin: UUID, project_id: UUID, steps: Any) -> Telling:
    command = task.CreateTask(project_id=project_id, title="T", labels=("red",))
    made = await send(executor, owner, task.create_task, None, command)
    telling = Telling(executor._store, made.receipt.stream_id, owner, admin)
    for number, step in enumerate(steps):
        await telling.step((executor, other)[number % 2], step)
    return telling


@few
@given(steps=stories)
async def test_every_version_is_the_fold_without_what_was_annulled_by_then_with_snapshots_and_without(
    executor: Executor, settings: Settings, owner: UUID, admin: UUID, project_id: UUID, steps: list[Any]
) -> None:
    often = replace(settings, snapshot_every_events=SNAPSHOT_EVERY)
    async with open_event_store(often, "test") as one, open_event_store(often, "test") as two:
        telling = await tell(Executor(one, often), Executor(two, often), owner, admin, project_id, steps)
        told = await telling.told()
        expected = [folded(TASK, told[:version]) for version in range(1, len(told) + 1)]
        assert [state.version for state in expected] == list(range(1, len(told) + 1))
        everything = [folded(TASK, told[:version], annulled_in(told)) for version in range(1, len(told) + 1)]
    for circumstances in (often, settings):
        async with open_event_store(circumstances, "test") as fresh:
            for version, state in enumerate(expected, 1):
                assert await fresh.state_cache.at_version(TASK, telling.task_id, version) == state
            # What an undo looks at: each version without whatever is annulled today.
            left_out = frozenset(annulled_in(told))
            for version, state in enumerate(everything, 1):
                found = await fresh.state_cache.at_version(TASK, telling.task_id, version, annulled=left_out)
                assert found == state
            assert (await fresh.state_cache.load(TASK, telling.task_id)).state == expected[-1]
            assert await fresh.state_cache.at_version(TASK, telling.task_id, len(told)) == expected[-1]


@few
@given(steps=stories)
async def test_a_repeat_of_any_write_is_answered_as_it_was_whatever_was_annulled_since(
    executor: Executor, other: Executor, owner: UUID, admin: UUID, project_id: UUID, steps: list[Any]
) -> None:
    telling = await tell(executor, other, owner, admin, project_id, steps)
    length = len(await telling.told())
    for accepted, write in telling.answers:
        for one in (executor, other):
            again = await write(one)
            assert outcome(again) == outcome(accepted)
            assert again.receipt.replayed
    assert len(await telling.told()) == length


@few
@given(steps=stories)
async def test_no_undo_sees_what_was_annulled_or_sets_anything_back_to_it(
    executor: Executor, other: Executor, owner: UUID, admin: UUID, project_id: UUID, steps: list[Any]
) -> None:
    telling = await tell(executor, other, owner, admin, project_id, steps)
    told = await telling.told()
    gone = annulled_in(told)
    ids = {one.event_id: one.stream_version for one in await telling.store.log.stream(telling.task_id)}
    for _ in range(len(told) + 1):
        before = await telling.newest()
        try:
            accepted = await undo(executor, owner, telling.task_id)
        except Refusal:
            break
        recorded = await telling.store.log.stream(telling.task_id)
        cause = recorded[-1].causation_id
        assert cause is not None
        change = [one.stream_version for one in recorded if one.command_id == recorded[ids[cause] - 1].command_id]
        seen = [version for version in change if version not in gone]
        assert seen, "of the change that it undoes, something is left"
        assert not any(isinstance(told[version - 1][0], TaskEventAnnulled) for version in seen)
        was = folded(TASK, told[: change[0] - 1], gone)
        became = folded(TASK, told[: change[-1]], gone)
        for (name, key), (old, new) in set_by(Effect(was, became)).items():
            if name in {"due", "zone", "recurrence", "series"}:
                continue  # these are set back as one: see `undo_schedule`
            facet = FACETS[name]
            if facet.value(facet.read(before), key) == new:
                assert facet.value(facet.read(accepted.state), key) == old
    else:
        raise AssertionError("undoing never ends")


plain_stories = st.lists(st.one_of(commands, commands, annulments), max_size=10)


@few
@given(steps=plain_stories)
async def test_where_nothing_was_undone_before_undoing_leads_back_to_the_creation(
    executor: Executor, other: Executor, owner: UUID, admin: UUID, project_id: UUID, steps: list[Any]
) -> None:
    telling = await tell(executor, other, owner, admin, project_id, steps)
    told = await telling.told()
    try:
        for _ in range(len(told) + 1):
            await undo(other, owner, telling.task_id)
    except NothingToUndo:
        assert facets(await telling.newest()) == facets(folded(TASK, told[:1]))
    except Rejected as refusal:
        # Without the event that took it out of the trash, the task is there again, and only what put it there is undone.
        assert refusal.code == "trashed"
    else:
        raise AssertionError("undoing never ends")
