"""`taskflow up` under load: dead processes are restarted, and stopping leaves no process and no unanswered request."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.api.stack import Caller, Process, register, until
from tests.conftest import CACHE
from tests.local.processes import alive, below

CLIENTS = 4
END_S = 15.0
"""A generous bound for stopping: it takes two seconds, servers included, on an idle machine."""


def named(launcher: int, name: str) -> int:
    """The process id of a taskflow process that the launcher started."""
    [pid] = [
        pid
        for pid in below(launcher)
        if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(f"taskflow\0{name}\0".encode())
    ]
    return pid


async def write(caller: Caller, answered: list[int]) -> httpx.TransportError:
    """Sends writes until one fails; returns the error."""
    while True:
        try:
            response = await caller.post("/tasks", {"title": "under load"})
        except httpx.TransportError as error:
            return error
        answered.append(response.status_code)


async def test_dead_processes_are_restarted_and_all_stop_in_order(own: Settings, folder: Path) -> None:
    (folder / "cache").symlink_to(CACHE)
    settings = replace(own, api_port=unused_port(), rate_limits="off")
    up = Process(settings, folder / "up.log", "up")
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api_port}", timeout=30) as http:

            async def ready() -> bool:
                assert up.alive, up.log.read_text()
                return "ready: " in up.log.read_text()

            await until(ready, "everything works")
            ada = await register(http, "Ada Lovelace")
            answered: list[int] = []
            clients = [asyncio.create_task(write(ada, answered)) for _ in range(CLIENTS)]
            os.kill(named(up.pid, "relay"), signal.SIGKILL)

            async def again() -> bool:
                return "relay ended (-9); starting it again" in up.log.read_text()

            await until(again, "the relay is started again")

            async def works() -> bool:
                return (await http.get("/health")).json()["status"] == "healthy" and len(answered) > 50

            await until(works, "everything works again")
            children = below(up.pid)
            assert len(children) >= 7
            began = time.monotonic()
            up.send(signal.SIGTERM)
            assert await asyncio.to_thread(up.wait) == 0
            took = time.monotonic() - began
            assert took < END_S
            print(f"up stopped in {took:.2f} s")  # noqa: T201 - the figure that is reported
            assert not any(alive(pid) for pid in children)
            assert set(answered) == {201}
            # No request was cut off: every request that was accepted was answered.
            assert {type(error) for error in await asyncio.gather(*clients)} == {httpx.ConnectError}
    finally:
        up.end()
