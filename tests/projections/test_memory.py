"""A projector's memory after it was stopped under load: what it caught up with is given back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from tests.projections.world import World
from tests.relay.world import RelayProcess

PAUSES = 3
EVENTS = 5_000
"""As many as 20 s bring at 250 writes a second."""
PAUSE_S = 8.0
RESIDENT_MIB_MAX = 250


def resident_mib(pid: int, field: str = "VmRSS") -> float:
    (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith(field)]
    return int(line.split()[1]) / 1024


async def test_memory_is_given_back_after_every_pause(
    world: World, relay: asyncio.Task[None], start_projector: Callable[..., RelayProcess]
) -> None:
    worker = start_projector()
    await world.reached(await world.tell(500))
    found = [resident_mib(worker.process.pid)]
    for _ in range(PAUSES):
        worker.send(signal.SIGSTOP)
        position = await world.tell(EVENTS)
        await asyncio.sleep(PAUSE_S)
        worker.send(signal.SIGCONT)
        await world.reached(position)
        found.append(resident_mib(worker.process.pid))
    assert max(found) < RESIDENT_MIB_MAX
