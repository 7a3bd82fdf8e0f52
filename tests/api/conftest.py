"""One stack of processes for all of these tests; clients and people of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from taskflow.settings import Settings
from tests.api.stack import Caller, Stack, register

TIMEOUT_S = 30.0


@pytest.fixture(scope="session")
def stack(fleet: object, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    base: Settings = fleet.settings  # type: ignore[attr-defined]  # the Fleet of the outer conftest
    name = f"test_api_{uuid4().hex[:12]}"
    fleet.call(_copy(base.postgres_url, name, template))  # type: ignore[attr-defined]  # as above
    settings = replace(
        base,
        postgres_url=f"{base.postgres_url.rpartition('/')[0]}/{name}",
        mongodb_database=name,
        kafka_topic=f"taskflow.{name}",
        kafka_partitions=4,
        redis_url=base.redis_url.rpartition("/")[0] + "/15",
        public_url=f"http://{name}.test",
        mongodb_pool_min=0,
        watermark_interval_ms=300,
    )
    stack = Stack(settings, tmp_path_factory.mktemp("stack"))
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.end()


async def _copy(url: str, name: str, template: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"create database {name} template {template}")
    finally:
        await connection.close()


@pytest.fixture
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the first API process."""
    async with httpx.AsyncClient(base_url=stack.urls[0], timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
async def other_http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the second API process."""
    async with httpx.AsyncClient(base_url=stack.urls[1], timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def person(http: httpx.AsyncClient) -> Callable[[str], Awaitable[Caller]]:
    """`await person("Ada")` is somebody new, signed in."""

    async def make(name: str) -> Caller:
        return await register(http, name)

    return make


@pytest.fixture
async def ada(http: httpx.AsyncClient) -> Caller:
    return await register(http, "Ada Lovelace")


@pytest.fixture
async def bob(http: httpx.AsyncClient) -> Caller:
    return await register(http, "Bob")
