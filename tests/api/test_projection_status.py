"""An operator sees how far each projection is, who advances it, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from pymongo import AsyncMongoClient

from taskflow.projections.collection_names import CHECKPOINTS, PARKED
from taskflow.projections.registry import PROJECTIONS
from taskflow.store.projector_faults import clear_fault, record_fault
from tests.api.beside import Beside
from tests.api.stack import Caller, Stack, accepted, until

PATH = "/admin/projections"


@pytest.fixture
async def operator(ada: Caller, beside: Beside) -> Caller:
    await beside.grant(ada.id, "admin")
    return ada


async def seen(operator: Caller) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in accepted(await operator.get(PATH))["items"]}


async def test_projections_that_follow_are_at_the_head_and_have_workers(operator: Caller, stack: Stack) -> None:
    written = await operator.task()

    async def at_the_head() -> bool:
        return all(
            one["state"] == "running" and one["position"] == one["head"] >= written["position"]
            for one in (await seen(operator)).values()
        )

    await until(at_the_head, "every projection is at the head")
    found = await seen(operator)
    assert found.keys() == PROJECTIONS.keys()
    for one in found.values():
        assert (one["lag_events"], one["lag_seconds"], one["dead_letters"]) == (0, 0, 0)
        assert (one["halted"], one["rebuild"], one["reason"]) == ([], None, None)
        assert one["version"] == PROJECTIONS[one["name"]].version
        [worker] = one["workers"]
        assert worker["partitions"] == list(range(stack.settings.kafka_partitions))
        assert worker["seen_at"].endswith("Z")


async def test_what_is_not_applied_is_counted_and_grows_older(operator: Caller, stack: Stack) -> None:
    await operator.read("/tasks", (await operator.task())["position"])
    stack.projector.pause()
    try:
        before = (await seen(operator))["tasks"]["head"]
        for _ in range(5):
            await operator.task()
        first = (await seen(operator))["tasks"]
        assert first["head"] == before + 5
        assert first["lag_events"] == first["head"] - first["position"] >= 5

        async def older() -> bool:
            return bool((await seen(operator))["tasks"]["state"] == "catching_up")

        await until(older, "it is told that the projection is behind")
        assert (await seen(operator))["tasks"]["lag_seconds"] > first["lag_seconds"]
    finally:
        stack.projector.resume()

    async def caught_up() -> bool:
        one = (await seen(operator))["tasks"]
        return bool(one["lag_events"] == 0 and one["rate"] > 0)

    await until(caught_up, "it has caught up, and its rate is known")


@pytest.fixture
async def checkpoints(stack: Stack) -> Any:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        stack.settings.mongodb_url, uuidRepresentation="standard"
    )
    yield client.get_database(stack.settings.mongodb_database)
    await client.close()


async def test_what_waits_for_an_operator_is_named(
    operator: Caller, stack: Stack, checkpoints: Any, beside: Beside
) -> None:
    stack.projector.pause()
    try:
        one = {"projection": "tasks", "partition": 3}
        await checkpoints[CHECKPOINTS].update_one(one, {"$set": {"halted": "an unknown event type: X"}})
        shown = (await seen(operator))["tasks"]
        assert shown["state"] == "halted"
        assert shown["halted"] == [{"partition": 3, "reason": "an unknown event type: X"}]
        assert (await seen(operator))["projects"]["state"] != "halted"
    finally:
        await checkpoints[CHECKPOINTS].update_one(one, {"$set": {"halted": None}})
        stack.projector.resume()

    parked = {"collection": PROJECTIONS["users"].collection, "stream_id": uuid4(), "partition": 0, "position": 1 << 60}
    await checkpoints[PARKED].insert_one(parked)
    try:
        assert (await seen(operator))["users"]["dead_letters"] == 1
        assert (await seen(operator))["tasks"]["dead_letters"] == 0
    finally:
        await checkpoints[PARKED].delete_one({"stream_id": parked["stream_id"]})


async def test_a_refusal_of_mongodb_is_told(
    operator: Caller,
    http: httpx.AsyncClient,
    in_the_store: Callable[[Callable[[Any], Awaitable[None]]], Awaitable[None]],
) -> None:
    await in_the_store(lambda pool: record_fault(pool, "projects", "w1", "not authorised"))
    try:
        shown = (await seen(operator))["projects"]
        assert (shown["state"], shown["reason"]) == ("refused", "not authorised")
        text = (await http.get("/metrics")).text
        assert 'taskflow_view_refused{view="projects"} 1.0' in text
        assert 'taskflow_view_refused{view="tasks"} 0.0' in text
    finally:
        await in_the_store(lambda pool: clear_fault(pool, "projects", "w1"))
    assert (await seen(operator))["projects"]["state"] != "refused"


@pytest.fixture
def in_the_store(stack: Stack) -> Callable[[Callable[[Any], Awaitable[None]]], Awaitable[None]]:
    async def act(on: Callable[[Any], Awaitable[None]]) -> None:
        pool = await asyncpg.create_pool(stack.settings.postgres_url, min_size=1, max_size=1)
        try:
            await on(pool)
        finally:
            await pool.close()

    return act


async def test_the_metrics_say_the_same(operator: Caller, http: httpx.AsyncClient) -> None:
    text = (await http.get("/metrics")).text
    for name in ("lag_events", "lag_seconds", "position", "rate", "parked", "halted", "workers"):
        for view in PROJECTIONS:
            assert f'taskflow_view_{name}{{view="{view}"}}' in text, (name, view)
