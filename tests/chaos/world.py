"""All of taskflow on servers of its own: two APIs, two relays, two projectors, with a network between."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec import Struct
from msgspec.structs import replace

from taskflow.kafka.topics import current_generation
from taskflow.local.dev_secrets import new_secret
from taskflow.local.program import Program, Running, unused_port
from taskflow.projections.collection_names import CHECKPOINTS
from taskflow.projections.mongo import open_database
from taskflow.projections.registry import PROJECTIONS
from taskflow.relay import status
from taskflow.relay.progress import last_of_partitions
from taskflow.settings import SECRETS, Settings
from taskflow.store.eventstore import open_event_store
from taskflow.store.migrate import migrate
from tests.api.stack import ROOT, until
from tests.chaos.proxies import Way
from tests.chaos.servers import Servers
from tests.chaos.victim import Victim

PROCESSES: Final = {command: (f"{command}-0", f"{command}-1") for command in ("api", "relay", "projector")}
IMPORT: Final = "import"
CLIENTS: Final = "clients"
HEALED_S: Final = 120.0
"""Everything works again within this of the end of a fault."""


class Pace(Struct, frozen=True):
    """How long a fault lasts, and how patient the processes are meanwhile."""

    hold_s: float
    freeze_s: float
    impatient: bool

    @property
    def settings(self) -> dict[str, int]:
        if not self.impatient:
            return {}
        return {
            "projector_stall_timeout_ms": 1_500,
            "watermark_interval_ms": 300,
            "kafka_request_timeout_ms": 3_000,
            "mongodb_timeout_ms": 2_000,
            "mongodb_socket_timeout_ms": 3_000,
            "auth_stale_max_s": 3,
            "relay_check_ends_ms": 1_000,
        }


PACES: Final = {
    "full": Pace(hold_s=5, freeze_s=30, impatient=False),
    "short": Pace(hold_s=1.5, freeze_s=4, impatient=True),
}


class World:
    """What is broken, and how to see that it works again. Made by `open_world`."""

    def __init__(self, servers: Servers, pace: Pace) -> None:
        self.servers = servers
        self.pace = pace
        self.direct = replace(
            servers.direct,
            kafka_topic="taskflow.chaos",
            kafka_partitions=4,
            rate_limits="off",
            mongodb_pool_min=0,
            access_token_ttl_s=86_400,
            **pace.settings,
        )
        self._fronts = {Way(CLIENTS, name): (unused_port(), unused_port()) for name in PROCESSES["api"]}
        """Where the proxy before an API listens, and where the API does."""
        self.processes: dict[str, Victim] = {}
        for command, names in PROCESSES.items():
            for name in names:
                changed = {"api_port": self._fronts[Way(CLIENTS, name)][1]} if command == "api" else {}
                self.processes[name] = self.process(name, command, **changed)

    def process(self, name: str, *arguments: str, **changed: int) -> Victim:
        """A process of taskflow, not started."""
        return self._program(name, arguments, self.servers.behind(name, replace(self.direct, **changed)).environ())

    def caller(self, name: str, token: str, *arguments: str) -> Victim:
        """A command of somebody who is signed in at the first API, not started."""
        return self._program(name, arguments, {"TASKFLOW_URL": self.urls[0], "TASKFLOW_TOKEN": token})

    def _program(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Victim:

        async def spawned() -> bool:
            return True

        program = Program(
            name=name,
            argv=[sys.executable, "-m", "taskflow", *arguments],
            env={**environment, "PYTHONPATH": str(ROOT / "src")},
            log=self.servers.folder / "logs" / f"{name}.log",
            ready=spawned,
            stop_timeout_s=5,
        )
        return Victim(Running(program))

    @property
    def urls(self) -> tuple[str, ...]:
        """Of the APIs, as the clients reach them."""
        return tuple(f"http://127.0.0.1:{listen}" for listen, _ in self._fronts.values())

    @property
    def fronts(self) -> list[Way]:
        """From the clients to the APIs."""
        return list(self._fronts)

    def of(self, target: str) -> list[Victim]:
        """`kafka` is one, `api` are two."""
        if target in self.servers.victims:
            return [self.servers.victims[target]]
        return [self.processes[name] for name in PROCESSES[target]]

    async def start(self) -> None:
        for way, (listen, upstream) in self._fronts.items():
            await self.servers.proxies.add(way, listen, upstream)
        await asyncio.gather(*[victim.start() for victim in self.processes.values()])

    async def raise_the_fallen(self) -> None:
        for victim in (*self.processes.values(), *self.servers.victims.values()):
            await victim.raise_if_fallen()

    @property
    def falls(self) -> list[str]:
        """Ends that nobody asked for."""
        victims = (*self.processes.values(), *self.servers.victims.values())
        return [fall for victim in victims for fall in victim.falls]

    async def wait_until_well(self) -> None:
        """Until every API is ready, the relay has no lag, and each view has the last event of each partition."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            for url in self.urls:
                await until(lambda url=url: _ready(http, url), f"{url} is ready", within_s=HEALED_S)  # type: ignore[misc]  # bound early
        async with open_event_store(self.direct, "chaos") as store, open_database(self.direct) as database:
            generation = await current_generation(store.pool, self.direct)

            async def published() -> bool:
                relay = await status.read(store.pool)
                return relay.leader is not None and relay.fault is None and relay.lag_events == 0

            async def projected() -> bool:
                head = await store.log.head()
                last = await last_of_partitions(store.log, generation, head.position)
                reached = {
                    (found["projection"], found["version"], found["partition"])
                    async for found in database[CHECKPOINTS].find({"generation": generation.number})
                    if found["position"] >= last[found["partition"]]
                }
                return reached >= {
                    (view.name, view.version, partition)
                    for view in PROJECTIONS.values()
                    for partition in range(generation.partitions)
                }

            await until(published, "the relay has no lag", within_s=HEALED_S)
            await until(projected, "the views have caught up", within_s=HEALED_S)

    async def stop(self) -> None:
        for victim in self.processes.values():
            victim.thaw()
        await asyncio.gather(*[victim.stop() for victim in self.processes.values()])


async def _ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@asynccontextmanager
async def open_world(pace: Pace) -> AsyncIterator[World]:
    """Everything running and ready."""
    # Not below the repository: PostgreSQL runs as another user where the tests run as root.
    with tempfile.TemporaryDirectory(prefix="taskflow-chaos-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        secrets: dict[str, Any] = {one: new_secret(one) for one in SECRETS}
        callers = [one for names in PROCESSES.values() for one in names]
        servers = Servers(Settings(data_dir=name, **secrets), callers)
        try:
            await servers.start()
            await migrate(servers.direct)
            world = World(servers, pace)
            try:
                await world.start()
                await world.wait_until_well()
                yield world
            finally:
                await world.stop()
        finally:
            await servers.stop()
