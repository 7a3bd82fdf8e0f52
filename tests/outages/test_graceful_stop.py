"""Told to stop while clients write: every process ends soon, in order, and no request fails behind a second one."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.api.stack import Caller, accepted, register, until
from tests.outages.balanced import Balanced
from tests.outages.deployment import Deployment, Observer, unavailable

CLIENTS = 6
END_S = 5.0
"""Two seconds are what is promised; on a machine that does more beside, this bound tells a fault from a wait."""
CALM = 20
CUT_SHORT = "the process exits before it could close"


@asynccontextmanager
async def load(deployment: Deployment, token: str) -> AsyncIterator[list[Balanced]]:
    """Clients that write and read from before until after; none of their requests may fail."""
    clients = [Balanced(deployment.urls, token, number) for number in range(CLIENTS)]
    stop = asyncio.Event()
    running = [asyncio.create_task(client.run(stop)) for client in clients]
    try:
        await answered(clients, 5)
        yield clients
    finally:
        stop.set()
        await asyncio.gather(*running)
    assert [failure for client in clients for failure in client.failures] == []


async def calm(caller: Caller) -> None:
    """Returns when views follow writes at once, for longer than a consumer takes to notice that its group was
    lost with a broker: a read that waits longer than a stopping process lives is told to come again."""
    in_a_row = 0

    async def follows() -> bool:
        nonlocal in_a_row
        task = await caller.task("calm?")
        read = await caller.get(f"/tasks/{task['id']}?min_position={task['position']}&wait_ms=400")
        in_a_row = in_a_row + 1 if read.status_code == 200 else 0
        await asyncio.sleep(0.2)
        return in_a_row >= CALM

    await until(follows, "views follow writes at once")


async def answered(clients: list[Balanced], count: int) -> None:
    """Waits until each client was answered so many times more."""
    before = [client.answered.total() for client in clients]

    async def enough() -> bool:
        return all(client.answered.total() >= was + count for client, was in zip(clients, before, strict=True))

    await until(enough, "every client is answered")


async def stopped(deployment: Deployment, name: str) -> str:
    """Tells a process to stop, which it does in time and with 0; what it wrote meanwhile."""
    process = deployment.running[name]
    before = len(process.log.read_bytes())
    began = time.monotonic()
    process.send(signal.SIGTERM)
    code = await asyncio.to_thread(process.wait)
    took = time.monotonic() - began
    said = process.log.read_bytes()[before:].decode()
    assert code == 0, said
    assert took < END_S, said
    print(f"{name} stopped in {took:.2f} s")  # noqa: T201 - the figure that is reported
    return said


async def started(deployment: Deployment, name: str) -> None:
    """Starts a worker again; returns when it works, which others may do in its place before."""
    before = len(deployment.running[name].log.read_bytes())
    deployment.start(name)

    async def works() -> bool:
        return len(deployment.running[name].log.read_bytes()) > before

    await until(works, f"{name} says that it works")


async def test_each_api_process_is_restarted_in_turn_and_no_request_fails(
    deployment: Deployment,
    http: httpx.AsyncClient,
    other_http: httpx.AsyncClient,
    ada: Caller,
    request: pytest.FixtureRequest,
) -> None:
    turns: int = request.config.getoption("--api-restarts")
    await calm(ada)
    async with load(deployment, ada.token) as clients:
        for name, client in [("api", http), ("other api", other_http)] * turns:
            await stopped(deployment, name)
            await answered(clients, 3)
            deployment.start(name)
            await until(Observer(client).ready, "it is ready again")
            await answered(clients, 3)
    written = [task for client in clients for task in client.written]
    position = max(task["position"] for task in written)
    for task in written:
        accepted(await ada.read(f"/tasks/{task['id']}", position))
    assert all(len(client.answered) == len(deployment.urls) for client in clients), "both processes were asked"


@pytest.mark.parametrize("name", ["relay", "projector", "worker"])
async def test_a_worker_ends_in_order_and_the_next_goes_on(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller, name: str
) -> None:
    async with load(deployment, ada.token) as clients:
        for _ in range(2):
            assert CUT_SHORT not in await stopped(deployment, name)
            await started(deployment, name)
            await operator.until_healthy()
            await answered(clients, 3)


async def test_every_process_ends_though_every_server_hangs(
    deployment: Deployment, http: httpx.AsyncClient, ada: Caller
) -> None:
    async with AsyncExitStack() as stack:
        for server in ("postgres", "kafka", "mongodb", "valkey"):
            await stack.enter_async_context(deployment.without(server, "frozen"))
        under_way = [
            asyncio.create_task(work) for work in (ada.post("/tasks", {"title": "too late"}), ada.get("/tasks"))
        ]
        assert await Observer(http).alive()  # it was taken after these two
        await asyncio.gather(*[stopped(deployment, name) for name in deployment.running])
        for answer in await asyncio.gather(*under_way):
            unavailable(answer)


async def test_a_process_that_stops_says_so_and_answers_what_is_under_way(
    deployment: Deployment, other_http: httpx.AsyncClient, ada: Caller
) -> None:
    port = deployment.ports[0]
    slow, idle = socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port))
    body = b'{"title": "begun before"}'
    head = (
        f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"connection: close" not in await asyncio.to_thread(alive, idle)
    slow.sendall(head)
    process = deployment.running["api"]
    process.send(signal.SIGTERM)
    readiness = await until_not_ready(deployment.urls[0])
    assert readiness.headers["connection"] == "close"
    assert readiness.json()["status"] == "not ready"
    # A connection that was kept, and is used before the door closes: its answer is its last.
    idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    last = await asyncio.to_thread(alive, idle)
    assert last.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in last
    slow.sendall(body)
    assert (await asyncio.to_thread(slow.recv, 65536)).startswith(b"HTTP/1.1 201")
    assert await asyncio.to_thread(process.wait) == 0
    for connection in (slow, idle):
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    deployment.start("api")
    grace = await register(other_http, "Grace")
    await grace.task("the other went on")


def alive(connection: socket.socket) -> bytes:
    """The whole answer of `/livez`: the headers may come before the body."""
    answer = b""
    while not answer.endswith(b'{"status":"alive"}'):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    return answer


async def until_not_ready(url: str) -> httpx.Response:
    """The first answer of `/readyz` that refuses."""
    async with httpx.AsyncClient(base_url=url) as client:
        while (response := await client.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.005)
        return response
