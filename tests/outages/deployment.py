"""A whole deployment whose every part can be taken away and given back, servers and processes alike."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.api.stack import Caller, Process, until
from tests.conftest import Fleet
from tests.outages.freezing import freeze, thaw

How = Literal["killed", "frozen"]
PATIENCE_S = 30.0
"""A client waits longer than anything may take: what is slow is told by the clock, not by the client."""


class Deployment:
    """Two API processes, a relay, a projector, a worker, and the servers below them."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.settings: Settings = fleet.settings
        self._folder = folder
        self.ports = (unused_port(), unused_port())
        self.urls = tuple(f"http://127.0.0.1:{port}" for port in self.ports)
        self._start: dict[str, Callable[[], Process]] = {
            "relay": lambda: self.process("relay"),
            "projector": lambda: self.process("projector"),
            "worker": lambda: self.process("worker"),
            "api": lambda: self.process("api", port=self.ports[0]),
            "other api": lambda: self.process("api", port=self.ports[1]),
        }
        self.running: dict[str, Process] = {}

    def process(self, *arguments: str, port: int | None = None) -> Process:
        """Starts one `taskflow …` process of this deployment."""
        settings = self.settings if port is None else replace(self.settings, api_port=port)
        name = "-".join(arguments) if port is None else f"api-{port}"
        return Process(settings, self._folder / f"{name}.log", *arguments)

    def start(self, *names: str) -> None:
        """These processes, or all."""
        for name in names or self._start:
            if name not in self.running or not self.running[name].alive:
                self.running[name] = self._start[name]()

    def kill(self, name: str) -> None:
        self.running[name].send(signal.SIGKILL)
        self.running[name].wait()

    @asynccontextmanager
    async def without(self, name: str, how: How) -> AsyncIterator[None]:
        """While a server is gone, however it went; on the way out it is back."""
        server = self.fleet.server(name)
        if how == "frozen":
            freeze(server.pid)
        else:
            await asyncio.to_thread(server.kill)
        try:
            yield
        finally:
            if how == "frozen":
                thaw(server.pid)
            else:
                await asyncio.to_thread(server.start)

    def end(self) -> None:
        for process in self.running.values():
            process.end()


class Observer:
    """An operator's view of one API process."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def health(self) -> tuple[int, dict[str, Any]]:
        response = await self._http.get("/health")
        return response.status_code, response.json()

    async def ready(self) -> bool:
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def alive(self) -> bool:
        return (await self._http.get("/livez")).status_code == 200

    async def checks(self) -> dict[str, str]:
        """By part: `ok`, or what is wrong."""
        checks: dict[str, str] = (await self._http.get("/readyz?verbose")).json()["checks"]
        return checks

    async def metric(self, name: str) -> list[float]:
        """The values of a metric, one a label."""
        lines = (await self._http.get("/metrics")).text.splitlines()
        return [float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]

    async def healthy(self) -> bool:
        try:
            status: str = (await self.health())[1]["status"]
        except httpx.TransportError:
            return False
        return status == "healthy"

    async def until_healthy(self) -> None:
        await until(self.healthy, "everything is healthy again")

    async def until_degraded(self, part: str) -> str:
        """Waits until a part is named; what is said of it."""

        async def named() -> bool:
            return (await self.checks())[part] != "ok"

        await until(named, f"{part} is seen to be gone")
        assert (await self.health())[1]["status"] == "degraded"
        return (await self.checks())[part]


class Timed:
    """Requests, and how long the slowest of them took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, request: Any) -> httpx.Response:
        began = time.monotonic()
        response: httpx.Response = await request
        self.seconds.append(time.monotonic() - began)
        return response

    @property
    def worst(self) -> float:
        return max(self.seconds)


def unavailable(response: httpx.Response) -> None:
    """A refusal that a client may trust: nothing was done, and when to come again."""
    assert response.status_code == 503, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.json()["type"] == "/problems/unavailable", response.text
    assert int(response.headers["retry-after"]) >= 1


async def board_counts(caller: Caller, project: str, position: int) -> dict[str, int]:
    response = await caller.read(f"/projects/{project}/board", position)
    assert response.status_code == 200, response.text
    return {column["status"]: column["count"] for column in response.json()["columns"]}
