"""Servers with full durability, a deployment of taskflow on them, and whatever is measured beside it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
import msgspec
from msgspec.structs import replace

from benchmarks.tools import CACHE, ROOT, output_of, path_with_node
from taskflow.local.dev_secrets import new_secret
from taskflow.local.program import unused_port
from taskflow.local.servers import Servers
from taskflow.settings import SECRETS, Settings
from taskflow.store.migrate import migrate

HERE: Final = Path(__file__).parent
READY_S: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


async def install_peer(name: str) -> Path:
    """A peer's packages; without a lock file, so that none names a registry."""
    folder = HERE / "peers" / name
    complete = folder / "node_modules" / ".complete"
    if not complete.exists():
        await output_of("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", folder=folder)
        complete.touch()  # an installation that was interrupted is done again
    return folder


def _die_with_parent() -> None:
    """Nothing is left behind by a benchmark that was killed, paused processes neither: SIGKILL ends those too."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A measured process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls, argv: Sequence[str], env: Mapping[str, str], log: Path, *, folder: Path = ROOT, reads: bool = False
    ) -> Process:
        with log.open("ab") as file:
            out = asyncio.subprocess.PIPE if reads else file
            return cls(
                await asyncio.create_subprocess_exec(
                    *argv,
                    env=dict(os.environ) | {"PATH": path_with_node()} | dict(env),
                    cwd=folder,
                    stdout=out,
                    stderr=file,
                    start_new_session=True,  # Ctrl-C is the benchmark's to pass on
                    preexec_fn=_die_with_parent,
                )
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self) -> bytes:
        if self._process.stdout is None:
            raise AssertionError("started without `reads`")
        async with asyncio.timeout(READY_S):
            return await self._process.stdout.readline()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        if self._process.returncode is None:
            self.resume()
            self._process.terminate()
            try:
                async with asyncio.timeout(10):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class World:
    """The servers of one run. Every database, topic and process in it is the run's own."""

    def __init__(self, servers: Servers, folder: Path, stack: AsyncExitStack) -> None:
        self._servers = servers
        settings = self._base = servers.settings
        self.folder = folder
        self._stack = stack
        self.admin_url = settings.postgres_url

    async def fresh(self) -> Settings:
        """A migrated event store and names of its own in every other server."""
        name = f"bench_{uuid4().hex[:12]}"
        url = await self.database(name)
        settings = replace(
            self._base, postgres_url=url, mongodb_database=name, kafka_topic=f"taskflow.{name}", api_port=unused_port()
        )
        await migrate(settings)
        return settings

    def pid(self, server: str) -> int:
        """Of a local server: the process that was started."""
        return self._servers.running[server].pid

    async def database(self, name: str) -> str:
        """An empty PostgreSQL database."""
        connection = await asyncpg.connect(self.admin_url)
        await connection.execute(f"create database {name}")
        await connection.close()
        return f"{self.admin_url.rpartition('/')[0]}/{name}"

    async def taskflow(self, settings: Settings, *arguments: str) -> Process:
        log = self.folder / f"{arguments[0]}-{settings.mongodb_database}.log"
        process = await Process.start([sys.executable, "-m", "taskflow", *arguments], settings.environ(), log)
        self._stack.push_async_callback(process.end)
        return process

    async def express(self) -> tuple[Process, dict[str, Any]]:
        """The peer, and {url, user, project, token} of it."""
        folder = await install_peer("express")
        port = unused_port()
        name = f"express_{uuid4().hex[:12]}"
        url = self._base.mongodb_url
        env = {
            "MONGODB_URL": f"{url.split('/?')[0]}/{name}?{url.split('?', 1)[1]}" if "/?" in url else f"{url}/{name}",
            "PORT": str(port),
            "JWT_SECRET": new_secret("token_secret"),
            "NODE_ENV": "production",
        }
        process = await Process.start(
            ["node", "server.js"], env, self.folder / "express.log", folder=folder, reads=True
        )
        self._stack.push_async_callback(process.end)
        return process, {"url": f"http://127.0.0.1:{port}", **msgspec.json.decode(await process.line())}


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    """Servers of the run's own. A commit is on disk before it is acknowledged, everywhere."""
    with tempfile.TemporaryDirectory(prefix="taskflow-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        secrets = {one: new_secret(one) for one in SECRETS}
        ports = ("postgres_port", "kafka_port", "kafka_controller_port", "mongodb_port", "redis_port")
        settings = replace(
            Settings.from_env(),
            data_dir=name,
            rate_limits="off",
            log_level="warning",
            **{port: unused_port() for port in ports},
            **secrets,
        )
        servers = Servers(settings, cache=CACHE, durable=True)
        try:
            await servers.start()
            async with AsyncExitStack() as stack:
                yield World(servers, folder, stack)
        finally:
            await servers.stop()


async def wait_ready(settings: Settings) -> None:
    url = f"http://127.0.0.1:{settings.api_port}/readyz"
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(READY_S):
        while True:
            try:
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
