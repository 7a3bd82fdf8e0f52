"""Rate limits, and what operators ask: against API processes of these tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from taskflow.local.program import unused_port
from taskflow.projections.mongo import open_database
from taskflow.projections.rejections import Rejections
from taskflow.store.eventstore import open_event_store
from taskflow.store.projector_faults import clear_fault, record_fault
from tests.api.stack import Caller, Process, Stack, accepted, client, refused, register, until


@pytest.fixture(scope="module")
def limited_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str]]:
    """An API process with small limits, behind one proxy that tells whom it speaks for."""
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        rate_limits="on",
        trusted_proxies=1,
        limits_timeout_ms=2_000,
        anonymous_requests_max=5,
        user_requests_per_s=1,
        user_burst_max=8,
        login_attempts_max=4,
        login_failures_max=2,
    )
    process = Process(settings, tmp_path_factory.mktemp("limited") / "api.log", "api")
    yield process, f"http://127.0.0.1:{settings.api_port}"
    process.end()


@pytest.fixture
async def limited(limited_process: tuple[Process, str]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that process: from another address, or as another user, it has met no limit yet."""
    process, url = limited_process
    async with client(url) as http:
        await answers(process, http)
        yield http


async def answers(process: Process, http: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        assert process.alive, process.log.read_text()
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await until(ready, "the process is ready")


UNCHANGED_MAX = 30


@pytest.fixture(scope="module")
def patient_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str]]:
    """An API process that limits little but what changes nothing."""
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        rate_limits="on",
        user_burst_max=10_000,
        unchanged_max=UNCHANGED_MAX,
        unchanged_window_s=900,
    )
    process = Process(settings, tmp_path_factory.mktemp("patient") / "api.log", "api")
    yield process, f"http://127.0.0.1:{settings.api_port}"
    process.end()


@pytest.fixture
async def patient(patient_process: tuple[Process, str]) -> AsyncIterator[httpx.AsyncClient]:
    process, url = patient_process
    async with client(url) as http:
        await answers(process, http)
        yield http


def whom() -> dict[str, str]:
    """Somebody else's network, told by the proxy; what the client itself claims stands before it."""
    return {"X-Forwarded-For": f"6.6.6.6, 2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"}


class TestWithoutAToken:
    async def test_so_many_requests_in_a_window_from_one_address(self, limited: httpx.AsyncClient) -> None:
        address = whom()
        for left in (4, 3, 2, 1, 0):
            response = await limited.get("/api/v1/nope", headers=address)
            refused(response, 404, "not-found")
            assert response.headers["ratelimit-policy"] == '"anonymous";q=5;w=900'
            assert response.headers["ratelimit"].startswith(f'"anonymous";r={left};t=')
        for path in ("/api/v1/tasks", "/api/v1/nope"):
            response = await limited.get(path, headers=address)
            refused(response, 429, "rate-limited")
            assert 0 < int(response.headers["retry-after"]) <= 900
        # Paths at the root are free, and so is everybody else.
        accepted(await limited.get("/livez", headers=address))
        refused(await limited.get("/api/v1/nope", headers=whom()), 404, "not-found")

    async def test_a_bad_token_counts_as_none(self, limited: httpx.AsyncClient) -> None:
        address = whom() | {"Authorization": "Bearer x"}
        statuses = [(await limited.get("/api/v1/tasks", headers=address)).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]

    async def test_the_hosts_of_one_network_count_together(self, limited: httpx.AsyncClient) -> None:
        network = whom()["X-Forwarded-For"]
        statuses = []
        for host in range(6):
            headers = {"X-Forwarded-For": f"{network[:-1]}{host + 1}"}
            statuses.append((await limited.get("/api/v1/nope", headers=headers)).status_code)
        assert statuses == [404] * 5 + [429]


class TestWithAToken:
    async def test_whoever_reads_a_calendar_counts_as_its_owner(
        self, limited: httpx.AsyncClient, http: httpx.AsyncClient
    ) -> None:
        ada = await register(http, "Ada")
        path = f"/api/v1/calendar/{accepted(await ada.post('/users/me/calendar'), 201)['secret']}.ics"
        # All at once: each second gives one back.
        answers = await asyncio.gather(*[limited.get(path, headers=whom()) for _ in range(30)])
        statuses = [response.status_code for response in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 8

    async def test_a_bucket_for_each_user(self, limited: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
        ada, bob = await register(http, "Ada"), await register(http, "Bob")
        caller = Caller(limited, ada.id, "", ada.token)
        # All at once: each second gives one back.
        answers = await asyncio.gather(*[caller.get("/projects", headers=whom()) for _ in range(30)])
        statuses = [response.status_code for response in answers]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 8
        assert {response.headers["ratelimit-policy"] for response in answers} == {'"user";q=8;w=8'}
        accepted(await Caller(limited, bob.id, "", bob.token).get("/projects"))

    async def test_a_batch_counts_by_its_commands(self, limited: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
        ada = await register(http, "Ada")
        caller = Caller(limited, ada.id, "", ada.token)

        def batch(size: int) -> Any:
            return {
                "commands": [{"id": str(uuid4()), "type": "CreateTask", "data": {"title": "T"}} for _ in range(size)]
            }

        # The first of eight tokens; six are left for the largest batch, which then costs all that a full bucket has.
        accepted(await caller.get("/projects"))
        refused(await caller.post("/commands/batch", batch(100)), 429, "rate-limited")
        # It was refused before any of it was looked at, and took nothing but its own request.
        accepted(await caller.post("/commands/batch", batch(30)))
        refused(await caller.post("/commands/batch", batch(60)), 429, "rate-limited")


class TestCommandsThatChangeNothing:
    """Each leaves a receipt for ever, and costs nothing: their number is limited, and no receipt is left out."""

    async def test_single_ones_and_repeats(self, patient: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
        ada = await register(http, "Ada")
        caller = Caller(patient, ada.id, "", ada.token)
        task = await caller.task("as it is")
        key = str(uuid4())
        first = accepted(
            await caller.patch(f"/tasks/{task['id']}", {"title": "as it is"}, headers={"Idempotency-Key": key})
        )
        for _ in range(UNCHANGED_MAX - 1):
            accepted(await caller.patch(f"/tasks/{task['id']}", {"title": "as it is"}))
        for _ in range(2):
            response = await caller.patch(f"/tasks/{task['id']}", {"title": "as it is"})
            refused(response, 429, "rate-limited")
            assert 0 < int(response.headers["retry-after"]) <= 900
        # A repeat leaves nothing new, and what changes something is no matter of this limit.
        for _ in range(3):
            repeat = await caller.patch(f"/tasks/{task['id']}", {"title": "as it is"}, headers={"Idempotency-Key": key})
            assert accepted(repeat) == first
            assert repeat.headers["idempotency-replayed"] == "true"
        accepted(await caller.patch(f"/tasks/{task['id']}", {"title": "another"}))
        bob = await register(http, "Bob")
        other = await Caller(patient, bob.id, "", bob.token).task("his")
        accepted(await Caller(patient, bob.id, "", bob.token).patch(f"/tasks/{other['id']}", {"title": "his"}))

    @pytest.mark.parametrize("atomic", [False, True])
    async def test_in_batches(self, patient: httpx.AsyncClient, http: httpx.AsyncClient, atomic: bool) -> None:
        ada = await register(http, "Ada")
        caller = Caller(patient, ada.id, "", ada.token)
        task = await caller.task("as it is")

        def batch(size: int) -> Any:
            one = {"type": "EditTask", "target": task["id"], "data": {"title": "as it is"}}
            return {"atomic": atomic, "commands": [{"id": str(uuid4())} | one for _ in range(size)]}

        first = batch(UNCHANGED_MAX - 10)
        results = accepted(await caller.post("/commands/batch", first))["results"]
        assert {one["outcome"] for one in results} == {"unchanged"}
        answer = await caller.post("/commands/batch", batch(20))
        if atomic:
            refused(answer, 429, "rate-limited")
            assert accepted(await caller.post("/commands/batch", batch(10)))["results"]
        else:
            outcomes = [one["outcome"] for one in accepted(answer)["results"]]
            assert outcomes == ["unchanged"] * 10 + ["rejected"] * 10
            assert accepted(answer)["results"][-1]["problem"]["type"] == "/problems/rate-limited"
        again = accepted(await caller.post("/commands/batch", first))["results"]
        assert [one["outcome"] for one in again] == ["unchanged"] * len(first["commands"])
        mixed = {"atomic": atomic, "commands": [*first["commands"], *batch(1)["commands"]]}
        refusal = await caller.post("/commands/batch", mixed)
        if atomic:
            refused(refusal, 429, "rate-limited")
        else:
            outcomes = [one["outcome"] for one in accepted(refusal)["results"]]
            assert outcomes == ["unchanged"] * len(first["commands"]) + ["rejected"]


class TestHealth:
    async def test_tells_of_every_server(self, http: httpx.AsyncClient) -> None:
        body = accepted(await http.get("/health"))
        assert set(body) == {"status", "timestamp", "uptime", "mongodb", "postgres", "kafka", "redis"}
        assert body["status"] == "healthy"
        assert all(body[name] is True for name in ("mongodb", "postgres", "kafka", "redis"))
        assert accepted(await http.get("/livez")) == {"status": "alive"}
        checks = accepted(await http.get("/readyz?verbose"))["checks"]
        assert set(checks.values()) == {"ok"}
        assert checks.keys() >= {"access", "relay", "projections", "worker"}

    async def test_metrics_tell_how_late_the_event_loop_was(self, http: httpx.AsyncClient) -> None:
        async def beats() -> float:
            lines = (await http.get("/metrics")).text.splitlines()
            (count,) = (line for line in lines if line.startswith("taskflow_loop_lag_seconds_count "))
            return float(count.split()[1])

        before = await beats()

        async def beaten() -> bool:
            return await beats() > before

        await until(beaten, "the event loop is measured")

    async def test_metrics_count_by_route_and_not_by_path(self, http: httpx.AsyncClient, ada: Caller) -> None:
        task = await ada.task()
        text = (await http.get("/metrics")).text
        assert 'route="/api/v1/tasks",status="201"' in text
        assert task["id"] not in text
        assert "taskflow_view_lag_events" in text

    async def test_metrics_tell_of_messages_that_were_not_believed(self, http: httpx.AsyncClient, stack: Stack) -> None:
        async with open_database(stack.settings) as database:
            rejections = Rejections("tasks", database)
            for offset in range(3):
                rejections.note(0, "no-mac", offset)
            await rejections.save()
            await rejections.save()
        text = (await http.get("/metrics")).text
        assert 'taskflow_messages_rejected_total{reader="tasks",reason="no-mac"} 3.0' in text

    async def test_what_mongodb_refuses_a_projector_turns_readiness_red_and_says_why(
        self, http: httpx.AsyncClient, stack: Stack
    ) -> None:
        reason = "MongoDB refuses: Unauthorized (code 13)"

        async def ready(status: int) -> bool:
            response = await http.get("/readyz?verbose")
            said = f"tasks: {reason}" if status == 503 else "ok"
            return response.status_code == status and response.json()["checks"]["projectors"] == said

        async with open_event_store(stack.settings, "a projector at fault") as store:
            await until(lambda: ready(200), "ready")
            await record_fault(store.pool, "tasks", "worker", reason)
            await until(lambda: ready(503), "not ready, with the reason")
            text = (await http.get("/metrics")).text
            assert 'taskflow_view_refused{view="tasks"} 1.0' in text
            assert 'taskflow_view_refused{view="users"} 0.0' in text
            await clear_fault(store.pool, "tasks", "worker")
            await until(lambda: ready(200), "ready again")

    async def test_without_redis_everything_goes_on_and_health_says_degraded(
        self, http: httpx.AsyncClient, ada: Caller, server: Any
    ) -> None:
        valkey = server("valkey")
        valkey.pause()
        task = await ada.task(assignee_id=ada.id)
        shown = accepted(await ada.read(f"/tasks/{task['id']}", task["position"]))
        assert shown["assignee"]["name"] == "Ada Lovelace"
        accepted(await ada.get(f"/projects/{task['project_id']}/board"))

        async def noticed() -> bool:
            body = accepted(await http.get("/health"))
            return (body["status"], body["redis"], body["postgres"]) == ("degraded", False, True)

        await until(noticed, "health says that Redis is away")
        assert (await http.get("/readyz")).status_code == 200
        valkey.resume()

        async def well() -> bool:
            status: str = accepted(await http.get("/health"))["status"]
            return status == "healthy"

        await until(well, "Redis is there again")

    async def test_limits_without_redis_hold(self, limited: httpx.AsyncClient, stack: Stack, server: Any) -> None:
        valkey = server("valkey")
        valkey.kill()
        address = whom()
        statuses = [(await limited.get("/api/v1/nope", headers=address)).status_code for _ in range(8)]
        assert statuses == [404] * 5 + [429] * 3
        valkey.start()
        async with Redis.from_url(stack.settings.redis_url) as redis:
            assert await redis.ping()
