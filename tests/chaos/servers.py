"""The real servers of a chaos run, and a way to each for every process of taskflow, to be broken alone.

a process    ─▶ `behind(its name)` ─▶ toxiproxy ─▶ server
the checker  ─▶ `direct`           ──────────────▶ server
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.tools import CACHE
from msgspec.structs import replace

from taskflow.local import kafka, mongodb, postgres, valkey
from taskflow.local.program import Program, Running, unused_port
from taskflow.settings import Settings
from tests.chaos.proxies import Proxies, Way, start_proxies
from tests.chaos.victim import Victim

SERVERS: Final = ("postgres", "kafka", "mongodb", "redis")


class Servers:
    """Started by `start`; each is a Victim under its name in SERVERS."""

    def __init__(self, settings: Settings, callers: Sequence[str]) -> None:
        self.folder = Path(settings.data_dir)
        self.direct = settings
        self.victims: dict[str, Victim] = {}
        self.proxies: Proxies
        self._callers = callers
        self._ports = {name: unused_port() for name in SERVERS}
        self._behind = {Way(caller, name): unused_port() for caller in callers for name in SERVERS}
        """Where the proxies listen."""
        self._controller = unused_port()
        self._kafka_listeners = {caller: unused_port() for caller in callers}

    async def start(self) -> None:
        self.proxies = await start_proxies(self.folder)
        postgres_program, postgres_url = await postgres.prepare(
            self.folder, self._ports["postgres"], self._log("postgres"), durable=False
        )
        mongodb_program, mongodb_url = mongodb.prepare(self.folder, self._ports["mongodb"], self._log("mongodb"))
        redis_program, redis_url = valkey.prepare(self.folder, self._ports["redis"], self._log("valkey"))
        programs = {
            "postgres": postgres_program,
            "kafka": await self._kafka(),
            "mongodb": mongodb_program,
            "redis": redis_program,
        }
        self.victims = {name: Victim(Running(program)) for name, program in programs.items()}
        await asyncio.gather(*[victim.start() for victim in self.victims.values()])
        for way, listen in self._behind.items():
            upstream = self._kafka_listeners[way.caller] if way.callee == "kafka" else self._ports[way.callee]
            await self.proxies.add(way, listen, upstream)
        # Direct: a member of a replica set is otherwise asked where it is, and does not know of the proxy.
        mongodb_url = mongodb_url.replace(f"replicaSet={mongodb.REPLICA_SET}", "directConnection=true")
        urls = {"postgres_url": postgres_url, "mongodb_url": mongodb_url, "redis_url": redis_url}
        self.direct = self._at(replace(self.direct, **urls), self._ports)

    def behind(self, caller: str, settings: Settings) -> Settings:
        """The settings with every server behind the caller's own proxies."""
        return self._at(settings, {name: self._behind[Way(caller, name)] for name in SERVERS})

    def ways_to(self, server: str) -> list[Way]:
        return [Way(caller, server) for caller in self._callers]

    def ways_from(self, caller: str) -> list[Way]:
        return [Way(caller, server) for server in SERVERS]

    def _at(self, settings: Settings, ports: Mapping[str, int]) -> Settings:
        def moved(url: str, name: str) -> str:
            return url.replace(f":{self._ports[name]}/", f":{ports[name]}/")

        return replace(
            settings,
            postgres_url=moved(settings.postgres_url, "postgres"),
            kafka_bootstrap=f"127.0.0.1:{ports['kafka']}",
            mongodb_url=moved(settings.mongodb_url, "mongodb"),
            redis_url=moved(settings.redis_url, "redis"),
        )

    async def stop(self) -> None:
        for victim in self.victims.values():
            victim.thaw()
        await asyncio.gather(*[victim.stop() for victim in self.victims.values()])
        await self.proxies.stop()

    @property
    def kafka_logs(self) -> Path:
        return self.folder / "kafka" / "logs"

    async def kafka_on_an_empty_disk(self) -> None:
        """All that the broker had is gone, groups and the cluster's own id included. It must not run."""
        shutil.rmtree(self.kafka_logs)
        self.victims["kafka"].replace(Running(await self._kafka()))

    async def _kafka(self) -> Program:
        program, _ = await kafka.prepare(
            self.folder,
            CACHE,
            self._ports["kafka"],
            self._controller,
            self._log("kafka"),
            proxied=[
                kafka.Proxied(listener, self._behind[Way(caller, "kafka")])
                for caller, listener in self._kafka_listeners.items()
            ],
        )
        return program

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"
