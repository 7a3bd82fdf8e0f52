"""What one caller has running at once is bounded, also where rates are not, and everybody else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from tests.api.stack import Caller, Process, Stack, accepted, client, refused, until

MANY = 30
AT = "2090-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def narrow_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A process with few slots and no rates; its URL."""
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        rate_limits="off",
        waits_per_caller_max=2,
        exports_per_caller_max=2,
        batches_per_caller_max=2,
        syncs_per_caller_max=2,
        historical_boards_per_caller_max=2,
        calendars_per_caller_max=2,
    )
    process = Process(settings, tmp_path_factory.mktemp("narrow") / "api.log", "api")
    yield f"http://127.0.0.1:{settings.api_port}"
    process.end()


@pytest.fixture
async def narrow(narrow_process: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(narrow_process) as http:
        await answers(http)
        yield http


async def answers(http: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(ready, "the process is ready")


@pytest.fixture
def mine(narrow: httpx.AsyncClient, ada: Caller) -> Caller:
    """Ada at the narrow process."""
    return Caller(narrow, ada.id, ada.name, ada.token)


@pytest.fixture
def his(narrow: httpx.AsyncClient, bob: Caller) -> Caller:
    return Caller(narrow, bob.id, bob.name, bob.token)


Ask = Callable[[Caller], Coroutine[Any, Any, httpx.Response]]


async def batch(who: Caller) -> httpx.Response:
    commands = [{"id": str(uuid4()), "type": "CreateTask", "data": {"title": "T"}} for _ in range(5)]
    return await who.post("/commands/batch", {"commands": commands})


async def past_board(who: Caller) -> httpx.Response:
    project = accepted(await who.get("/projects"))["items"][0]["id"]
    return await who.get(f"/projects/{project}/board", params={"at": AT})


async def events(who: Caller) -> httpx.Response:
    return await who.get("/events", headers={"Accept": "application/x-ndjson"})


async def event_rows(who: Caller) -> httpx.Response:
    return await who.get("/events", headers={"Accept": "text/csv"})


async def sync(who: Caller) -> httpx.Response:
    return await who.get("/sync")


async def project_file(who: Caller) -> httpx.Response:
    project = accepted(await who.get("/projects"))["items"][0]["id"]
    return await who.get(f"/projects/{project}/export")


@pytest.mark.parametrize("ask", [batch, past_board, events, event_rows, project_file, sync])
async def test_one_more_than_a_caller_may_have_is_refused_and_others_go_on(mine: Caller, his: Caller, ask: Ask) -> None:
    await mine.task("what there is to read")
    asked = [asyncio.create_task(ask(mine)) for _ in range(MANY)]
    other = await ask(his)
    answers = [await one for one in asked]
    assert other.status_code == 200, other.text
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 429, "too-many-at-once")
            assert int(answer.headers["retry-after"]) >= 1
    # Each slot came back.
    for _ in range(3):
        assert (await ask(mine)).status_code == 200


async def test_calendars_count_by_network(mine: Caller) -> None:
    secret = accepted(await mine.post("/users/me/calendar"), 201)["secret"]
    answers = await asyncio.gather(*[mine.http.get(f"/api/v1/calendar/{secret}.ics") for _ in range(MANY)])
    assert {answer.status_code for answer in answers} == {200, 429}
    refused(next(answer for answer in answers if answer.status_code == 429), 429, "too-many-at-once")
    assert (await mine.http.get(f"/api/v1/calendar/{secret}.ics")).status_code == 200


async def test_reads_that_wait(mine: Caller, his: Caller, stack: Stack) -> None:
    task = await mine.task("seen", assignee_id=mine.id)
    accepted(await mine.read(f"/tasks/{task['id']}", task["position"]))
    stack.projector.pause()
    try:
        position = (await mine.task("not seen yet"))["position"]
        later = (await his.task("nor is this"))["position"]
        waiting = [asyncio.create_task(mine.read("/tasks", position)) for _ in range(MANY)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            refused(await one, 429, "too-many-at-once")
        theirs = asyncio.create_task(his.read("/tasks", later))
        # What does not wait is not counted.
        accepted(await mine.get("/tasks"))
    finally:
        stack.projector.resume()
    accepted(await theirs)
    statuses = [(await one).status_code for one in waiting]
    assert statuses.count(200) == 2
    assert set(statuses) == {200, 429}


async def test_sign_ins_of_one_network_leave_room_for_others(stack: Stack, tmp_path: Path) -> None:
    """Passwords wait in a short queue: what is too much of one network is shed, and counts as no wrong guess."""
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        trusted_proxies=1,
        rate_limits="on",
        anonymous_requests_max=1_000,
        login_attempts_max=1_000,
        login_failures_max=1_000,
        login_account_failures_max=1_000,
        argon2_memory_kib=19_456,
        argon2_time_cost=2,
        argon2_parallel_max=1,
        argon2_queue_max=4,
        argon2_wait_max_ms=60_000,
        limits_timeout_ms=5_000,
    )
    process = Process(settings, tmp_path / "api.log", "api")
    try:
        async with client(f"http://127.0.0.1:{settings.api_port}") as http:
            await answers(http)
            email = f"{uuid4().hex}@example.com"
            body = {"email": email, "password": "correct horse battery"}
            accepted(await http.post("/api/v1/auth/register", json=body | {"name": "Ada"}), 201)

            async def login(password: str, network: str) -> httpx.Response:
                headers = {"X-Forwarded-For": network}
                return await http.post("/api/v1/auth/login", json=body | {"password": password}, headers=headers)

            flood = [asyncio.create_task(login("a wrong one", "10.1.1.1")) for _ in range(60)]
            done, _ = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
            assert (await login(body["password"], "10.2.2.2")).status_code == 200
            shed = [answer for answer in [await one for one in flood] if answer.status_code != 401]
            assert shed
            assert done
            for answer in shed:
                refused(answer, 429, "too-many-at-once")
                assert int(answer.headers["retry-after"]) >= 1
    finally:
        process.end()
