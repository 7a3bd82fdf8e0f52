"""Whoever starts before the migrations waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from taskflow.store.migrate import migrate
from tests.api.stack import Process, until


@pytest.fixture
async def empty(settings: Settings) -> Settings:
    """An event store without a schema."""
    name = f"empty_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(settings.postgres_url)
    await connection.execute(f"create database {name}")
    await connection.close()
    return replace(settings, postgres_url=f"{settings.postgres_url.rpartition('/')[0]}/{name}", api_port=unused_port())


@pytest.fixture
def early(empty: Settings, tmp_path: Path) -> Iterator[list[Process]]:
    processes = [Process(empty, tmp_path / f"{name}.log", name) for name in ("relay", "projector", "api")]
    yield processes
    for process in processes:
        process.end()


async def test_processes_that_start_before_the_migrations_wait_for_them(empty: Settings, early: list[Process]) -> None:
    for process in early:

        async def waits(process: Process = process) -> bool:
            assert process.alive, process.log.read_text()[-3000:]
            return "waiting for `taskflow migrate`" in process.log.read_text()

        await until(waits, "each says what it waits for")
    await migrate(empty)
    async with httpx.AsyncClient() as http:

        async def ready() -> bool:
            try:
                return (await http.get(f"http://127.0.0.1:{empty.api_port}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "everything works, relay and projectors included")
    assert all(process.alive for process in early)
