"""Clients of `/stream`: one that reads, and bare connections that do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from tests.api.stack import Caller

BOUND_S = 30.0


class Heard(Struct, frozen=True):
    """An event as it came: `id`, `event`, and the envelope in `data`."""

    id: int
    type: str
    data: Any


class Listening:
    """An open stream. `next(n)` are the next n events; `rest()` those until the stream ends."""

    def __init__(self, response: Any) -> None:
        self.headers = response.headers
        self._lines = response.aiter_lines()
        self.comments = 0

    async def one(self) -> Heard | None:
        """The next event; None at the end."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                assert name not in fields
                fields[name] = value
            elif fields:
                heard = Heard(int(fields["id"]), fields["event"], json.loads(fields["data"]))
                assert heard.data["position"] == heard.id
                assert heard.data["type"] == heard.type
                return heard
        return None

    async def next(self, count: int) -> list[Heard]:
        heard: list[Heard] = []
        async with asyncio.timeout(BOUND_S):
            for _ in range(count):
                one = await self.one()
                assert one is not None, f"it ended after {heard}"
                heard.append(one)
        return heard

    async def rest(self) -> list[Heard]:
        heard = []
        async with asyncio.timeout(BOUND_S):
            while (one := await self.one()) is not None:
                heard.append(one)
        return heard

    async def comment(self) -> None:
        """Waits for a comment line."""
        async with asyncio.timeout(BOUND_S):
            async for line in self._lines:
                if line.startswith(":"):
                    return


@asynccontextmanager
async def listening(caller: Caller, *, last: int | str | None = None, **parameters: Any) -> AsyncIterator[Listening]:
    """Opens a stream; it is one once its first bytes are there."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    async with caller.http.stream("GET", "/api/v1/stream", headers=headers, params=parameters) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        listening = Listening(response)
        await listening.comment()
        yield listening


async def bare(url: str, token: str, path: str = "/api/v1/stream", *, reads: int = 2**16) -> Any:
    """A connection that asked and has seen the head of an answer; it reads no further than `reads` bytes by itself."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=reads)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer
