"""Everything is killed with -9, again and again, while clients write and an import runs. Then it is counted."""

from __future__ import annotations

import asyncio
import csv
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.projections.mongo import open_database
from taskflow.projections.registry import VIEWS
from taskflow.settings import Settings
from taskflow.store.eventstore import open_event_store
from taskflow.streams import TASK
from taskflow.streams.task import TaskState
from tests.api.stack import Caller, Process, accepted, until

CLIENTS = 4
KILLS = 14
COPIES = 12
"""Of the example's tickets, under other names."""
BOUND_S = 120.0
OWNER = "owner@example.com"
EXAMPLES = resources.files("taskflow.importer") / "examples"


class Mortals:
    """Processes that are started again whenever they were killed."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self.ports = (unused_port(), unused_port())
        self._start: dict[str, Callable[[], Process]] = {
            f"api-{port}": lambda port=port: Process(  # type: ignore[misc]  # bound early on purpose
                replace(settings, api_port=port), folder / f"api-{port}.log", "api"
            )
            for port in self.ports
        }
        for name in ("relay", "projector"):
            self._start[name] = lambda name=name: Process(settings, folder / f"{name}.log", name)  # type: ignore[misc]  # as above
        self._import_log = folder / "import.log"
        self.kills: Counter[str] = Counter()
        self.running = {name: start() for name, start in self._start.items()}

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    @property
    def importer(self) -> Process:
        return self.running["import"]

    def begin_import(self, file: Path, email: str) -> None:
        arguments = ["import", str(file), "--mapping", str(EXAMPLES / "incidents.toml"), "--as", email]
        self._start["import"] = lambda: Process(self._settings, self._import_log, *arguments)
        self.running["import"] = self._start["import"]()

    def kill(self, name: str) -> None:
        process = self.running[name]
        process.send(signal.SIGKILL)
        process.wait()
        self.kills[name] += 1
        self.running[name] = self._start[name]()

    def end(self) -> None:
        for process in self.running.values():
            process.end()


@pytest.fixture
def log_file(tmp_path: Path) -> tuple[Path, Counter[str]]:
    """A larger log made of the example's tickets, and how many tickets end in which status."""
    with (EXAMPLES / "incidents.csv").open(newline="") as source:  # type: ignore[attr-defined]  # a file here
        header, *rows = csv.reader(source)
    last: dict[str, str] = {}
    path = tmp_path / "incidents.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        for copy in range(COPIES):
            for row in rows:
                ticket = f"{row[0]}-{copy}"
                out.writerow([ticket, *row[1:]])
                last[ticket] = f"{row[2]}/{row[3]}"
    return path, Counter(last.values())


@pytest.fixture
def mortals(settings: Settings, tmp_path: Path) -> Iterator[Mortals]:
    mortals = Mortals(settings, tmp_path)
    yield mortals
    mortals.end()


class Client:
    """Writes and never gives up: what was not answered is sent again under the same key, to either process."""

    def __init__(self, urls: list[str], number: int) -> None:
        self._urls = urls
        self._dice = random.Random(number)
        self._number = number
        self.acknowledged: list[tuple[str, dict[str, Any]]] = []
        """(title, the answer's body) of every write that was answered."""
        self.token = ""

    async def run(self, http: httpx.AsyncClient, stop: asyncio.Event) -> None:
        tasks: list[str] = []
        turn = 0
        while not stop.is_set():
            turn += 1
            title = f"client {self._number} turn {turn}"
            if not tasks or self._dice.random() < 0.4:
                body = await self._send(http, "POST", "/tasks", {"title": title})
                tasks.append(body["id"])
            else:
                body = await self._send(http, "PATCH", f"/tasks/{self._dice.choice(tasks)}", {"title": title})
            self.acknowledged.append((title, body))

    async def _send(self, http: httpx.AsyncClient, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": uuid4().hex}
        while True:
            url = f"{self._dice.choice(self._urls)}/api/v1{path}"
            try:
                response = await http.request(method, url, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if response.status_code in {200, 201}:
                answer: dict[str, Any] = response.json()
                return answer
            assert response.status_code in {409, 503}, response.text
            await asyncio.sleep(0.05)


async def register(http: httpx.AsyncClient, url: str, email: str) -> str:
    """An access token of somebody new."""
    body = {"email": email, "password": "correct horse battery", "name": "Somebody"}
    token: str = accepted(await http.post(f"{url}/api/v1/auth/register", json=body), 201)["access_token"]
    return token


async def ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def test_nothing_acknowledged_is_lost_or_doubled_and_the_import_is_exact(
    mortals: Mortals, settings: Settings, log_file: tuple[Path, Counter[str]]
) -> None:
    dice = random.Random(11)
    async with httpx.AsyncClient(timeout=15) as http:
        for url in mortals.urls:
            await until(lambda url=url: ready(http, url), "the processes are ready")  # type: ignore[misc]  # bound early
        clients = [Client(mortals.urls, number) for number in range(CLIENTS)]
        for client in clients:
            client.token = await register(http, mortals.urls[0], f"{uuid4().hex}@example.com")
        owner = await register(http, mortals.urls[0], OWNER)
        mortals.begin_import(log_file[0], OWNER)
        stop = asyncio.Event()
        writing = [asyncio.create_task(client.run(http, stop)) for client in clients]
        names = [name for name in mortals.running if name != "import"]
        for _ in range(KILLS):
            before = sum(len(client.acknowledged) for client in clients)
            mortals.kill(dice.choice(names))
            if mortals.importer.alive:
                mortals.kill("import")

            async def went_on(before: int = before) -> bool:
                return sum(len(client.acknowledged) for client in clients) >= before + 3 * CLIENTS

            await until(went_on, "the clients are answered again")
        assert mortals.kills["import"] > 1, "it was killed in its middle"
        stop.set()
        await asyncio.gather(*writing)

        async def imported() -> bool:
            return not mortals.importer.alive

        await until(imported, "the import ends", within_s=BOUND_S)
        assert mortals.importer.wait() == 0, mortals.importer.log.read_text()[-3000:]
        for url in mortals.urls:
            await until(lambda url=url: ready(http, url), "the processes are ready")  # type: ignore[misc]  # bound early
        await _acknowledged_writes_are_there_once(clients, settings)
        await _views_equal_the_fold(settings)
        await _the_import_is_exact(settings, log_file[1], Caller(http, "", "", owner), mortals.urls[0])


async def _acknowledged_writes_are_there_once(clients: list[Client], settings: Settings) -> None:
    async with open_event_store(settings, "checker") as store:
        head = await store.log.head()
        events = await store.log.read(0, limit=head.position)
        assert [event.position for event in events] == list(range(1, head.position + 1))
        versions: dict[UUID, int] = {}
        titles: Counter[str] = Counter()
        for event in events:
            assert event.stream_version == versions.get(event.stream_id, 0) + 1
            versions[event.stream_id] = event.stream_version
            if event.type in {"TaskCreated", "TaskRetitled"}:
                titles[msgspec.json.decode(event.data)["title"]] += 1
        for client in clients:
            assert client.acknowledged
            for title, body in client.acknowledged:
                assert titles[title] == 1, f"{title}: acknowledged, and there {titles[title]} times"
                assert events[body["position"] - 1].stream_id == UUID(body["id"])
                assert events[body["position"] - 1].stream_version == body["version"]


async def _views_equal_the_fold(settings: Settings) -> None:
    async with open_event_store(settings, "checker") as store, open_database(settings) as database:
        view = VIEWS["tasks"]
        rows = await store.pool.fetch("select stream_id, version from streams where kind = 'task'")
        wanted = {UUID(int=row[0].int): row[1] for row in rows}

        async def caught_up() -> bool:
            cursor = database[view.collection].find({}, {"version": 1})
            return {found["_id"]: found["version"] async for found in cursor} == wanted

        await until(caught_up, "the view has every task at its last version")
        async for found in database[view.collection].find({}, {"state": 1, "position": 1}):
            shown = msgspec.json.decode(found["state"], type=TaskState)
            assert shown == (await store.folds.load(TASK, found["_id"])).state


async def _the_import_is_exact(settings: Settings, expected: Counter[str], owner: Caller, url: str) -> None:
    async with open_event_store(settings, "checker") as store:
        rows = await store.pool.fetch("select stream_id from streams where kind = 'task'")
        tasks = [(await store.folds.load(TASK, UUID(int=row[0].int))).state for row in rows]
        head = (await store.log.head()).position
    imported = [task for task in tasks if task.external_id is not None]
    assert Counter(task.status for task in imported) == expected
    assert len({task.external_id for task in imported}) == len(imported)
    board = await owner.http.get(
        f"{url}/api/v1/projects/{imported[0].project_id}/board",
        params={"min_position": head, "wait_ms": 10_000},
        headers={"Authorization": f"Bearer {owner.token}"},
    )
    counts = {column["status"]: column["count"] for column in accepted(board)["columns"] if column["count"]}
    assert counts == dict(expected)
