"""Another system's logs, imported while everything is broken, by a process that is killed and run again itself."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import httpx

from taskflow.store.eventstore import open_event_store
from taskflow.streams import TASK
from tests.api.stack import accepted, until
from tests.chaos.victim import Victim
from tests.chaos.world import IMPORT, World

EXAMPLES: Final = resources.files("taskflow.importer") / "examples"
BOUND_S: Final = 300.0
RUN_AGAIN: Final = "run the import again"
COPIES: Final = 4
"""Of the example's tickets in a log, under other names."""


class Importing:
    """One log after another into one project. Begun by `begin_importing`."""

    def __init__(self, world: World, token: str) -> None:
        self._world = world
        self._token = token
        self._victim: Victim
        self._expected: Counter[str] = Counter()
        """How many tickets end in which status."""
        self.logs = 0
        self.kills = 0

    async def next_log(self) -> None:
        """Begins another where the one before is done."""
        if self.logs:
            if await self._under_way():
                return
            await self.end()
        self.logs += 1
        file = self._world.servers.folder / f"incidents-{self.logs}.csv"
        self._expected += _write_log(file, self.logs)
        mapping = str(EXAMPLES / "incidents.toml")
        # Batch after batch: it is to be there still when it is killed.
        self._victim = self._world.caller(
            IMPORT, self._token, "import", str(file), "--mapping", mapping, "--at-once", "1"
        )
        await self._victim.start()

    async def kill_and_run_again(self) -> None:
        """Unless it has ended."""
        if await self._under_way():
            self.kills += 1
            await self._victim.kill()
            await self._victim.start()

    async def _under_way(self) -> bool:
        """Whether it still runs; it is run again where that is its last word."""
        if not self._victim.alive and RUN_AGAIN in self._victim.log_tail().rstrip().rpartition("\n")[2]:
            await self._victim.start()
        return self._victim.alive

    @contextmanager
    def held_still(self) -> Iterator[None]:
        """It writes nothing meanwhile: what is looked at one after another has to be of one moment."""
        if self._victim.alive:
            self._victim.freeze()
        try:
            yield
        finally:
            self._victim.thaw()

    async def end(self) -> None:
        """Waits until the log is imported."""

        async def ended() -> bool:
            return not await self._under_way()

        await until(ended, "the import ends", within_s=BOUND_S)
        assert await self._victim.end() == 0, self._victim.log_tail()

    async def stop(self) -> None:
        if self._victim.alive:
            await self._victim.stop()

    async def faults(self) -> list[str]:
        """Every ticket is there once and in its last status, and the board counts them so."""
        async with open_event_store(self._world.direct, "checker") as store:
            rows = await store.pool.fetch("select stream_id from streams where kind = 'task'")
            tasks = [(await store.state_cache.load(TASK, UUID(int=row[0].int))).state for row in rows]
            head = (await store.log.head()).position
        imported = [task for task in tasks if task.external_id is not None]
        statuses = Counter(task.status for task in imported)
        found = []
        if statuses != self._expected:
            found.append(f"tickets by status: {statuses}, expected {self._expected}")
        if len({task.external_id for task in imported}) != len(imported):
            found.append("a ticket was imported twice")
        async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
            answer = await http.get(
                f"{self._world.urls[0]}/api/v1/projects/{imported[0].project_id}/board",
                params={"min_position": head, "wait_ms": 10_000},
                headers={"Authorization": f"Bearer {self._token}"},
            )
        counts = {column["status"]: column["count"] for column in accepted(answer)["columns"] if column["count"]}
        if counts != self._expected:
            found.append(f"the board counts {counts}, expected {self._expected}")
        return found


async def begin_importing(world: World) -> Importing:
    email = f"{uuid4().hex}@example.com"
    async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
        body = {"email": email, "password": "correct horse battery", "name": "Somebody"}
        token = accepted(await http.post(f"{world.urls[0]}/api/v1/auth/register", json=body), 201)["access_token"]
    importing = Importing(world, token)
    await importing.next_log()
    return importing


def _write_log(path: Path, number: int) -> Counter[str]:
    """A larger log made of the example's tickets; how many of them end in which status."""
    with Path(str(EXAMPLES / "incidents.csv")).open(newline="") as source:
        header, *rows = csv.reader(source)
    last: dict[str, str] = {}
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        for copy in range(COPIES):
            for row in rows:
                ticket = f"{row[0]}-{number}-{copy}"
                out.writerow([ticket, *row[1:]])
                last[ticket] = f"{row[2]}/{row[3]}"
    return Counter(last.values())
