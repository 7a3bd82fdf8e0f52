"""Requests that want to cost much, or to be two things at once: each is answered where it can be, and nobody waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from tests.api.raw import BOUND_S, RawAnswer, ask, connection, get
from tests.api.stack import Caller, Process, Stack, client, register, until
from tests.api.test_middleware import HEADERS

MIB = 1024 * 1024
PATH = "/api/v1/tasks"
GROWTH_MAX = 24 * MIB


class Strict:
    """An API process with short bounds."""

    def __init__(self, process: Process, url: str) -> None:
        self.process = process
        self.url = url

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096


@pytest.fixture(scope="module")
def strict_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        request_head_timeout_ms=700,
        request_body_timeout_ms=700,
        request_body_bytes_per_s_min=1_000_000,
        response_stall_timeout_ms=700,
        response_bytes_per_s_min=100_000_000,
        keep_alive_timeout_ms=700,
        connections_max=40,
        sse_connections_max=20,
    )
    process = Process(settings, tmp_path_factory.mktemp("strict") / "api.log", "api")
    yield Strict(process, f"http://127.0.0.1:{settings.api_port}")
    process.end()


@pytest.fixture
async def strict(strict_process: Strict) -> AsyncIterator[Strict]:
    async with client(strict_process.url) as http:

        async def ready() -> bool:
            assert strict_process.process.alive, strict_process.process.log.read_text()
            try:
                return (await http.get("/livez")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "the process answers")
    yield strict_process
    assert (await ask(strict_process.url, get("/livez"))) is not None, "it still answers others"


def fields(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % number for number in range(count))


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return (
        b"POST "
        + PATH.encode()
        + b" HTTP/1.1\r\nHost: x\r\n"
        + b"".join(line + b"\r\n" for line in lines)
        + b"\r\n"
        + body
    )


CHUNKED = b"Transfer-Encoding: chunked"
NO_HTTP = {
    "nothing of the kind": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "lines alone": b"hello\r\n\r\n",
    "no version": b"GET /livez\r\n\r\n",
    "version 0.9": b"GET /livez HTTP/0.9\r\nHost: x\r\n\r\n",
    "version 2": b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n",
    "version 9": b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"GET /livez FTP/1.1\r\nHost: x\r\n\r\n",
    "a method of its own": b"FOO /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a host of two lines": b"GET /livez HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "line feeds alone": b"GET /livez HTTP/1.1\nHost: x\n\n",
    "a blank before the colon": b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n",
    "a field without a name": b"GET /livez HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "a field without a colon": b"GET /livez HTTP/1.1\r\nHost: x\r\nabc\r\n\r\n",
    "a NUL": b"GET /livez HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
    "raw bytes in the path": b"GET /liv\xffz HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw bytes in the query": b"GET /api/v1/tasks?\xff=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a length with a sign": post(b"Content-Length: +2", body=b"{}"),
    "a length below nothing": post(b"Content-Length: -2", body=b"{}"),
    "a length in another base": post(b"Content-Length: 0x2", body=b"{}"),
    "a length of two numbers": post(b"Content-Length: 2, 2", body=b"{}"),
    "an empty length": post(b"Content-Length: ", body=b"{}"),
    "a length past any": post(b"Content-Length: 99999999999999999999999", body=b"{}"),
    "two lengths": post(b"Content-Length: 2", b"Content-Length: 3", body=b"{}"),
    "a length and chunks": post(b"Content-Length: 2", CHUNKED, body=b"0\r\n\r\n"),
    "chunks and a length": post(CHUNKED, b"Content-Length: 2", body=b"0\r\n\r\n"),
    "another transfer coding": post(b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "a coding behind chunks": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "a coding like chunks": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "another coding before chunks": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "another coding in a field before": post(b"Transfer-Encoding: identity", CHUNKED, body=b"0\r\n\r\n"),
    "no coding before chunks": post(b"Transfer-Encoding: , chunked", body=b"0\r\n\r\n"),
    "chunks twice": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunks in two fields": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": b"POST /api/v1/tasks HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"\r\n\r\n0\r\n\r\n",
    "a chunk without a size": post(CHUNKED, body=b"zz\r\n\r\n"),
    "a chunk below nothing": post(CHUNKED, body=b"-1\r\nx\r\n"),
    "a chunk past any": post(CHUNKED, body=b"fffffffffffffffffff\r\n"),
    "a chunk longer than it says": post(CHUNKED, body=b"2\r\nabcd\r\n0\r\n\r\n"),
    "an upgrade with a body": post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 2", body=b"{}"),
}


@pytest.mark.parametrize("kind", list(NO_HTTP))
async def test_what_is_no_request_is_400_and_ends_the_connection(strict: Strict, kind: str) -> None:
    async with connection(strict.url) as one:
        await one.send(NO_HTTP[kind])
        answer = await one.answer()
        assert answer is not None
        assert answer.status in ({400} if kind != "raw bytes in the path" else {400, 404}), answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers.keys() >= HEADERS
        if kind not in {"two hosts", "raw bytes in the path", "raw bytes in the query"}:
            assert answer.headers["connection"] == "close"
            assert await one.is_closed()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /api/v1/tasks#x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://x?a HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://user@x:1/livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /livez?%zz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
        (b"TRACE /livez HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"PROPFIND /livez HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200),
        (b"GET " + b"/a" * 5_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    ],
)
async def test_what_is_unusual_is_answered(strict: Strict, raw: bytes, status: int) -> None:
    answer = await ask(strict.url, raw)
    assert answer is not None
    assert (answer.status, answer.headers.keys() >= HEADERS) == (status, True)


class TestHeads:
    @pytest.mark.parametrize(
        "raw",
        [
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /livez?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: x\r\n" + fields(200) + b"\r\n",
            b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40_000 + b"\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a" * 40_000 + b": a\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: %b\r\n" % (n, b"a" * 1_000) for n in range(40)),
        ],
        ids=["path", "query", "fields", "value", "name", "many long fields"],
    )
    async def test_too_large_is_431(self, strict: Strict, raw: bytes) -> None:
        async with connection(strict.url) as one:
            await one.send(raw)
            answer = await one.answer()
            assert answer is not None
            answer.problem(431, "headers-too-large")
            assert answer.headers.keys() >= HEADERS
            assert await one.is_closed()

    async def test_up_to_the_bounds_they_are_read(self, strict: Strict) -> None:
        long = b"A: " + b"a" * 16_000 + b"\r\n"
        for raw in (
            b"GET /livez?" + b"a" * 16_000 + b" HTTP/1.1\r\nHost: x\r\n" + long + b"\r\n",
            b"GET /livez HTTP/1.1\r\nHost: x\r\n" + fields(99) + b"\r\n",
        ):
            answer = await ask(strict.url, raw)
            assert answer is not None
            assert answer.status == 200, answer

    async def test_forty_megabytes_are_not_kept_and_hold_nobody_up(self, strict: Strict) -> None:
        before = strict.resident_bytes()
        async with connection(strict.url) as one, client(strict.url) as http:
            sending = asyncio.create_task(
                one.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: mine\r\nA: " + b"a" * (40 * MIB))
            )
            others = 0
            while not sending.done():
                assert (await http.get("/livez")).status_code == 200
                others += 1
            answer = await one.answer()
            assert answer is not None
            answer.problem(431, "headers-too-large")
            assert answer.headers["x-request-id"] == "mine"
            assert others
        assert strict.resident_bytes() - before < GROWTH_MAX

    async def test_that_stop_half_way_are_408(self, strict: Strict) -> None:
        for raw in (b"G", b"GET /livez", b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b", get("/livez")[:-2]):
            answer = await ask(strict.url, raw)
            assert answer is not None
            answer.problem(408, "validation")
            assert answer.headers.keys() >= HEADERS

    async def test_that_come_byte_by_byte_are_408(self, strict: Strict) -> None:
        async with connection(strict.url) as one:

            async def drip() -> None:
                for byte in get("/livez", "A: " + "a" * 8_000):
                    await one.send(bytes([byte]))
                    await asyncio.sleep(0.01)

            dripping = asyncio.create_task(drip())
            answer = await one.answer()
            dripping.cancel()
            assert answer is not None
            answer.problem(408, "validation")

    @pytest.mark.parametrize("raw", [b"", b"\r\n", b"\r\n\r\n\r\n"])
    async def test_a_silent_connection_ends(self, strict: Strict, raw: bytes) -> None:
        async with connection(strict.url) as one:
            await one.send(raw)
            assert await one.answer() is None

    async def test_an_idle_connection_ends_after_its_answer(self, strict: Strict) -> None:
        async with connection(strict.url) as one:
            await one.send(get("/livez"))
            assert await one.answer() is not None
            assert await one.is_closed()


class TestBodies:
    @pytest.mark.parametrize(
        "begun",
        [
            post(b"Content-Length: 100"),
            post(b"Content-Length: 100", body=b"{"),
            post(CHUNKED),
            post(CHUNKED, body=b"5\r\nab"),
            post(CHUNKED, body=b"2\r\n{}\r\n0\r\nA: b"),
        ],
    )
    async def test_that_stop_half_way_are_408(self, strict: Strict, begun: bytes) -> None:
        async with connection(strict.url) as one:
            await one.send(begun)
            answer = await one.answer()
            assert answer is not None
            answer.problem(408, "validation")
            assert answer.headers.keys() >= HEADERS
            assert await one.is_closed()

    async def test_between_whose_chunks_too_much_stands_are_413(self, strict: Strict) -> None:
        for body in (
            b"1;" + b"a" * MIB,
            b"1;a\r\nx\r\n" * (MIB // 8),
            b"1\r\nx\r\n" * (MIB // 8),
            b"0\r\n" + b"".join(b"A%d: b\r\n" % number for number in range(50_000)),
        ):
            answer = await ask(strict.url, post(CHUNKED, body=body))
            assert answer is not None
            answer.problem(413, "payload-too-large")

    async def test_trailers_say_nothing(self, strict: Strict, ada: Caller) -> None:
        trailers = f"0\r\nAuthorization: Bearer {ada.token}\r\nIf-Match: x\r\nX-Request-ID: theirs\r\n\r\n".encode()
        answer = await ask(
            strict.url, post(CHUNKED, b"Content-Type: application/json", body=b'D\r\n{"title":"x"}\r\n' + trailers)
        )
        assert answer is not None
        answer.problem(401, "unauthenticated")
        assert answer.headers["x-request-id"] != "theirs"

    async def test_that_are_too_long_by_their_length_are_not_waited_for(self, strict: Strict) -> None:
        for lines in ((b"Content-Length: 9000000",), (b"Content-Length: 2000000", b"Expect: 100-continue")):
            async with connection(strict.url) as one:
                await one.send(post(*lines))
                answer = await one.answer()
                assert answer is not None
                answer.problem(413, "payload-too-large")
                assert answer.headers["connection"] == "close"

    async def test_that_are_not_asked_for_end_the_connection(self, strict: Strict) -> None:
        """The gate refuses: whether the body still comes is not known."""
        async with connection(strict.url) as one:
            await one.send(post(b"Content-Length: 5", b"Expect: 100-continue", b"Authorization: Bearer x"))
            answer = await one.answer()
            assert answer is not None
            answer.problem(401, "unauthenticated")
            assert answer.headers["connection"] == "close"

    async def test_behind_a_refusal_are_read_and_the_connection_goes_on(self, strict: Strict) -> None:
        async with connection(strict.url) as one:
            await one.send(post(b"Content-Length: 200000", b"Authorization: Bearer x"))
            answer = await one.answer()
            assert answer is not None
            answer.problem(401, "unauthenticated")
            await one.send(b"a" * 200_000 + get("/livez"))
            answer = await one.answer()
            assert answer is not None
            assert answer.status == 200

    async def test_a_client_that_closes_its_side_is_answered(self, strict: Strict) -> None:
        for raw, status in (
            (get("/livez"), 200),
            (get("/livez")[:-2], 400),
            (post(b"Content-Length: 9", body=b"{"), 400),
        ):
            async with connection(strict.url) as one:
                await one.send(raw)
                one.writer.write_eof()
                answer = await one.answer()
                assert answer is not None
                assert answer.status == status
                assert answer.headers.keys() >= HEADERS
                assert await one.is_closed()


class TestManyAtOnce:
    async def test_requests_in_a_row_are_each_answered_in_order(self, strict: Strict) -> None:
        async with connection(strict.url) as one:
            sending = asyncio.create_task(one.send(b"".join(get("/livez", f"X-Request-ID: {n}") for n in range(3_000))))
            for number in range(3_000):
                answer = await one.answer()
                assert answer is not None
                assert answer.headers["x-request-id"] == str(number)
            await sending

    async def test_a_fault_behind_requests_is_answered_behind_them(self, strict: Strict) -> None:
        async with connection(strict.url) as one:
            await one.send(get("/livez") * 3 + b"nonsense\r\n\r\n" + get("/livez"))
            answers = [await one.answer() for _ in range(4)]
            assert [None if one is None else one.status for one in answers] == [200, 200, 200, 400]
            assert await one.is_closed()

    async def test_an_upgrade_is_not_made_and_the_next_request_is(self, strict: Strict) -> None:
        async with connection(strict.url) as one:
            await one.send(get("/livez", "Connection: upgrade", "Upgrade: websocket") + get("/nope"))
            answers = [await one.answer() for _ in range(2)]
            assert [None if one is None else one.status for one in answers] == [200, 404]

    async def test_who_never_reads_is_let_go(self, strict: Strict) -> None:
        """Its answers would be many megabytes."""
        before = strict.resident_bytes()
        async with AsyncExitStack() as stack:
            for _ in range(20):
                one = await stack.enter_async_context(connection(strict.url))
                transport: Any = one.writer.transport
                transport.pause_reading()
                asking = asyncio.create_task(one.send(get("/openapi.json") * 200))
                stack.callback(asking.cancel)

            await until(lambda: fewer(strict.url, 5), "they are let go")
        assert strict.resident_bytes() - before < GROWTH_MAX

    async def test_nothing_is_kept_for_who_reads_a_byte_now_and_then(self, strict: Strict) -> None:
        """Neither here nor by the kernel, which would go on sending what it has."""
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            parts = urlsplit(strict.url)
            one.connect((parts.hostname, parts.port))
            one.settimeout(BOUND_S)
            await asyncio.to_thread(one.sendall, get("/openapi.json") * 200)
            others = await connections(strict.url)
            await until(lambda: fewer(strict.url, others), "it is let go")
            with pytest.raises(ConnectionResetError):
                while await asyncio.to_thread(one.recv, MIB):
                    pass

    async def test_who_leaves_is_missed_although_another_request_waits(
        self, strict: Strict, http: httpx.AsyncClient
    ) -> None:
        ada = await register(http, "Ada")
        async with connection(strict.url) as one:
            await one.send(get("/api/v1/stream", f"Authorization: Bearer {ada.token}") + get("/livez"))
            await until(lambda: streams(strict.url, 1), "the stream has begun")

        await until(lambda: streams(strict.url, 0), "the stream has ended")
        assert "Exception in ASGI application" not in strict.process.log.read_text()

    async def test_more_connections_than_may_be_end_those_that_wait(
        self, strict: Strict, http: httpx.AsyncClient
    ) -> None:
        ada = await register(http, "Ada")
        async with AsyncExitStack() as stack:
            streams = []
            for _ in range(10):
                one = await stack.enter_async_context(connection(strict.url))
                await one.send(get("/api/v1/stream", f"Authorization: Bearer {ada.token}"))
                streams.append(one)
            for _ in range(100):
                one = await stack.enter_async_context(connection(strict.url))
                await one.send(b"GET /livez HT")
            answer = await ask(strict.url, get("/livez"))
            assert answer is not None
            assert answer.status == 200
            assert await connections(strict.url) <= 41


async def gauge(url: str, name: str) -> int:
    answer: RawAnswer | None = await ask(url, get("/metrics"))
    assert answer is not None
    [line] = [line for line in answer.body.decode().splitlines() if line.startswith(f"{name} ")]
    return int(float(line.split()[1]))


async def connections(url: str) -> int:
    return await gauge(url, "taskflow_http_connections")


async def streams(url: str, count: int) -> bool:
    return await gauge(url, "taskflow_streams") == count


async def fewer(url: str, than: int) -> bool:
    return await connections(url) < than
