"""Toxiproxy between the processes of taskflow and every server: the network, to be broken on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx
from benchmarks.tools import TOXIPROXY, installed

from taskflow.local.program import Program, Running, unused_port

TOXICS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"type": "latency", "attributes": {"latency": 300, "jitter": 200}},
    "reset": {"type": "reset_peer", "attributes": {"timeout": 0}},
    "black hole": {"type": "timeout", "attributes": {"timeout": 0}},
}
"""`timeout` 0 swallows everything and closes nothing, until it is taken away."""


class Proxies:
    """A proxy a server. Made by `start_proxies`."""

    def __init__(self, running: Running, port: int) -> None:
        self._running = running
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5)

    async def add(self, name: str, listen: int, upstream: int) -> None:
        await self._post("/proxies", name=name, listen=f"127.0.0.1:{listen}", upstream=f"127.0.0.1:{upstream}")

    async def poison(self, name: str, toxic: str) -> None:
        """What comes from the server suffers, and with the connection whoever waits for it."""
        await self._post(f"/proxies/{name}/toxics", name="toxic", stream="downstream", **TOXICS[toxic])

    async def cure(self, name: str) -> None:
        (await self._http.delete(f"/proxies/{name}/toxics/toxic")).raise_for_status()

    async def refuse(self, name: str, *, refused: bool) -> None:
        """No connection stays or is accepted while it refuses."""
        await self._post(f"/proxies/{name}", enabled=not refused)

    async def stop(self) -> None:
        await self._http.aclose()
        await self._running.stop()

    async def _post(self, path: str, **body: Any) -> None:
        (await self._http.post(path, json=body)).raise_for_status()


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
