"""A relay in this process, or as many of its own processes as a test asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from taskflow.relay import process
from taskflow.settings import Settings
from taskflow.store.pool import open_pool
from tests.relay.world import RelayProcess, Writer


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await open_pool(settings, "relay test")
    yield pool
    pool.terminate()


@pytest.fixture
def writer(pool: asyncpg.Pool[asyncpg.Record]) -> Writer:
    return Writer(pool)


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(process.run(settings))
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def start_relay(subprocess_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], RelayProcess]]:
    started: list[RelayProcess] = []

    def start() -> RelayProcess:
        one = RelayProcess(subprocess_env, tmp_path / f"relay-{len(started)}.log")
        started.append(one)
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()
