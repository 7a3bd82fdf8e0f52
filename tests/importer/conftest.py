"""An API for all of these tests, and somebody who imports: what a test finds in the log is what came since it began."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.client import AsyncClient, Retries
from taskflow.local.program import unused_port
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore, open_event_store
from tests.api.stack import Process
from tests.conftest import Fleet, copy_database
from tests.importer.world import PASSWORD, SINCE, Person, head

READY_S = 60.0


class Api:
    """One API process. No relay and no projector runs: an import reads no view."""

    def __init__(self, settings: Settings, process: Process) -> None:
        self.settings = settings
        self.process = process
        self.url = f"http://127.0.0.1:{settings.api_port}"


@pytest.fixture(scope="package")
def api(fleet: Fleet, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    base = fleet.settings
    name = f"test_importer_{uuid4().hex[:12]}"
    fleet.call(copy_database(base.postgres_url, name, template))
    settings = replace(
        base,
        postgres_url=f"{base.postgres_url.rpartition('/')[0]}/{name}",
        mongodb_database=name,
        kafka_topic=f"taskflow.{name}",
        redis_url=f"{base.redis_url.rpartition('/')[0]}/13",
        api_port=unused_port(),
        public_url=f"http://{name}.test",
        mongodb_pool_min=0,
        append_deadline_ms=500,
        append_timeout_ms=500,
    )
    api = Api(settings, Process(settings, tmp_path_factory.mktemp("importer") / "api.log", "api"))
    try:
        deadline = time.monotonic() + READY_S
        while not _lives(api.url):
            assert api.process.alive, api.process.log.read_text()[-4000:]
            assert time.monotonic() < deadline, api.process.log.read_text()[-4000:]
            time.sleep(0.1)
        yield api
    finally:
        api.process.end()


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def store(api: Api) -> AsyncIterator[EventStore]:
    """The log behind the API."""
    async with open_event_store(api.settings, "test") as store:
        SINCE.position = await head(store)
        yield store


@pytest.fixture
async def person(api: Api, store: EventStore) -> AsyncIterator[Callable[[str], Awaitable[Person]]]:
    """`await person("Ada")` is somebody new, signed in."""
    opened: list[AsyncClient] = []

    async def make(name: str) -> Person:
        client = AsyncClient(api.url, retries=Retries(attempts_max=1))
        opened.append(client)
        email = f"{uuid4().hex}@example.com"
        registered = await client.auth.register(email, PASSWORD, name)
        assert registered.user is not None
        assert registered.access_token is not None
        return Person(client, api.url, registered.user, registered.access_token)

    yield make
    for client in opened:
        await client.close()


@pytest.fixture
async def ada(person: Callable[[str], Awaitable[Person]]) -> Person:
    return await person("Ada")
