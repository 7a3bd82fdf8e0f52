"""Starts the local servers for which no URL is set, in parallel."""

from __future__ import annotations

import asyncio
import fcntl
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

from msgspec.structs import replace

from taskflow.local import kafka, mongodb, postgres, valkey
from taskflow.local.private import make_private, open_private
from taskflow.local.program import CannotStart, Program, Running, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from taskflow.settings import Settings

PORT_WAIT_S: Final = 2.0
"""How long to wait for ports: a killed process leaves its folder shortly before its port is free."""


class Servers:
    """The running local servers by name, and the settings with their URLs."""

    def __init__(self, settings: Settings, *, cache: Path | None = None, durable: bool = True) -> None:
        self.settings = settings
        self.running: dict[str, Running] = {}
        self._folder = settings.data_path
        self._cache = cache or self._folder / "cache"
        self._durable = durable
        self._lock: IO[str] | None = None

    async def start(self) -> None:
        """Starts the servers for which no URL is set. On CannotStart, those already started are stopped."""
        self._lock = _lock(self._folder)
        make_private(self._folder)
        starts = {
            "postgres_url": self._postgres,
            "kafka_bootstrap": self._kafka,
            "mongodb_url": self._mongodb,
            "redis_url": self._valkey,
        }
        wanted = [field for field in starts if not getattr(self.settings, field)]
        results = await asyncio.gather(*[starts[field]() for field in wanted], return_exceptions=True)
        faults = [result for result in results if isinstance(result, BaseException)]
        if faults:
            await self.stop()
            unexpected = [fault for fault in faults if not isinstance(fault, CannotStart)]
            raise unexpected[0] if unexpected else CannotStart("\n".join(str(fault) for fault in faults))
        self.settings = replace(self.settings, **dict(zip(wanted, results, strict=True)))

    async def _postgres(self) -> str:
        port = self.settings.postgres_port
        program, url = await postgres.prepare(self._folder, port, self._log("postgres"), durable=self._durable)
        await self._run(program, TASKFLOW_POSTGRES_PORT=port)
        return url

    async def _kafka(self) -> str:
        port, controller = self.settings.kafka_port, self.settings.kafka_controller_port
        program, bootstrap = await kafka.prepare(self._folder, self._cache, port, controller, self._log("kafka"))
        await self._run(program, TASKFLOW_KAFKA_PORT=port, TASKFLOW_KAFKA_CONTROLLER_PORT=controller)
        return bootstrap

    async def _mongodb(self) -> str:
        port = self.settings.mongodb_port
        program, url = mongodb.prepare(self._folder, port, self._log("mongodb"))
        await self._run(program, TASKFLOW_MONGODB_PORT=port)
        return url

    async def _valkey(self) -> str:
        port = self.settings.redis_port
        program, url = valkey.prepare(self._folder, port, self._log("valkey"))
        await self._run(program, TASKFLOW_REDIS_PORT=port)
        return url

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"

    async def _run(self, program: Program, **ports: int) -> None:
        running = self.running[program.name] = Running(program)
        await running.settle()
        for variable, port in ports.items():
            await free_port(program.name, port, variable, wait_s=PORT_WAIT_S)
        await running.start()

    async def stop(self) -> None:
        """Stops all servers in parallel; they do not depend on each other."""
        await asyncio.gather(*[running.stop() for running in self.running.values()])
        if self._lock is not None:
            self._lock.close()


def _lock(folder: Path) -> IO[str]:
    """Locks the folder for this process; the kernel releases the lock whenever and however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open_private(folder / "lock", "w")
    except OSError as error:
        raise CannotStart(
            f"{folder} cannot be written ({error.strerror}); start as its owner, or set TASKFLOW_DATA_DIR to another"
        ) from error
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    file.close()
    raise CannotStart(f"another taskflow runs its servers in {folder}; stop it, or set TASKFLOW_DATA_DIR to another")
