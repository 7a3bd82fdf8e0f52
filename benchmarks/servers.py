"""HTTP servers for Python beside each other, under one small ASGI application: rate, CPU a request, and what they bound.

`python -m benchmarks.servers [--seconds S] [--rounds N]`, where granian and hypercorn are installed too:
they are no dependencies of taskflow. What came of it stands in ADR/0025.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

import uvicorn
import uvloop
from msgspec import Struct

from taskflow.api.problems import problem_of
from taskflow.api.process import _Server
from taskflow.api.protocol import BoundedConfig
from taskflow.settings import Settings

HOST: Final = "127.0.0.1"
CONNECTIONS: Final = 32
BOUND_S: Final = 4.0
"""What a server lets go on for longer than this counts as not bounded; each is told to bound what it can at 1 s."""
SLOW_S: Final = 0.5
MIB: Final = 1024 * 1024
GET: Final = (
    b"GET /api/v1/tasks/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\nAccept: */*\r\nX-Request-ID: 1\r\n\r\n"
)
POST: Final = (
    b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\nContent-Type: application/json\r\n"
    b"Content-Length: 13\r\n\r\n" + b'{"title":"x"}'
)
ANSWER: Final = b'{"id":"01890000-0000-7000-8000-000000000000","title":"' + b"x" * 600 + b'"}'
HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())] + [
    (f"x-header-{number}".encode(), b"a value") for number in range(10)
]
LARGE: Final = b"y" * (4 * MIB)


async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Reads the body and answers; `/slow` later, `/large` with much."""
    if scope["type"] != "http":
        return
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            await _refuse(scope, send)
            return
        if not message.get("more_body"):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(SLOW_S)
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(LARGE))]})
        await send({"type": "http.response.body", "body": LARGE})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


async def _refuse(scope: Any, send: Callable[[Any], Any]) -> None:
    """What taskflow's own application says where the connection found a fault."""
    fault = scope.get("state", {}).get("fault")
    if fault is not None:
        status = problem_of(fault).status
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


# --- the servers, each in a process of its own


def _uvicorn(port: int) -> None:
    uvicorn.run(
        app, host=HOST, port=port, access_log=False, log_level="error", timeout_keep_alive=1, server_header=False,
        timeout_graceful_shutdown=2, lifespan="off", loop="uvloop", http="httptools",
    )  # fmt: skip


def _bounded(port: int) -> None:
    settings = Settings(
        request_head_timeout_ms=1_000, request_body_timeout_ms=1_000, keep_alive_timeout_ms=1_000,
        request_body_bytes_per_s_min=10_000_000, response_stall_timeout_ms=1_000,
        response_bytes_per_s_min=100_000_000,
    )  # fmt: skip
    config = BoundedConfig(
        app, settings, connections_max=1_000, host=HOST, port=port, log_level="error", access_log=False,
        server_header=False, lifespan="off", timeout_graceful_shutdown=2, ws="none",
    )  # fmt: skip

    async def serve() -> None:
        server = _Server(config)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: setattr(server, "should_exit", True))
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1024)
        await server.serve(sockets=[listener])

    uvloop.run(serve())


def _granian(port: int) -> None:
    # No dependency of taskflow's: found at run time alone.
    granian, http = import_module("granian"), import_module("granian.http")
    granian.Granian(
        "benchmarks.servers:app", address=HOST, port=port, interface="asginl", workers=1, log_enabled=False,
        http="1", loop="uvloop", http1_settings=http.HTTP1Settings(header_read_timeout=1_000, max_buffer_size=32_768),
        workers_kill_timeout=2,
    ).serve()  # fmt: skip


def _hypercorn(port: int) -> None:
    hypercorn, configuration = import_module("hypercorn.asyncio"), import_module("hypercorn.config")
    config = configuration.Config()
    config.bind = [f"{HOST}:{port}"]
    config.loglevel = "ERROR"
    config.keep_alive_timeout, config.read_timeout, config.graceful_timeout = 1, 1, 2
    config.h11_max_incomplete_size = 32_768

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await hypercorn.serve(app, config, shutdown_trigger=stop.wait)

    uvloop.run(main())


SERVERS: Final[dict[str, Callable[[int], None]]] = {
    "uvicorn": _uvicorn,
    "uvicorn, bounded here": _bounded,
    "granian": _granian,
    "hypercorn": _hypercorn,
}


# --- what is measured


class Measured(Struct, frozen=True):
    gets_per_s: float
    get_cpu_ms: float
    posts_per_s: float
    post_cpu_ms: float


def family(pid: int) -> list[int]:
    """A process and those that it started."""
    found = [pid]
    with suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123 - not a path of ours
        for child in file.read().split():
            found += family(int(child))
    return found


def cpu_s(pid: int) -> float:
    total = 0
    for one in family(pid):
        with suppress(OSError), open(f"/proc/{one}/stat") as file:  # noqa: PTH123 - as above
            fields = file.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    total = 0
    for one in family(pid):
        with suppress(OSError), open(f"/proc/{one}/statm") as file:  # noqa: PTH123 - as above
            total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


@asynccontextmanager
async def running(name: str) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.servers", "--serve", name, "--port", str(port),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield port, process
    finally:
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def load(port: int, request: bytes, seconds: float) -> int:
    """A closed model: so many connections, each sending again once it was answered. How many answers there were."""
    until, answered = time.monotonic() + seconds, 0

    async def one() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection(HOST, port)
        while time.monotonic() < until:
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(ANSWER))
            answered += 1
        writer.close()

    await asyncio.gather(*[one() for _ in range(CONNECTIONS)])
    return answered


async def measure(name: str, seconds: float) -> Measured:
    async with running(name) as (port, process):
        await load(port, GET, 0.5)
        figures: list[float] = []
        for request in (GET, POST):
            before = cpu_s(process.pid)
            answered = await load(port, request, seconds)
            figures += [answered / seconds, (cpu_s(process.pid) - before) * 1000 / answered]
        return Measured(*figures)


async def ending(port: int, sent: bytes, *, reads: bool = True) -> str:
    """How a connection on which this was sent ends."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(sent)
        if not reads:
            transport: Any = writer.transport
            transport.pause_reading()
            await asyncio.sleep(BOUND_S)
            transport.resume_reading()
            got = 0
            async with asyncio.timeout(2):
                while part := await reader.read(MIB):
                    got += len(part)
            return "not bounded" if got >= 8 * len(LARGE) else "ended"
        async with asyncio.timeout(BOUND_S):
            begun = await reader.read(65_536)
            return f"{begun.split(b' ')[1].decode()}" if begun.startswith(b"HTTP/") else "closed"
    except TimeoutError:
        return "not bounded"
    except ConnectionError:
        return "reset"
    finally:
        writer.transport.abort()


async def flooded(port: int, process: asyncio.subprocess.Process) -> str:
    """A head of 40 MB: what it is answered, the longest wait of somebody else, and what it left in memory."""
    part = b"a" * (MIB // 16)
    before, longest, done = resident_bytes(process.pid), 0.0, asyncio.Event()

    async def others() -> None:
        nonlocal longest
        while not done.is_set():
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            longest = max(longest, time.monotonic() - began)

    beside = asyncio.create_task(others())
    reader, writer = await asyncio.open_connection(HOST, port)
    answer = "no answer"
    try:
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(20):
                writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
                for _ in range(40 * 16):
                    writer.write(part)
                    await writer.drain()
                writer.write(b"\r\n\r\n")
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                begun = await reader.read(65_536)
                answer = begun.split(b" ")[1].decode() if begun else "closed"
    finally:
        writer.transport.abort()
        done.set()
        await beside
    grown = max(0, resident_bytes(process.pid) - before) / MIB
    return f"{answer}, {longest * 1000:.0f} ms, {grown:.0f} MiB"


async def stopped() -> dict[str, str]:
    """SIGTERM with a request under way: whether it is answered, and when the process ends."""
    found = {}
    for name in SERVERS:
        async with running(name) as (port, process):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(SLOW_S / 3)
            began = time.monotonic()
            process.terminate()
            try:
                answer = "answered" if (await reader.read(65_536)).startswith(b"HTTP/1.1 200") else "cut off"
            except ConnectionError:
                answer = "cut off"
            writer.transport.abort()
            try:
                async with asyncio.timeout(8):
                    await process.wait()
                found[name] = f"{answer}, {time.monotonic() - began:.1f} s"
            except TimeoutError:
                found[name] = f"{answer}, not ended in 8 s"
    return found


async def main(*, seconds: float, rounds: int) -> None:
    figures: dict[str, list[Measured]] = {name: [] for name in SERVERS}
    for _ in range(rounds):
        for name, taken in figures.items():
            taken.append(await measure(name, seconds))
    print("| server | gets/s | CPU ms | creates/s | CPU ms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, taken in figures.items():
        middle = [statistics.median(getattr(one, field) for one in taken) for field in Measured.__struct_fields__]
        print(f"| {name} | {middle[0]:,.0f} | {middle[1]:.3f} | {middle[2]:,.0f} | {middle[3]:.3f} |")
    stops = await stopped()
    print(
        "\n| server | 40 MB head: answer, others' longest wait, memory | 1,000 fields | half a head | half a body "
        "| silent | idle after an answer | answers not read | SIGTERM |\n" + "| --- " * 9 + "|"
    )
    for name in SERVERS:
        async with running(name) as (port, process):
            cells = [
                await flooded(port, process),
                await ending(port, GET[:-2] + b"".join(b"A%d: b\r\n" % n for n in range(1_000)) + b"\r\n"),
                await ending(port, GET[:-2]),
                await ending(port, POST[:-2]),
                await ending(port, b""),
                await idle(port),
                await ending(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 8, reads=False),
                stops[name],
            ]
            print(f"| {name} | {' | '.join(cells)} |")
    packages = ("uvicorn", "httptools", "uvloop", "granian", "hypercorn", "h11")
    print(f"\n{', '.join(f'{one} {version(one)}' for one in packages)}; Python {sys.version.split()[0]}")


async def idle(port: int) -> str:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(GET)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(len(ANSWER))
    try:
        async with asyncio.timeout(BOUND_S):
            return "closed" if await reader.read(1) == b"" else "something"
    except TimeoutError:
        return "not bounded"
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.servers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        SERVERS[given.serve](given.port)
    else:
        asyncio.run(main(seconds=given.seconds, rounds=given.rounds))
