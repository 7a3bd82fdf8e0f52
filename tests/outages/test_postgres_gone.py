"""PostgreSQL gone: views are read for as long as access may be judged without it, and nothing is written."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.stack import Caller, accepted, until
from tests.outages.deployment import Deployment, How, Observer, Timed, unavailable

AT_ONCE_S = 5.0
"""Generous, and less than any driver's own patience."""


def views(caller: Caller, task: dict[str, Any]) -> list[str]:
    return [
        f"/tasks/{task['id']}",
        "/tasks",
        f"/tasks?project={task['project_id']}&category=todo",
        f"/projects/{task['project_id']}",
        f"/projects/{task['project_id']}/board",
        "/projects",
        "/users/me",
    ]


@pytest.fixture
async def task(ada: Caller) -> dict[str, Any]:
    """A task that the views have."""
    project = await ada.project()
    task = await ada.task(project_id=project["id"], assignee_id=ada.id)
    for path in views(ada, task):
        accepted(await ada.get(path, params={"min_position": task["position"], "wait_ms": 10_000}))
    return task


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_views_are_read_for_a_while_writes_are_refused_and_nothing_is_lost(
    deployment: Deployment, http: httpx.AsyncClient, operator: Observer, ada: Caller, task: dict[str, Any], how: How
) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    title = f"written while the store is {how}"
    timed = Timed()
    async with deployment.without("postgres", how):
        writing = asyncio.create_task(ada.post("/tasks", {"title": title}, headers=key))
        for path in views(ada, task):
            accepted(await timed(ada.get(path)))
        unavailable(await writing)

        async def refused() -> bool:
            return (await timed(ada.get("/tasks"))).status_code == 503

        await until(refused, "access can no longer be judged")
        for path in views(ada, task):
            unavailable(await timed(ada.get(path)))
        unavailable(await timed(ada.post("/tasks", {"title": title}, headers=key)))
        status, health = await operator.health()
        assert (status, health["status"], health["postgres"]) == (503, "degraded", False)
        assert health["mongodb"]
        assert health["redis"]
        assert await operator.alive()
        assert not await operator.ready()
        assert await operator.metric("taskflow_follower_position")
    assert timed.worst < AT_ONCE_S

    answers: list[httpx.Response] = []

    async def written() -> bool:
        answers.append(await ada.post("/tasks", {"title": title}, headers=key))
        return answers[-1].status_code != 503

    await until(written, "writes work again")
    created = accepted(answers[-1], 201)
    repeated = await ada.post("/tasks", {"title": title}, headers=key)
    assert accepted(repeated, 201) == created
    assert repeated.headers["idempotency-replayed"] == "true"
    items = accepted(await ada.read("/tasks", created["position"]))["items"]
    assert sorted(item["title"] for item in items) == sorted([task["title"], title])


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_what_was_acknowledged_is_there_and_what_was_not_is_there_once(
    deployment: Deployment, http: httpx.AsyncClient, ada: Caller, how: How
) -> None:
    """Clients in the middle of their writes: whatever became of a commit, a repeat under its key tells."""
    acknowledged: dict[str, dict[str, Any]] = {}
    repeats = 0
    stop = asyncio.Event()

    async def client(number: int) -> None:
        nonlocal repeats
        turn = 0
        while not stop.is_set():
            turn += 1
            title = f"{number}/{turn}"
            key = {"Idempotency-Key": uuid4().hex}
            while (answer := await ada.post("/tasks", {"title": title}, headers=key)).status_code == 503:
                repeats += 1
                await asyncio.sleep(0.05)
            acknowledged[title] = accepted(answer, 201)

    clients = [asyncio.create_task(client(number)) for number in range(4)]

    async def more(than: int) -> bool:
        return len(acknowledged) > than

    await until(lambda: more(20), "writes flow")
    async with deployment.without("postgres", how):

        async def refused() -> bool:
            return repeats > 0

        await until(refused, "a write is refused")
    before = len(acknowledged)
    await until(lambda: more(before + 20), "writes flow again")
    stop.set()
    await asyncio.gather(*clients)
    position = max(task["position"] for task in acknowledged.values())
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = accepted(await ada.read("/tasks", position, limit=200, **cursor))
        found += [item["title"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(found) == sorted(acknowledged)
