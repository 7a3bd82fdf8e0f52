"""Real servers for the tests, started once and only when a test asks for one.

They have ports and data of their own, never the developer's. A server that a URL in the environment
names is used instead of a local one.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from msgspec.structs import replace
from pymongo import AsyncMongoClient

from taskflow.local.dev_secrets import new_secret
from taskflow.local.program import Running, unused_port
from taskflow.local.servers import Servers
from taskflow.settings import SECRETS, Settings
from taskflow.store.eventstore import EventStore, open_event_store
from taskflow.store.migrate import migrate

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".taskflow" / "cache"
UNIT = ROOT / "tests" / "unit"

# A property holds however slow the machine is that it is tried on.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")


class Fleet:
    """The test servers, on an event loop of their own: they outlive the loops of single tests."""

    def __init__(self, folder: Path, **other: Any) -> None:
        """`other` are settings that differ from what most tests want."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        given = Settings.from_env()
        secrets = {name: new_secret(name) for name in SECRETS}
        settings = replace(
            given,
            data_dir=str(folder),
            rate_limits="off",
            # People register by the thousand, and none of their passwords is worth guessing.
            argon2_memory_kib=64,
            argon2_time_cost=1,
            api_port=0,
            postgres_port=unused_port(),
            kafka_port=unused_port(),
            kafka_controller_port=unused_port(),
            mongodb_port=unused_port(),
            redis_port=unused_port(),
            **secrets,
            **other,
        )
        self._servers = Servers(settings, cache=CACHE, durable=False)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    def start(self) -> None:
        self.call(self._servers.start())

    def stop(self) -> None:
        self.call(self._servers.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def settings(self) -> Settings:
        return self._servers.settings

    def server(self, name: str) -> Server:
        running = self._servers.running.get(name)
        if running is None:
            pytest.skip(f"{name} is not a local server here: the environment names another")
        return Server(self, running)


class Server:
    """One server, to be broken on purpose and mended again."""

    def __init__(self, fleet: Fleet, running: Running) -> None:
        self._fleet = fleet
        self._running = running

    def kill(self) -> None:
        self._fleet.call(self._running.kill())

    def stop(self) -> None:
        self._fleet.call(self._running.stop())

    def start(self) -> None:
        self._fleet.call(self._running.start())

    def pause(self) -> None:
        self._running.pause()

    def resume(self) -> None:
        self._running.resume()

    @property
    def alive(self) -> bool:
        return self._running.alive

    @property
    def pid(self) -> int:
        return self._running.pid


def pytest_addoption(parser: pytest.Parser) -> None:
    # Here and not beside the tests: options are known before folders are looked into.
    faults = parser.getgroup("faults")
    faults.addoption("--broker-restarts", type=int, default=3, help="how often the broker is restarted under load")
    faults.addoption("--api-restarts", type=int, default=1, help="how often each API process is restarted under load")
    faults.addoption("--chaos-rounds", type=int, default=3, help="how many rounds of faults")
    faults.addoption("--chaos-pace", choices=["short", "full"], default="short", help="how long each fault lasts")
    faults.addoption("--chaos-seed", type=int, default=17_397, help="which faults; 0: any, and it is told which")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is not in `tests/unit` may start servers: `-m "not integration"` leaves it out."""
    for item in items:
        if UNIT not in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    # Not below the repository: PostgreSQL runs as another user where the tests run as root.
    with tempfile.TemporaryDirectory(prefix="taskflow-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        fleet = Fleet(Path(folder))
        fleet.start()
        yield fleet
        fleet.stop()


@pytest.fixture
def server(fleet: Fleet) -> Iterator[Any]:
    """`server("kafka")` can be killed, paused and started; after the test it is running again."""
    touched: dict[str, Server] = {}

    def get(name: str) -> Server:
        return touched.setdefault(name, fleet.server(name))

    yield get
    for one in touched.values():
        with suppress(ProcessLookupError):
            one.resume()
        if not one.alive:
            one.start()


@pytest.fixture(scope="session")
def template(fleet: Fleet) -> str:
    """A migrated database that each test's own is copied from."""
    name = f"template_{uuid4().hex[:12]}"

    async def make() -> None:
        await _execute(fleet.settings.postgres_url, f"create database {name}")
        await migrate(replace(fleet.settings, postgres_url=_database(fleet.settings.postgres_url, name)))

    fleet.call(make())
    return name


@pytest.fixture
async def settings(fleet: Fleet, template: str) -> AsyncIterator[Settings]:
    """A migrated event store, a topic, a MongoDB database and a Redis database of the test's own."""
    name = f"test_{uuid4().hex[:12]}"
    base = fleet.settings
    await copy_database(base.postgres_url, name, template)
    own = replace(
        base,
        postgres_url=_database(base.postgres_url, name),
        mongodb_database=name,
        kafka_topic=f"taskflow.{name}",
        kafka_partitions=4,
        redis_url=base.redis_url.rpartition("/")[0] + f"/{_next_redis()}",
        public_url=f"http://{name}.test",
        mongodb_pool_min=0,
        follower_poll_ms=20,
        watermark_interval_ms=300,
    )
    await _flush_redis(own.redis_url)
    yield own
    client: AsyncMongoClient[Any] = AsyncMongoClient(own.mongodb_url, serverSelectionTimeoutMS=2000)
    with suppress(Exception):
        await client.drop_database(name)
    await client.close()
    with suppress(OSError, asyncpg.PostgresError):
        await _execute(base.postgres_url, f"drop database {name} with (force)")


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[EventStore]:
    async with open_event_store(settings, "test") as store:
        yield store


@pytest.fixture
async def other_store(settings: Settings) -> AsyncIterator[EventStore]:
    """Another committer and other caches: what another process has."""
    async with open_event_store(settings, "test other") as store:
        yield store


@pytest.fixture
def subprocess_env(settings: Settings) -> dict[str, str]:
    """The environment of a taskflow process under the test's settings."""
    return {**os.environ, **settings.environ(), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}


_redis_turn = iter(range(10**9))


def _next_redis() -> int:
    return next(_redis_turn) % 16


async def _flush_redis(url: str) -> None:
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    await client.flushdb()
    await client.aclose()


async def copy_database(url: str, name: str, template: str) -> None:
    """File by file: on a server that syncs nothing that takes a seventh of what copying through its log does."""
    await _execute(url, f"create database {name} template {template} strategy file_copy")


def _database(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
