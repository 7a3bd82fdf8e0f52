"""Toxiproxy: the network, to be broken on purpose. There is a proxy for each way from a caller to a callee."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from benchmarks.tools import TOXIPROXY, installed

from taskflow.local.program import Program, Running, unused_port

TOXICS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"type": "latency", "attributes": {"latency": 300, "jitter": 200}},
    "reset": {"type": "reset_peer", "attributes": {"timeout": 0}},
    "black hole": {"type": "timeout", "attributes": {"timeout": 0}},
}
"""`timeout` 0 swallows everything and closes nothing, until it is taken away."""


class Way(NamedTuple):
    """Who calls whom: a process a server, or the clients an API process."""

    caller: str
    callee: str

    @property
    def proxy(self) -> str:
        return f"{self.caller}-to-{self.callee}"


class Proxies:
    """A proxy a way. Made by `start_proxies`."""

    def __init__(self, running: Running, port: int) -> None:
        self._running = running
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5)

    async def add(self, way: Way, listen: int, upstream: int) -> None:
        await self._post("/proxies", name=way.proxy, listen=f"127.0.0.1:{listen}", upstream=f"127.0.0.1:{upstream}")

    async def poison(self, ways: Iterable[Way], toxic: str, why: str) -> None:
        """What comes back from the callee suffers, and with the connection whoever waits for it. `why` tells
        it from what else happens on the same way."""
        name = _name(toxic, why)
        await asyncio.gather(
            *[
                self._post(f"/proxies/{way.proxy}/toxics", name=name, stream="downstream", **TOXICS[toxic])
                for way in ways
            ]
        )

    async def cure(self, ways: Iterable[Way], toxic: str, why: str) -> None:
        name = _name(toxic, why)
        answers = await asyncio.gather(*[self._http.delete(f"/proxies/{way.proxy}/toxics/{name}") for way in ways])
        for answer in answers:
            answer.raise_for_status()

    async def refuse(self, ways: Iterable[Way], *, refused: bool) -> None:
        """No connection stays or is accepted while they refuse."""
        await asyncio.gather(*[self._post(f"/proxies/{way.proxy}", enabled=not refused) for way in ways])

    async def stop(self) -> None:
        await self._http.aclose()
        await self._running.stop()

    async def _post(self, path: str, **body: Any) -> None:
        (await self._http.post(path, json=body)).raise_for_status()


def _name(toxic: str, why: str) -> str:
    return f"{toxic}-of-{why}".replace(" ", "-")


async def start_proxies(folder: Path) -> Proxies:
    port = unused_port()

    async def ready() -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"http://127.0.0.1:{port}/version")).status_code == 200
            except httpx.TransportError:
                return False

    program = Program(
        name="toxiproxy",
        argv=[await installed(TOXIPROXY), "-host", "127.0.0.1", "-port", str(port)],
        log=folder / "logs" / "toxiproxy.log",
        ready=ready,
    )
    running = Running(program)
    await running.start()
    return Proxies(running, port)
