"""Redis gone: everything works, slower; limits hold, and no board stays old afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from tests.api.stack import Caller, Process, accepted, until
from tests.outages.deployment import Deployment, How, Observer, board_counts

MANY = 40


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_everything_works_and_no_board_stays_old(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller, how: How
) -> None:
    project = await ada.project()
    task = await ada.task(project_id=project["id"], assignee_id=ada.id)
    for _ in range(2):
        assert (await board_counts(ada, project["id"], task["position"]))["todo"] == 1
    async with deployment.without("valkey", how):
        await operator.until_degraded("redis")
        done = accepted(await ada.post(f"/tasks/{task['id']}/complete"))
        counts = await board_counts(ada, project["id"], done["position"])
        assert (counts["todo"], counts["done"]) == (0, 1)
        began = time.monotonic()
        for _ in range(MANY):
            accepted(await ada.get(f"/tasks/{task['id']}"))
        # Every request alone would wait for `cache_timeout_ms`; after the first they are spared it.
        assert time.monotonic() - began < MANY * deployment.settings.cache_timeout_ms / 1000
        for path in ("/tasks", "/projects", f"/projects/{project['id']}", "/users/me"):
            accepted(await ada.get(path))
        status, health = await operator.health()
        assert (status, health["status"], health["redis"], health["postgres"]) == (200, "degraded", False, True)
        assert await operator.ready()
        assert await operator.metric("taskflow_follower_position")
    await operator.until_healthy()

    async def new() -> bool:
        return (await board_counts(ada, project["id"], 0))["done"] == 1

    await until(new, "the invalidation is repeated")
    for _ in range(5):
        assert await new()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_limits_hold_while_it_is_gone_and_afterwards(
    deployment: Deployment, operator: Observer, ada: Caller, how: How, tmp_path: Path
) -> None:
    settings = replace(
        deployment.settings,
        api_port=unused_port(),
        rate_limits="on",
        user_requests_per_s=1,
        user_burst_max=5,
        login_attempts_max=1_000,
        trusted_proxies=1,
    )
    process = Process(settings, tmp_path / "api.log", "api")
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api_port}", timeout=30) as client:

            async def up() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(up, "the process with limits is ready")
            account = f"{uuid4().hex}@example.com"
            headers = {"Authorization": f"Bearer {ada.token}"}
            codes = [(await client.get("/api/v1/tasks", headers=headers)).status_code for _ in range(12)]
            assert 429 in codes
            async with deployment.without("valkey", how):
                codes = [(await client.get("/api/v1/tasks", headers=headers)).status_code for _ in range(12)]
                assert 429 in codes
                # Guesses at one account, all at once and from as many networks.
                guesses = await asyncio.gather(*[guess(client, account, network) for network in range(60)])
                assert guesses.count(401) == settings.login_account_failures_max
                assert set(guesses) == {401, 429}
            await operator.until_healthy()
            assert await guess(client, account, 99) == 429
    finally:
        process.end()


async def guess(client: httpx.AsyncClient, account: str, network: int) -> int:
    """The status of a wrong password from a network."""
    headers = {"X-Forwarded-For": f"10.0.{network}.1"}
    body = {"email": account, "password": "a wrong one"}
    return (await client.post("/api/v1/auth/login", json=body, headers=headers)).status_code
