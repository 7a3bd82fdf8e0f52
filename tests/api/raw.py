"""Requests byte for byte, as no client would send them, and their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

BOUND_S = 30.0


class RawAnswer(Struct, frozen=True):
    status: int
    headers: dict[str, str]
    """By name in lower case; the last line of a name."""
    body: bytes

    def problem(self, status: int, slug: str) -> dict[str, Any]:
        """Its body, which is a problem of that kind."""
        assert self.status == status, self
        assert self.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = json.loads(self.body)
        assert body["type"] == f"/problems/{slug}", body
        assert body["status"] == status
        return body


class Connection:
    """One connection: what is sent on it, and the answers that come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Sends as much as the server takes: one that has answered and closed takes no more."""
        try:
            self.writer.write(data)
            async with asyncio.timeout(BOUND_S):
                await self.writer.drain()
        except ConnectionError:
            pass

    async def answer(self, *, head: bool = False) -> RawAnswer | None:
        """The next answer, without those that only say "go on"; None where the connection ended instead."""
        async with asyncio.timeout(BOUND_S):
            while True:
                try:
                    lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                except asyncio.IncompleteReadError as error:
                    assert error.partial == b"", error.partial
                    return None
                except ConnectionError:
                    return None
                status = int(lines[0].split(" ")[1])
                if status >= 200:
                    break
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
            has_none = head or status in {204, 304}
            return RawAnswer(status, headers, b"" if has_none else await self._body(headers))

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self._reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return body

    async def is_closed(self) -> bool:
        """Whether the server ends the connection, with nothing more on it."""
        try:
            async with asyncio.timeout(BOUND_S):
                return await self._reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Connection]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


async def ask(url: str, data: bytes) -> RawAnswer | None:
    """The first answer to these bytes on a connection of their own; None where there is none."""
    async with connection(url) as one:
        await one.send(data)
        return await one.answer(head=data.startswith(b"HEAD "))


def get(target: str | bytes, *lines: str, method: str = "GET") -> bytes:
    """A request without a body; `lines` are header fields."""
    raw = target.encode("latin-1") if isinstance(target, str) else target
    fields = "".join(f"{line}\r\n" for line in ("Host: x", *lines)).encode("latin-1")
    return method.encode() + b" " + raw + b" HTTP/1.1\r\n" + fields + b"\r\n"
