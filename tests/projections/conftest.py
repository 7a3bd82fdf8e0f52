"""A world for each test, and workers in this process or of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from taskflow.projections import process as projections
from taskflow.projections.mongo import Database, open_database
from taskflow.relay import process as relaying
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from tests.projections.world import World
from tests.relay.world import RelayProcess

Start = Callable[..., asyncio.Task[None]]


END_S = 20.0
"""What was told to stop has stopped by then."""


def _where(task: asyncio.Task[None]) -> list[str]:
    """The awaits that a task stands in, outermost first."""
    found: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and getattr(awaited, "cr_frame", None) is not None:
        found.append(f"{awaited.__qualname__}:{awaited.cr_frame.f_lineno}")
        awaited = awaited.cr_await
    return found


@pytest.fixture
async def settings(settings: Settings) -> Settings:
    """Impatient: what is silent, hangs or is away is noticed in a second or two."""
    return replace(
        settings,
        projector_stall_timeout_ms=1_500,
        kafka_request_timeout_ms=3_000,
        mongodb_timeout_ms=2_000,
        cache_breaker_open_ms=200,
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "projections test") as store:
        yield store


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings) as database:
        yield database


@pytest.fixture
async def world(settings: Settings, store: EventStore, database: Database) -> World:
    return World(settings, store, database)


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]]:
    """Starts work in this process that ends with the test."""
    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    left = (await asyncio.wait(tasks, timeout=END_S))[1] if tasks else ()
    assert not left, f"told to stop, and still at {[_where(task) for task in left]}"


@pytest.fixture
async def relay(settings: Settings, start: Start) -> asyncio.Task[None]:
    return start(relaying.run(settings))


@pytest.fixture
async def projector(settings: Settings, start: Start) -> asyncio.Task[None]:
    return start(projections.run(settings))


@pytest.fixture
def start_projector(subprocess_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., RelayProcess]]:
    """`taskflow projector NAME …` as an operator starts it."""
    started: list[RelayProcess] = []

    def start(*names: str) -> RelayProcess:
        log = tmp_path / f"projector-{len(started)}.log"
        started.append(RelayProcess(subprocess_env, log, argv=("projector", *names)))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()
