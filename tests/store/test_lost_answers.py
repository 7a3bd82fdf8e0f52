"""A commit whose answer was lost, and a process that stops in the middle of an append."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from taskflow.errors import Unavailable
from taskflow.ids import new_id
from taskflow.store.append import Receipt
from taskflow.store.eventstore import open_event_store

from .test_append import append, commit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore


class Wire:
    """A TCP relay in front of PostgreSQL that can swallow the server's next answers and hang up."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.cut_answers = 0
        self.refuse = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        if self.refuse:
            client_out.close()
            return
        server_in, server_out = await asyncio.open_connection(*self._target)
        hangup = asyncio.Event()
        pumps = [
            asyncio.create_task(self._pump(client_in, server_out, hangup, answers=False)),
            asyncio.create_task(self._pump(server_in, client_out, hangup, answers=True)),
        ]
        self._tasks.update(pumps)
        await hangup.wait()
        for pump in pumps:
            pump.cancel()
        client_out.close()
        server_out.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, hangup: asyncio.Event, *, answers: bool
    ) -> None:
        while data := await source.read(65536):
            # CommandComplete, with its number of rows: the statement ran and, outside a transaction block, is committed.
            if answers and self.cut_answers and re.search(rb"SELECT \d+\x00", data):
                self.cut_answers -= 1
                break
            sink.write(data)
            await sink.drain()
        hangup.set()


@pytest.fixture
async def wire(settings: Settings) -> AsyncIterator[Wire]:
    url = urlsplit(settings.postgres_url)
    wire = Wire(url.hostname or "", url.port or 5432)
    yield wire
    await wire.stop()


async def behind(wire: Wire, settings: Settings) -> Settings:
    port = await wire.start()
    url = urlsplit(settings.postgres_url)
    user = url.netloc.rpartition("@")[0]
    return replace(settings, postgres_url=url._replace(netloc=f"{user}@127.0.0.1:{port}").geturl())


async def test_a_commit_whose_answer_was_lost_is_not_repeated(
    store: EventStore, settings: Settings, wire: Wire
) -> None:
    async with open_event_store(await behind(wire, settings), "test") as far:
        stream = new_id()
        await commit(far, append((stream, 0)))
        for version in range(1, 6):
            wire.cut_answers = 1
            (outcome,) = await commit(far, append((stream, version)))
            assert wire.cut_answers == 0, "the answer was not cut: the test tests nothing"
            assert isinstance(outcome, Receipt)
            assert (outcome.version, outcome.replayed, outcome.own) == (version + 1, False, False)
    assert [event.stream_version for event in await store.log.stream(stream)] == [1, 2, 3, 4, 5, 6]


async def test_what_was_decided_on_an_unknown_commit_is_decided_again(settings: Settings, wire: Wire) -> None:
    async with open_event_store(await behind(wire, settings), "test") as far:
        stream = new_id()
        await commit(far, append((stream, 0)))
        wire.cut_answers = 1
        first = append((stream, 1))
        second = append((stream, 2), depends_on=(first,))
        far.committer.submit(first)
        await asyncio.sleep(0)
        outcomes = await asyncio.gather(first.done, far.committer.submit(second))
        assert isinstance(outcomes[0], Receipt)
        assert [event.stream_version for event in await far.log.stream(stream)] in ([1, 2], [1, 2, 3])


async def test_a_store_that_is_gone_is_unavailable_and_comes_back(settings: Settings, wire: Wire) -> None:
    short = replace(await behind(wire, settings), append_deadline_ms=300)
    async with open_event_store(short, "test") as far:
        await commit(far, append((new_id(), 0)))
        wire.refuse = True
        wire.cut_answers = 1
        with pytest.raises(Unavailable, match="under the same id"):
            await commit(far, append((new_id(), 0)))
        wire.refuse = False
        (outcome,) = await commit(far, append((new_id(), 0)))
        assert isinstance(outcome, Receipt)


WRITER = """
import asyncio, os, sys
from msgspec.structs import replace
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.eventstore import open_event_store
from tests.store.test_append import append

async def main():
    settings = replace(Settings.from_env(), postgres_url=os.environ["TEST_POSTGRES_URL"])
    async with open_event_store(settings, "writer") as store:
        print("ready", flush=True)
        while True:
            await asyncio.gather(*[store.committer.submit(append((new_id(), 0))) for _ in range(50)])

asyncio.run(main())
"""


async def test_a_process_stopped_in_an_append_blocks_nobody(
    store: EventStore, settings: Settings, subprocess_env: dict[str, str]
) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRITER,
        env=subprocess_env | {"TEST_POSTGRES_URL": settings.postgres_url},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"ready\n"
        for _ in range(10):
            before = (await store.log.head()).position
            os.kill(writer.pid, signal.SIGSTOP)
            async with asyncio.timeout(5):
                for _ in range(20):
                    (outcome,) = await commit(store, append((new_id(), 0)))
                    assert isinstance(outcome, Receipt)
            os.kill(writer.pid, signal.SIGCONT)
            async with asyncio.timeout(10):
                while (await store.log.head()).position < before + 100:
                    await asyncio.sleep(0.01)
    finally:
        os.kill(writer.pid, signal.SIGCONT)
        writer.kill()
        await writer.wait()
    count = await store.pool.fetchval("select count(*) from events")
    assert count == (await store.log.head()).position
