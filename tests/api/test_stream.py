"""Whoever listens hears everything that is theirs, in order and once, in whichever process; nobody leaves anything
behind."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec.structs import replace

from taskflow.api.tokens import Tokens
from taskflow.local.program import unused_port
from tests.api.listening import Heard, bare, listening
from tests.api.stack import Caller, Process, Stack, accepted, client, refused, register, until

PER_USER_MAX = 20
"""Of what one user may have open, by default."""
SECONDS_MAX = 5.0
"""A process that is told to stop is gone in two; on a machine that does more beside, this bound tells a fault from a
wait."""


def positions(heard: list[Heard]) -> list[int]:
    return [one.id for one in heard]


async def gauge(http: httpx.AsyncClient, name: str) -> int:
    """A number of /metrics."""
    text = (await http.get("/metrics")).text
    return int(float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1]))


@pytest.fixture
async def there(ada: Caller, other_http: httpx.AsyncClient) -> Caller:
    """Ada at the other process."""
    return Caller(other_http, ada.id, ada.name, ada.token)


def started(stack: Stack, folder: Path, **changes: Any) -> tuple[Process, str]:
    port = unused_port()
    process = Process(replace(stack.settings, api_port=port, **changes), folder / f"api-{port}.log", "api")
    return process, f"http://127.0.0.1:{port}"


async def answers(url: str) -> None:
    async def ready() -> bool:
        try:
            async with client(url) as http:
                return (await http.get("/livez")).status_code == 200
        except httpx.TransportError:
            return False

    await until(ready, "the process answers")


@pytest.fixture(scope="module")
def small_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One with little room and little patience; its URL."""
    process, url = started(
        stack, tmp_path_factory.mktemp("small"), sse_connections_max=4, sse_connections_per_user_max=2, rate_limits="on",
        stream_heartbeat_ms=100, stream_buffer_bytes_max=100_000, access_token_ttl_s=3,
    )  # fmt: skip
    yield url
    process.end()


@pytest.fixture
async def small(small_process: str) -> AsyncIterator[httpx.AsyncClient]:
    await answers(small_process)
    async with client(small_process) as http:
        yield http


# --- what is heard


async def test_members_hear_what_happens_from_now_on(ada: Caller, bob: Caller, there: Caller) -> None:
    project, other = (await ada.project())["id"], (await ada.project())["id"]
    await ada.add(project, bob, "viewer")
    async with listening(there) as mine, listening(bob) as his, listening(ada, project=other) as one:
        # Wherever it was written, whatever process it is heard in.
        first = await ada.task("Ein Bär 🐻\nin two lines", project_id=project)
        second = await ada.task("private", project_id=other)
        third = accepted(await there.patch(f"/tasks/{first['id']}", {"title": "renamed"}))
        renamed = accepted(await ada.patch(f"/projects/{other}", {"name": "other"}))
        heard = await mine.next(4)
        assert positions(heard) == [one["position"] for one in (first, second, third, renamed)]
        assert [one.type for one in heard] == ["TaskCreated", "TaskCreated", "TaskRetitled", "ProjectRenamed"]
        assert heard[0].data["data"]["title"] == "Ein Bär 🐻\nin two lines"
        assert heard[0].data["actor"] == ada.id
        # The envelope is the one of /events.
        listed = accepted(await ada.get(f"/tasks/{first['id']}/events"))["items"]
        assert [heard[0].data, heard[2].data] == listed
        assert positions(await his.next(2)) == [first["position"], third["position"]]
        assert positions(await one.next(2)) == [second["position"], renamed["position"]]


async def test_a_stream_resumes_anywhere_without_a_gap_or_a_repeat(
    ada: Caller, there: Caller, http: httpx.AsyncClient
) -> None:
    project = (await ada.project())["id"]
    task = await ada.task("0", project_id=project)
    began, count = task["position"], 150

    async def write() -> list[int]:
        written = []
        for number in range(1, count + 1):
            writer = (ada, there)[number % 2]
            written.append(accepted(await writer.patch(f"/tasks/{task['id']}", {"title": f"{number}"}))["position"])
        return written

    writing = asyncio.create_task(write())
    heard: list[int] = []
    for turn in range(1000):
        last = heard[-1] if heard else began
        async with listening((ada, there)[turn % 2], last=last, project=project) as stream:
            heard += positions(await stream.next(min(1 + turn % 7, count - len(heard))))
        if len(heard) == count:
            break
    assert heard == await writing
    # And long after, in one go.
    async with listening(there, last=began) as stream:
        assert positions(await stream.next(count)) == heard


async def test_what_was_missed_is_judged_by_todays_roles(ada: Caller, bob: Caller) -> None:
    project, secret = (await ada.project())["id"], (await ada.project())["id"]
    shown, moved, _ = [
        await ada.task(title, project_id=where)
        for title, where in (("shown", project), ("moved", project), ("hidden", secret))
    ]
    began = shown["position"] - 1
    accepted(await ada.post(f"/tasks/{moved['id']}/move", {"project_id": secret}))
    await ada.add(project, bob, "viewer")
    last = await ada.task("last", project_id=project)
    async with listening(bob, last=began) as stream:
        heard = await stream.next(5)
    assert [one.data["stream_id"] for one in heard] == [shown["id"], *[project] * 3, last["id"]]


async def test_without_a_token_or_a_project_of_ones_own_there_is_no_stream(
    ada: Caller, bob: Caller, http: httpx.AsyncClient
) -> None:
    project = (await ada.project())["id"]
    refused(await http.get("/api/v1/stream"), 401, "unauthenticated")
    refused(await bob.get("/stream", params={"project": project}), 404, "not-found")
    refused(await bob.get("/stream", params={"project": "none"}), 400, "validation")
    refused(await bob.get("/stream", params={"projects": project}), 400, "validation")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "\xb2", "1" * 30, str(2**62)])
async def test_an_id_that_no_event_has_is_400(ada: Caller, last: str) -> None:
    response = await ada.get("/stream", headers={"Last-Event-ID": last.encode("latin-1")})
    problem = refused(response, 400, "validation")
    assert problem["errors"][0]["pointer"] == "Last-Event-ID"


async def test_asking_for_the_head_alone_ends(ada: Caller) -> None:
    response = await ada.call("HEAD", "/stream")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"


# --- how it ends


async def test_a_stream_ends_with_its_session(ada: Caller, there: Caller) -> None:
    async with listening(ada) as here, listening(there) as elsewhere:
        assert (await ada.post("/auth/logout")).status_code == 204
        assert await here.rest() == []
        assert await elsewhere.rest() == []


async def test_access_that_is_lost_is_lost_at_once(ada: Caller, bob: Caller, other_http: httpx.AsyncClient) -> None:
    elsewhere = Caller(other_http, bob.id, bob.name, bob.token)
    project = (await ada.project())["id"]
    await ada.add(project, bob, "member")
    async with listening(bob, project=project) as one, listening(elsewhere) as every, listening(ada) as witness:
        before = await ada.task("before", project_id=project)
        assert positions(await one.next(1)) == positions(await every.next(1)) == [before["position"]]
        accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
        await ada.task("after", project_id=project)
        own = await bob.task("his own")
        assert await one.rest() == [], "it ends"
        assert positions(await every.next(1)) == [own["position"]]
        assert len(await witness.next(3)) == 3


async def test_a_stream_ends_when_its_token_does(small: httpx.AsyncClient) -> None:
    who = await register(small, "Short")
    began = time.monotonic()
    async with listening(who) as stream:
        assert await stream.rest() == []
        assert stream.comments > 3, "heartbeats while nothing happens"
    assert time.monotonic() - began < 10


async def test_a_process_that_stops_ends_its_streams_and_is_gone(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    process, url = started(stack, tmp_path)
    try:
        await answers(url)
        async with client(url) as http, AsyncExitStack() as open_streams:
            there = replace(ada, http=http)
            streams = [await open_streams.enter_async_context(listening(there)) for _ in range(PER_USER_MAX - 1)]
            _, silent = await bare(url, ada.token)
            task = await ada.task("last words")
            assert [positions(await one.next(1)) for one in streams] == [[task["position"]]] * (PER_USER_MAX - 1)
            process.send(signal.SIGTERM)
            told = time.monotonic()
            for one in streams:
                assert await one.rest() == []
            assert await asyncio.to_thread(process.wait) == 0
            assert time.monotonic() - told < SECONDS_MAX
            silent.close()
    finally:
        process.end()
    assert "Traceback" not in process.log.read_text()


# --- bounds


async def test_a_user_and_a_process_have_only_so_many(small: httpx.AsyncClient, stack: Stack) -> None:
    people = [await lasting(small, name, stack) for name in ("One", "Two", "Three")]
    async with AsyncExitStack() as open_streams:
        for who in (people[0], people[0], people[1], people[1]):
            await open_streams.enter_async_context(listening(who))
        assert await gauge(small, "taskflow_streams") == 4
        problem = refused(await people[0].get("/stream"), 503, "unavailable")
        assert "4 streams" in problem["detail"]
        refused(await people[2].get("/stream"), 503, "unavailable")

    async def free() -> bool:
        return await gauge(small, "taskflow_streams") == 0

    await until(free, "the places are given back")
    four = await lasting(small, "Four", stack)
    async with listening(four), listening(four):
        response = await four.get("/stream")
        refused(response, 429, "too-many-at-once")
        assert int(response.headers["retry-after"]) >= 1
    await until(free, "the places are given back")


async def test_a_slow_client_is_cut_off_and_nobody_waits_for_it(
    small: httpx.AsyncClient, small_process: str, ada: Caller, stack: Stack
) -> None:
    slow = await lasting(small, "Slow", stack)
    project = (await ada.project())["id"]
    await ada.add(project, slow, "viewer")
    task = await ada.task(project_id=project)
    before = await gauge(small, "taskflow_streams_dropped_total")
    reader, writer = await bare(small_process, slow.token, reads=1024)
    quick = replace(slow, http=small)
    async with listening(quick) as stream:
        for number in range(300):
            written = accepted(await ada.patch(f"/tasks/{task['id']}", {"description": f"{number}" * 30_000}))
            assert positions(await stream.next(1)) == [written["position"]]
            if await gauge(small, "taskflow_streams_dropped_total") > before:
                break
        assert await gauge(small, "taskflow_streams_dropped_total") == before + 1
        last = b""
        while part := await reader.read(65536):
            last = (last + part)[-5:]
        assert last != b"0\r\n\r\n", "it is no end but a break"
        assert await gauge(small, "taskflow_streams") == 1
    writer.close()


async def lasting(small: httpx.AsyncClient, name: str, stack: Stack) -> Caller:
    """Somebody new at the small process, with a token as one of more patience would give: it does not end first."""
    who = await register(small, name)
    return replace(who, token=Tokens(stack.settings).access(UUID(who.id), UUID(int=1)))


async def test_a_thousand_streams_that_are_dropped_leave_nothing_behind(
    ada: Caller, http: httpx.AsyncClient, stack: Stack
) -> None:
    # Whatever else is open there is not this test's.
    async def settled() -> bool:
        return await gauge(ada.http, "taskflow_streams") == 0

    await until(settled, "no stream is open")
    await ada.http.get("/livez")
    listeners = [ada, *[await register(http, "listener") for _ in range(250 // PER_USER_MAX)]]
    tokens = [who.token for who in listeners for _ in range(PER_USER_MAX)][:250]
    before = await gauge(ada.http, "taskflow_loop_tasks")
    for _ in range(4):
        opened = await asyncio.gather(*[bare(stack.urls[0], token) for token in tokens])
        assert await gauge(ada.http, "taskflow_streams") == 250
        await ada.task("heard by all")
        for _, writer in opened:
            writer.transport.abort()
        await until(settled, "every stream that was dropped is gone")

    async def as_before() -> bool:
        return await gauge(ada.http, "taskflow_loop_tasks") <= before + 2

    await until(as_before, "no task is left")
