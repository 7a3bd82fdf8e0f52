"""The states of several streams at several versions, read at once, are the ones that are read one by one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from taskflow.commands.execute import Executor
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store import fold
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.streams import PROJECT, TASK, USER, StreamType
from tests.commands.test_annul import annulled
from tests.commands.world import edit, make_admin, make_project, make_task, register

EVERY = 5


@pytest.mark.parametrize("page_bytes", [1, 1_500, 10**6])
@pytest.mark.parametrize("warm", [False, True])
async def test_many_at_once_are_as_one_by_one(
    settings: Settings, store: EventStore, monkeypatch: pytest.MonkeyPatch, page_bytes: int, *, warm: bool
) -> None:
    often = replace(settings, snapshot_every_events=EVERY)
    async with open_event_store(often, "test") as writing:
        executor = Executor(writing, often)
        owner = await register(executor, often)
        project_id = await make_project(executor, owner)
        lengths = {await make_task(executor, owner, project_id): edits + 1 for edits in (0, 1, 2, 3, 4, 5, 11)}
        for task_id, length in lengths.items():
            for n in range(length - 1):
                await edit(executor, owner, task_id, title=f"Title {n}")
        *_, mistaken = [task_id for task_id, length in lengths.items() if length == 4]
        await annulled(executor, await make_admin(executor, often), mistaken, 2)
        lengths[mistaken] += 1
    wanted: dict[UUID, set[int]] = {task_id: set(range(1, length + 1)) for task_id, length in lengths.items()}
    wanted |= {owner: {1}, project_id: {1}}
    expected = {}
    for stream_id, versions in wanted.items():
        kind: StreamType[Any] = USER if stream_id == owner else PROJECT if stream_id == project_id else TASK
        for version in versions:
            expected[stream_id, version] = await store.state_cache.at_version(kind, stream_id, version)
    assert None not in expected.values()
    first, *_ = lengths
    beyond = wanted | {first: {1, 2}, new_id(): {1}}
    monkeypatch.setattr(fold, "CHUNK_BYTES_MAX", page_bytes)
    async with open_event_store(often, "test") as fresh:
        if warm:
            for task_id in lengths:
                await fresh.state_cache.load(TASK, task_id)
        assert await fresh.state_cache.at_versions(beyond) == expected
