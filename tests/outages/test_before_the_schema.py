"""Processes that are started before the migrations, or before PostgreSQL's database: they wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from taskflow.store.migrate import migrate
from tests.api.stack import Process, register, until
from tests.outages.deployment import Deployment, Observer


async def make_database(settings: Settings) -> None:
    server, _, name = settings.postgres_url.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        await connection.execute(f"create database {name}")
    finally:
        await connection.close()


@pytest.mark.parametrize("database", ["there", "missing"])
async def test_all_wait_for_the_schema(
    deployment: Deployment, http: httpx.AsyncClient, tmp_path: Path, database: str
) -> None:
    name = f"early_{uuid4().hex[:12]}"
    settings = replace(
        deployment.settings,
        postgres_url=f"{deployment.settings.postgres_url.rpartition('/')[0]}/{name}",
        mongodb_database=name,
        kafka_topic=f"taskflow.{name}",
        api_port=unused_port(),
    )
    if database == "there":
        await make_database(settings)
    started = [Process(settings, tmp_path / f"{kind}.log", kind) for kind in ("api", "relay", "projector", "worker")]
    try:
        for process in started:
            await until(waits(process), "it says that it waits")
        if database == "missing":
            await make_database(settings)
        await migrate(settings)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api_port}", timeout=30) as client:
            await until(Observer(client).ready, "all work")
            assert all(process.alive for process in started)
            caller = await register(client, "Early bird")
            task = await caller.task()
            assert (await caller.read("/tasks", task["position"])).status_code == 200
    finally:
        for process in started:
            process.end()


def waits(process: Process) -> Callable[[], Awaitable[bool]]:
    async def said() -> bool:
        assert process.alive, process.log.read_text()
        return "waiting for the event store" in process.log.read_text()

    return said
