"""The whole of taskflow as processes: two APIs, a relay, the projectors and a worker, and people who call them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from msgspec import Struct
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.conftest import Fleet, copy_database

BOUND_S = 60.0
"""No wait is longer; each ends as soon as what it waits for is there."""
TIMEOUT_S = 30.0
ROOT = Path(__file__).parent.parent.parent


class Process:
    """One `taskflow …` process with its log."""

    def __init__(self, settings: Settings, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taskflow", *arguments],
                env=os.environ | settings.environ() | {"PYTHONPATH": str(ROOT / "src")},
                stdout=file,
                stderr=file,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it ended."""
        return self._process.wait(BOUND_S)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process.poll() is None:
            self.resume()
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Stack:
    """Started once for all tests of a session: they share servers and topic, and never people."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        ports = (unused_port(), unused_port())
        self.urls = tuple(f"http://127.0.0.1:{port}" for port in ports)
        self.apis = [Process(replace(settings, api_port=port), folder / f"api-{port}.log", "api") for port in ports]
        self.relay = Process(settings, folder / "relay.log", "relay")
        self.projector = Process(settings, folder / "projector.log", "projector")
        self._folder = folder
        self.start_worker()

    def start_worker(self) -> None:
        self.worker = Process(self.settings, self._folder / "worker.log", "worker")

    def wait_ready(self) -> None:
        deadline = time.monotonic() + BOUND_S
        for url, api in zip(self.urls, self.apis, strict=True):
            while not _ready(url):
                assert api.alive, f"it ended: {api.log.read_text()[-4000:]}"
                assert time.monotonic() < deadline, f"not ready: {api.log.read_text()[-4000:]}"
                time.sleep(0.1)

    def end(self) -> None:
        for process in (*self.apis, self.relay, self.projector, self.worker):
            process.end()


@contextmanager
def open_stack(fleet: Fleet, template: str, folder: Path, *, name: str, redis: int) -> Iterator[Stack]:
    """A stack on databases and a topic of its own, ready."""
    base = fleet.settings
    name = f"test_{name}_{uuid4().hex[:12]}"
    fleet.call(copy_database(base.postgres_url, name, template))
    settings = replace(
        base,
        postgres_url=f"{base.postgres_url.rpartition('/')[0]}/{name}",
        mongodb_database=name,
        kafka_topic=f"taskflow.{name}",
        kafka_partitions=4,
        redis_url=f"{base.redis_url.rpartition('/')[0]}/{redis}",
        public_url=f"http://{name}.test",
        mongodb_pool_min=0,
        watermark_interval_ms=300,
    )
    stack = Stack(settings, folder)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.end()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def client(url: str, timeout_s: float = TIMEOUT_S) -> httpx.AsyncClient:
    """Reads no certificates: no address here wants any, and reading them takes longer than many a test."""
    return httpx.AsyncClient(base_url=url, timeout=timeout_s, verify=False)


class Caller(Struct):
    """A signed-in person at one API process."""

    http: httpx.AsyncClient
    id: str
    name: str
    token: str
    inbox: str = ""

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return await self.http.request(method, f"/api/v1{path}", headers=headers, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.call("POST", path, json={} if body is None else body, **more)

    async def put(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return await self.call("PUT", path, json=body, **more)

    async def patch(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return await self.call("PATCH", path, json=body, **more)

    async def delete(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("DELETE", path, **more)

    async def command(self, type_: str, target: str | None = None, **more: Any) -> httpx.Response:
        body = {"id": str(uuid4()), "type": type_, "data": {}} | more
        return await self.post("/commands", body if target is None else body | {"target": target})

    # --- what most tests begin with; each asserts that it worked

    async def task(self, title: str = "a task", **fields: Any) -> dict[str, Any]:
        return accepted(await self.post("/tasks", {"title": title} | fields), 201)

    async def project(self, name: str = "a project") -> dict[str, Any]:
        return accepted(await self.post("/projects", {"name": name}), 201)

    async def add(self, project: str, member: Caller, role: str = "member") -> dict[str, Any]:
        """Makes them a member of that role: whoever is none yet is invited, and accepts."""
        response = await self.put(f"/projects/{project}/members/{member.id}", {"role": role})
        if response.status_code != 409 or response.json()["code"] != "must-be-invited":
            return accepted(response)
        token = (await self.invite(project, role))["token"]
        return accepted(await member.post(f"/invitations/{token}/accept"))

    async def invite(self, project: str, role: str = "member", email: str | None = None) -> dict[str, Any]:
        body = {"email": email or f"{uuid4().hex}@example.com", "role": role}
        return accepted(await self.post(f"/projects/{project}/invitations", body), 201)

    async def read(self, path: str, position: int, **parameters: Any) -> httpx.Response:
        """A read that is at least as fresh as a position."""
        return await self.get(path, params=parameters | {"min_position": position, "wait_ms": 10_000})


def accepted(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    body: dict[str, Any] = response.json()
    return body


def replayed(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a repeat of a batch with these outcomes answers."""
    return [outcome | {"replayed": True} for outcome in outcomes]


def refused(response: httpx.Response, status: int, slug: str, code: str | None = None) -> dict[str, Any]:
    """A problem of that kind; its body."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"].startswith("application/problem+json")
    body: dict[str, Any] = response.json()
    assert body["type"] == f"/problems/{slug}", body
    if code is not None:
        assert body["code"] == code, body
    return body


async def register(http: httpx.AsyncClient, name: str) -> Caller:
    body = {"email": f"{uuid4().hex}@example.com", "password": f"correct horse {uuid4().hex}", "name": name}
    response = await http.post("/api/v1/auth/register", json=body)
    answer = accepted(response, 201)
    return Caller(http, answer["user"]["id"], name, answer["access_token"])


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, within_s: float = BOUND_S) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"waited {within_s} s for: {what}"
        await asyncio.sleep(0.02)
