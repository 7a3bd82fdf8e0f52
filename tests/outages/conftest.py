"""One deployment on servers of its own for all of these tests: they take its parts away, one after another."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from taskflow.store.migrate import migrate
from tests.api.stack import Caller, client, register, until
from tests.conftest import Fleet
from tests.outages.deployment import PATIENCE_S, Deployment, Observer

AUTH_STALE_S = 3


@pytest.fixture(scope="package")
def deployment() -> Iterator[Deployment]:
    """Impatient where patience is a setting, so that an outage costs a test seconds."""
    # Not below the repository: PostgreSQL runs as another user where the tests run as root.
    with tempfile.TemporaryDirectory(prefix="taskflow-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        fleet = Fleet(
            Path(folder),
            auth_stale_max_s=AUTH_STALE_S,
            append_timeout_ms=2_000,
            append_deadline_ms=3_000,
            kafka_partitions=4,
            mongodb_pool_min=0,
            watermark_interval_ms=300,
            projector_stall_timeout_ms=1_500,
            projector_stale_ms=3_000,
            kafka_request_timeout_ms=3_000,
        )
        fleet.start()
        deployment = Deployment(fleet, Path(folder))
        try:
            fleet.call(migrate(fleet.settings))
            deployment.start()
            yield deployment
        finally:
            deployment.end()
            fleet.stop()


@pytest.fixture
async def http(deployment: Deployment) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the first API process, where all is well before and after the test."""
    async with client(deployment.urls[0], PATIENCE_S) as http:
        await _all_well(deployment)
        yield http
    deployment.start()
    await _all_well(deployment)


@pytest.fixture
async def other_http(deployment: Deployment, http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the second API process."""
    async with client(deployment.urls[1], PATIENCE_S) as other:
        yield other


@pytest.fixture
def operator(http: httpx.AsyncClient) -> Observer:
    return Observer(http)


@pytest.fixture
async def ada(http: httpx.AsyncClient) -> Caller:
    return await register(http, "Ada Lovelace")


async def _all_well(deployment: Deployment) -> None:
    for url in deployment.urls:
        async with client(url, PATIENCE_S) as http:
            observer = Observer(http)
            await until(observer.ready, f"{url} is ready")
            await observer.until_healthy()
