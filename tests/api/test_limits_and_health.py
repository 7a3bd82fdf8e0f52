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
from tests.api.stack import Caller, Process, Stack, accepted, client, refused, register, until


@pytest.fixture(scope="module")
def limited_process(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str]]:
    """An API process with small limits, behind one proxy that tells whom it speaks for."""
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        rate_limits="on",
        trusted_proxies=1,
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

        async def ready() -> bool:
            assert process.alive, process.log.read_text()
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "the process is ready")
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


class TestSigningIn:
    async def test_wrong_passwords_for_one_account(self, limited: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
        body: Any = {"email": f"{uuid4().hex}@example.com", "password": "correct horse", "name": "Ada"}
        accepted(await http.post("/api/v1/auth/register", json=body), 201)
        login = {"email": body["email"], "password": "wrong"}
        for _ in range(2):
            response = await limited.post("/api/v1/auth/login", json=login, headers=whom())
            refused(response, 401, "unauthenticated")
        response = await limited.post("/api/v1/auth/login", json=login | {"password": "correct horse"}, headers=whom())
        refused(response, 429, "rate-limited")

    async def test_many_accounts_from_one_address(self, limited: httpx.AsyncClient) -> None:
        address = whom()
        statuses = [
            (
                await limited.post(
                    "/api/v1/auth/login", json={"email": f"{uuid4().hex}@x.example", "password": "x"}, headers=address
                )
            ).status_code
            for _ in range(5)
        ]
        assert statuses == [401] * 4 + [429]


class TestHealth:
    async def test_tells_of_every_server(self, http: httpx.AsyncClient) -> None:
        body = accepted(await http.get("/health"))
        assert set(body) == {"status", "timestamp", "uptime", "mongodb", "postgres", "kafka", "redis"}
        assert body["status"] == "healthy"
        assert all(body[name] is True for name in ("mongodb", "postgres", "kafka", "redis"))
        assert accepted(await http.get("/livez")) == {"status": "alive"}
        checks = accepted(await http.get("/readyz?verbose"))["checks"]
        assert set(checks.values()) == {"ok"}
        assert checks.keys() >= {"access", "relay", "projections"}

    async def test_metrics_count_by_route_and_not_by_path(self, http: httpx.AsyncClient, ada: Caller) -> None:
        task = await ada.task()
        text = (await http.get("/metrics")).text
        assert 'route="/api/v1/tasks",status="201"' in text
        assert task["id"] not in text
        assert "taskflow_view_lag_events" in text

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

    async def test_limits_without_redis_refuse_nobody(
        self, limited: httpx.AsyncClient, stack: Stack, server: Any
    ) -> None:
        valkey = server("valkey")
        valkey.kill()
        address = whom()
        statuses = {(await limited.get("/api/v1/nope", headers=address)).status_code for _ in range(8)}
        assert statuses == {404}
        valkey.start()
        async with Redis.from_url(stack.settings.redis_url) as redis:
            assert await redis.ping()
