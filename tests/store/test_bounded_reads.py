"""Streams of any size are read in chunks of bounded size, and looked through without what their events say."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands.execute import Executor
from taskflow.commands.undo import UndoTask
from taskflow.commands.undoing import undo_task
from taskflow.errors import HistoryTooLarge, Rejected
from taskflow.settings import Settings
from taskflow.store import fold, log
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import TASK
from tests.commands.world import edit, make_project, make_task, register, send
from tests.store.test_snapshots import folded_anew

UNDO = UndoTask()
EDITS = 12
LARGE = "\x01" * 300
"""Six bytes a character, in the store as in every answer."""


async def large_task(store: EventStore, settings: Settings) -> tuple[UUID, UUID]:
    executor = Executor(store, settings)
    owner = await register(executor, settings)
    task_id = await make_task(executor, owner, await make_project(executor, owner))
    for n in range(EDITS):
        await edit(executor, owner, task_id, description=f"{n}{LARGE}")
    return owner, task_id


async def test_a_read_ends_with_the_event_that_fills_it(store: EventStore, settings: Settings) -> None:
    _, task_id = await large_task(store, settings)
    whole = await store.log.stream(task_id)
    for bytes_max in (1, 1_000, 4_000, 10**9):
        after, found = 0, []
        while page := await store.log.stream(task_id, after=after, bytes_max=bytes_max):
            assert sum(len(event.data) for event in page[:-1]) < bytes_max
            found += page
            after = page[-1].stream_version
        assert found == whole
    everything = await store.log.read(0, limit=1_000)
    for types in (None, ["TaskDescribed"]):
        after, found = 0, []
        while page := await store.log.read(after, limit=5, bytes_max=4_000, types=types):
            assert sum(len(event.data) for event in page[:-1]) < 4_000
            found += page
            after = page[-1].position
        assert found == [event for event in everything if types is None or event.type in types]


async def test_chunks_put_together_are_the_stream(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task_id = await large_task(store, settings)
    whole = await store.log.stream(task_id)
    for events_max, bytes_max in ((1, 10**9), (5, 10**9), (1_000, 1), (1_000, 4_000), (13, 10**9)):
        monkeypatch.setattr(log, "CHUNK_EVENTS_MAX", events_max)
        monkeypatch.setattr(log, "CHUNK_BYTES_MAX", bytes_max)
        chunks = [chunk async for chunk in store.log.chunks(task_id)]
        assert [event for chunk in chunks for event in chunk] == whole
        assert all(len(chunk) <= events_max for chunk in chunks)
        assert all(sum(len(event.data) for event in chunk[:-1]) < bytes_max for chunk in chunks)
        some = [event async for chunk in store.log.chunks(task_id, after=3, to=7) for event in chunk]
        assert some == whole[3:7]
    headers = await store.log.headers(task_id, limit=100)
    assert [(one.version, one.type, one.event_id, one.command_id) for one in headers] == [
        (one.stream_version, one.type, one.event_id, one.command_id) for one in whole
    ]
    assert await store.log.bytes_of(task_id, after=2, to=6) == sum(len(event.data) for event in whole[2:6])


@pytest.mark.parametrize("every", [5, 200])
async def test_a_fold_in_chunks_is_the_fold(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    settings = replace(settings, snapshot_every_events=every)
    async with open_event_store(settings, "test") as writing:
        _, task_id = await large_task(writing, settings)
    versions = range(1, EDITS + 2)
    expected = await folded_anew(settings, TASK, task_id, versions)
    assert [state.version for state in expected] == list(versions)
    for module in (log, fold):
        monkeypatch.setattr(module, "CHUNK_BYTES_MAX", 2_500)
    assert await folded_anew(settings, TASK, task_id, versions) == expected


async def test_more_history_than_a_request_may_read_is_refused_before_it_is_read(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task_id = await large_task(store, settings)
    for module in (log, fold):
        monkeypatch.setattr(module, "CHUNK_BYTES_MAX", 2_500)
    async with open_event_store(settings, "test") as fresh:
        assert await fresh.state_cache.at_version(TASK, task_id, 4, bytes_max=8_000) is not None
        with pytest.raises(HistoryTooLarge, match=r"version 12 of .* 8000"):
            await fresh.state_cache.at_version(TASK, task_id, 12, bytes_max=8_000)


@pytest.mark.parametrize("bounds", [{"history_events_max": EDITS}, {"history_bytes_max": 8_000}], ids=str)
async def test_an_undo_that_would_look_through_too_much_is_refused(
    store: EventStore, settings: Settings, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, Any]
) -> None:
    owner, task_id = await large_task(store, settings)
    for module in (log, fold):
        monkeypatch.setattr(module, "CHUNK_BYTES_MAX", 2_500)
    bounded = Executor(store, replace(settings, **bounds))
    with pytest.raises(Rejected) as refused:
        await send(bounded, owner, lambda unit: undo_task(unit, task_id, UNDO))
    assert refused.value.code == "history-too-large"
    undone = await send(Executor(store, settings), owner, lambda unit: undo_task(unit, task_id, UNDO))
    assert undone.state.description == f"{EDITS - 2}{LARGE}"
