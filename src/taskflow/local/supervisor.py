"""`taskflow up`: starts the servers, migrates the schema, starts the processes, and restarts what dies."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import asyncpg
import httpx

from taskflow.backoff import Backoff
from taskflow.local.addresses import FIELDS, forget, remember
from taskflow.local.dev_secrets import with_secrets
from taskflow.local.program import CannotStart, Program, Running, free_port
from taskflow.local.servers import Servers
from taskflow.settings import SECRETS, variable
from taskflow.store.migrate import migrate

if TYPE_CHECKING:
    from taskflow.settings import Settings

PROCESSES: Final = ("relay", "projector", "worker", "api")
"""In the order of starting. The API stops first, so that it can answer its clients while all else still runs."""
READY_S: Final = 240.0
PORT_WAIT_S: Final = 10.0
"""How long to wait for the API's port: the API of a killed launcher first finishes its requests."""
RESTART_PAUSE_S: Final = 0.5
RESTART_PAUSE_MAX_S: Final = 10.0
STEADY_S: Final = 30.0
"""If a process ran at least this long, the pause before its restart is the shortest again."""


def program(settings: Settings, name: str) -> Program:
    """A process of taskflow as a Program."""

    async def spawned() -> bool:
        return True

    return Program(
        name=name,
        argv=[sys.executable, "-m", "taskflow", name],
        env=settings.environ(),
        log=settings.data_path / "logs" / f"{name}.log",
        ready=spawned,
        stop_timeout_s=5,
    )


async def up(settings: Settings) -> None:
    """Runs everything until cancelled. Raises BadSettings, CannotStart and StoreError."""
    settings = with_secrets(settings, SECRETS)
    missing = [variable(name) for name in FIELDS if not getattr(settings, name)]
    if missing and settings.env == "production":
        raise CannotStart(f"production requires the URLs of its servers; not set: {', '.join(missing)}")
    await free_port("the API", settings.api_port, "TASKFLOW_API_PORT", wait_s=PORT_WAIT_S)
    say(f"starting; data and logs in {settings.data_dir}/")
    servers = Servers(settings)
    try:
        await servers.start()
        # Not earlier: until the servers have started, the file may belong to another launcher.
        remember(servers.settings)
        try:
            await _supervise(servers)
        finally:
            forget(servers.settings)
    finally:
        await servers.stop()


async def _supervise(servers: Servers) -> None:
    settings = servers.settings
    await _migrate(settings)
    keepers: list[asyncio.Task[None]] = []
    running: list[Running] = []
    try:
        for name in PROCESSES:
            process = Running(program(settings, name))
            running.append(process)
            await process.spawn()
        keepers += [asyncio.create_task(_keep(one)) for one in (*running, *servers.running.values())]
        await _ready(settings)
        say(f"ready: http://{settings.api_host}:{settings.api_port}")
        await asyncio.gather(*keepers)
    finally:
        say("stopping")
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        if running:
            await running.pop().stop()
        await asyncio.gather(*[process.stop() for process in running])


async def _migrate(settings: Settings) -> None:
    try:
        for name in await migrate(settings):
            say(f"migrated {name}")
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise CannotStart(f"PostgreSQL of {variable('postgres_url')} does not answer as expected: {error}") from error


async def _keep(process: Running) -> None:
    """Restarts a process whenever it ends, after a pause that doubles while it keeps dying early."""
    backoff = Backoff(RESTART_PAUSE_S, RESTART_PAUSE_MAX_S)
    while True:
        started = time.monotonic()
        code = await process.wait()
        if time.monotonic() - started > STEADY_S:
            backoff.reset()
        say(f"{process.program.name} ended ({code}); starting it again, see {process.program.log}")
        await backoff.wait()
        await process.spawn()


async def _ready(settings: Settings) -> None:
    """Waits until everything is ready. Raises CannotStart with what the API reports as missing."""
    deadline = time.monotonic() + READY_S
    url = f"http://{settings.api_host}:{settings.api_port}/readyz?verbose"
    answer = "no answer"
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                response = await client.get(url)
                if response.status_code == httpx.codes.OK:
                    return
                answer = response.text
            await asyncio.sleep(0.2)
    raise CannotStart(f"not ready after {READY_S:.0f} s: {answer}\nsee {settings.data_dir}/logs/")


def say(line: str) -> None:
    """Prints a line for the user."""
    print(f"taskflow: {line}", flush=True)
