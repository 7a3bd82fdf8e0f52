"""Parts of many states are read without holding all of the states."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from taskflow.api.committed_state import AT_ONCE_MAX, committed_parts
from taskflow.commands.execute import Executor
from taskflow.ids import new_id
from taskflow.store.eventstore import EventStore
from taskflow.streams import PROJECT

from .world import make_project


async def test_no_more_states_are_held_at_once_than_that(
    executor: Executor, other_store: EventStore, owner: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    projects = [await make_project(executor, owner) for _ in range(2 * AT_ONCE_MAX + 3)]
    held: set[UUID] = set()
    most = 0
    load = other_store.state_cache.load

    async def watched(kind: Any, stream_id: UUID) -> Any:
        nonlocal most
        held.add(stream_id)
        most = max(most, len(held))
        return await load(kind, stream_id)

    def part(project: Any) -> int:
        held.discard(project.id)
        version: int = project.version
        return version

    monkeypatch.setattr(other_store.state_cache, "load", watched)
    expected = dict.fromkeys(projects, 1)
    assert await committed_parts(other_store, PROJECT, [*projects, new_id()], part) == expected
    # One that is not there has no part.
    assert 1 < most <= AT_ONCE_MAX + 1
    # Now they are in memory.
    assert await committed_parts(other_store, PROJECT, projects, part) == expected
