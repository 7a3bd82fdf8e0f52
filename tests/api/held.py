"""An API process whose reads of the event store can be held up while its appends go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.settings import Settings
from tests.api.stack import BOUND_S, Process

SSL_REQUEST = 80_877_103
READERS = b"taskflow api\x00"
"""The application name of the connections that read; the append path has one of its own under another."""


class Way:
    """A TCP proxy before PostgreSQL. While it is held, nothing of what the server sends comes back to a reader."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._upstream)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                first = await _packet(reader)
                if int.from_bytes(first[4:8]) == SSL_REQUEST:
                    back.write(first)
                    writer.write(await there.readexactly(1))
                    first = await _packet(reader)
                back.write(first)
                reads = READERS in first
                await asyncio.gather(_pump(reader, back), self._downstream(there, writer, reads=reads))
        finally:
            back.close()
            writer.close()

    async def _downstream(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, *, reads: bool) -> None:
        try:
            while data := await there.read(65_536):
                if reads:
                    await self._open.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    """What a client begins with: four bytes of length, itself included, and the rest."""
    head = await reader.readexactly(4)
    return head + await reader.readexactly(int.from_bytes(head) - 4)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def open_held(settings: Settings, folder: Path) -> AsyncIterator[tuple[str, Way]]:
    """The process's URL, once it is ready, and the way to hold its readers up."""
    parts = urlsplit(settings.postgres_url)
    assert parts.hostname is not None
    assert parts.port is not None
    way = Way(parts.hostname, parts.port)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    user = parts.netloc.rpartition("@")[0]
    netloc = f"{user}{'@' if user else ''}127.0.0.1:{server.sockets[0].getsockname()[1]}"
    port = unused_port()
    own = replace(settings, api_port=port, postgres_url=urlunsplit(parts._replace(netloc=netloc)))
    process = Process(own, folder / f"held-{port}.log", "api")
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(BOUND_S), httpx.AsyncClient(verify=False) as http:
            while not await _ready(http, url):
                assert process.alive, process.log.read_text()[-4000:]
                await asyncio.sleep(0.05)
        yield url, way
    finally:
        way.release()
        await asyncio.to_thread(process.end)
        server.close()


async def _ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False
