"""Streams as they were: a moment is a version, and what was ever in a project is found by an index."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from taskflow.commands.execute import Executor
from taskflow.commands.unit_of_work import UnitOfWork
from taskflow.errors import HistoryTooLarge
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store import historical_tasks
from taskflow.store.eventstore import EventStore
from taskflow.store.historical_tasks import READ_EVENTS, TaskOfProject, states_then_and_now, tasks_ever_in
from taskflow.store.time_travel import PointInTime, first_known_at, state_at
from taskflow.streams import PROJECT, TASK, Event
from taskflow.streams.task import TaskMoved
from tests.commands.world import edit, make_project, make_task, register, send

HUGE = 10**6
UNCOMFORTABLE = 'x\x00 "project_id":"00000000-0000-0000-0000-000000000000" \\u0000'


async def append(executor: Executor, by: UUID, task_id: UUID, *events: Event) -> None:
    async def handler(unit: UnitOfWork) -> UUID:
        await unit.get(TASK, task_id)
        unit.append(TASK, task_id, *events)
        return task_id

    await send(executor, by, handler)


async def moved(executor: Executor, by: UUID, task_id: UUID, from_id: UUID, to: UUID) -> None:
    await append(
        executor,
        by,
        task_id,
        TaskMoved(from_project_id=from_id, project_id=to, status="todo", category="todo", rank="m"),
    )


@hypothesis_settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(minutes=st.lists(st.integers(0, 3), min_size=1, max_size=8))
async def test_at_any_moment_a_stream_is_the_fold_of_what_had_happened(
    store: EventStore, settings: Settings, minutes: list[int]
) -> None:
    executor = Executor(store, settings)
    owner = await register(executor, settings)
    project_id = await make_project(executor, owner)
    at = datetime.fromisoformat("2020-01-01T00:00:00Z")
    task_id = await make_task(executor, owner, project_id)
    for number, pause in enumerate(minutes):
        at += timedelta(minutes=pause)
        await edit(executor, owner, task_id, title=f"T{number}", circumstances={"at": at})
    recorded = await store.log.stream(task_id)
    moments: list[tuple[str, Any]] = [("position", event.position) for event in recorded]
    moments += [("occurred", event.occurred_at) for event in recorded]
    moments += [("recorded", event.recorded_at) for event in recorded]
    moments += [("position", 0), ("occurred", recorded[0].occurred_at - timedelta(microseconds=1))]
    for clock, until in moments:
        moment = PointInTime(clock, until)  # type: ignore[arg-type]  # one of the three
        covered = [event.stream_version for event in recorded if moment.covers(event)]
        state = await state_at(store, TASK, task_id, moment)
        assert (0 if state is None else state.version) == max(covered, default=0)
        first = await first_known_at(store, TASK, task_id, moment)
        assert first is not None
        assert first.version == max(covered, default=1)


async def test_what_is_of_another_kind_or_nowhere_was_never_there(store: EventStore, settings: Settings) -> None:
    executor = Executor(store, settings)
    owner = await register(executor, settings)
    for stream_id in (owner, new_id()):
        assert await state_at(store, TASK, stream_id, PointInTime("position", HUGE)) is None
        assert await first_known_at(store, PROJECT, stream_id, PointInTime("position", HUGE)) is None


async def test_whatever_was_ever_in_a_project_is_found_whatever_it_says(store: EventStore, settings: Settings) -> None:
    executor = Executor(store, settings)
    owner = await register(executor, settings)
    here, there = [await make_project(executor, owner) for _ in range(2)]
    stays = await make_task(executor, owner, here, title=UNCOMFORTABLE, description=UNCOMFORTABLE)
    leaves = await make_task(executor, owner, here)
    await moved(executor, owner, leaves, here, there)
    before = (await store.log.head()).position
    comes = await make_task(executor, owner, there)
    await moved(executor, owner, comes, there, here)
    await edit(executor, owner, comes, title="T2")

    async def found(project_id: UUID, position: int) -> dict[UUID, int]:
        placed = await tasks_ever_in(store, project_id, PointInTime("position", position), limit=10)
        return {one.stream_id: one.version for one in placed}

    assert await found(here, HUGE) == {stays: 1, leaves: 2, comes: 3}
    assert await found(here, before) == {stays: 1, leaves: 2}
    assert await found(there, HUGE) == {leaves: 2, comes: 3}
    assert await found(UUID(int=0), HUGE) == {}
    assert len(await tasks_ever_in(store, here, PointInTime("position", HUGE), limit=2)) == 2

    moment = PointInTime("position", before)
    placed = await tasks_ever_in(store, here, PointInTime("position", HUGE), limit=10)
    states = {
        now.id: (then.project_id, now.project_id)
        async for then, now in states_then_and_now(store, placed, moment, bytes_max=HUGE)
    }
    assert states == {stays: (here, here), leaves: (there, there)}


async def test_many_are_read_in_bounded_portions(store: EventStore, settings: Settings) -> None:
    executor = Executor(store, settings)
    owner = await register(executor, settings)
    project_id = await make_project(executor, owner)
    tasks = {await make_task(executor, owner, project_id) for _ in range(3)}
    placed = await tasks_ever_in(store, project_id, PointInTime("position", HUGE), limit=10)
    # Each told to be as long as a whole portion: three reads, and nothing is lost between them.
    long = [TaskOfProject(one.stream_id, READ_EVENTS, one.first_position, one.last_position) for one in placed]
    states = {
        now.id async for _, now in states_then_and_now(store, long, PointInTime("position", HUGE), bytes_max=HUGE)
    }
    assert states == tasks


async def test_long_stories_are_read_in_chunks_and_no_further_than_the_bound(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Executor(store, settings)
    owner = await register(executor, settings)
    project_id = await make_project(executor, owner)
    tasks = [await make_task(executor, owner, project_id, title=f"{n}") for n in range(4)]
    for n in range(5):
        for task_id in tasks:
            await edit(executor, owner, task_id, description=f"{n}" * 100)
    middle = PointInTime("position", (await store.log.head()).position - 10)
    placed = await tasks_ever_in(store, project_id, PointInTime("position", HUGE), limit=10)

    async def states(bytes_max: int = HUGE) -> list[tuple[Any, Any]]:
        return [pair async for pair in states_then_and_now(store, placed, middle, bytes_max=bytes_max)]

    whole = await states()
    assert sorted(now.id for _, now in whole) == sorted(tasks)
    for then, now in whole:
        assert then == await state_at(store, TASK, now.id, middle)
        assert now == await state_at(store, TASK, now.id, PointInTime("position", HUGE))
    for chunk in (1, 150, 500):
        monkeypatch.setattr(historical_tasks, "CHUNK_BYTES_MAX", chunk)
        assert await states() == whole
    with pytest.raises(HistoryTooLarge):
        await states(1_000)


async def test_ranges_that_are_attached_later_have_the_index(store: EventStore) -> None:
    ranges = await store.pool.fetch(
        "select c.relname, (select count(*) from pg_index i where i.indrelid = c.oid and i.indpred is not null) as n "
        "from pg_class c where c.relkind = 'r' and c.relname ~ '^events_[0-9]+$'"
    )
    assert ranges
    assert {row["n"] for row in ranges} == {1}
