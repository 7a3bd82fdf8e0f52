"""A client behind a load balancer: it tries another process where nobody listens, and nothing else a second time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx

THINK_S = 0.02
"""Between the requests of one client: connections are idle now and then, as they are in life."""


class Balanced:
    """Writes and reads, one request after another over connections that it keeps. What fails is kept too."""

    def __init__(self, urls: Sequence[str], token: str, number: int) -> None:
        self._urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}
        self._dice = random.Random(number)
        self.failures: list[str] = []
        self.answered: Counter[str] = Counter()
        """By process."""
        self.refused = 0
        self.written: list[dict[str, Any]] = []

    async def run(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=30, headers=self._headers) as http:
            while not stop.is_set():
                if self.written and self._dice.random() < 0.5:
                    task = self._dice.choice(self.written)
                    await self._send(http, "GET", f"/tasks/{task['id']}?min_position={task['position']}&wait_ms=9000")
                else:
                    made = await self._send(http, "POST", "/tasks", {"title": uuid4().hex})
                    if made is not None:
                        self.written.append(made)
                await asyncio.sleep(THINK_S * self._dice.random())

    async def _send(self, http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> dict[str, Any] | None:
        url = self._dice.choice(self._urls)
        while True:
            try:
                response = await http.request(method, f"{url}/api/v1{path}", json=body)
            except httpx.ConnectError:
                # Nobody listens, and not a byte was sent.
                self.refused += 1
                url = self._dice.choice([other for other in self._urls if other != url])
                continue
            except httpx.TransportError as error:
                self.failures.append(f"{method} {path}: {error!r}")
                return None
            if response.status_code not in {200, 201}:
                self.failures.append(f"{method} {path}: {response.status_code} {response.text}")
                return None
            self.answered[url] += 1
            answer: dict[str, Any] = response.json()
            return answer
