"""The trash is emptied by a worker: one whose trash is kept for a second."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.store.lease import WORKER, holder
from taskflow.store.pool import open_pool
from tests.api.stack import Caller, Process, Stack, accepted, refused, until


@pytest.fixture
async def collector(stack: Stack, tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Workers, started by the test, that purge what was in the trash for a second; the stack's own stands still."""
    started: list[Process] = []
    stack.worker.end()
    yield started
    for process in started:
        process.end()
    stack.start_worker()


def start(stack: Stack, folder: Path, count: int = 2) -> list[Process]:
    settings = replace(stack.settings, trash_retention_s=1, purge_interval_ms=100, purge_batch_max=5)
    return [Process(settings, folder / f"collector-{number}.log", "worker") for number in range(count)]


async def test_what_was_in_the_trash_too_long_is_found_by_nobody(
    stack: Stack, ada: Caller, tmp_path: Path, collector: list[Process]
) -> None:
    project = (await ada.project())["id"]
    headers = {"Idempotency-Key": str(uuid4())}
    kept = await ada.task("kept", project_id=project)
    restored = await ada.task("restored", project_id=project)
    trashed = [await ada.task(f"trashed {n}", project_id=project) for n in range(12)]
    child = await ada.task("child", project_id=project, parent_id=trashed[0]["id"])
    for task in [restored, *trashed]:
        accepted(await ada.delete(f"/tasks/{task['id']}", headers=headers if task is trashed[0] else {}))
    last = accepted(await ada.post(f"/tasks/{restored['id']}/restore"))
    listed = accepted(await ada.read("/tasks", last["position"], project=project, trashed="true"))
    assert len(listed["items"]) == 12
    collector += start(stack, tmp_path)

    async def empty() -> bool:
        items: list[Any] = accepted(await ada.get("/tasks", params={"project": project, "trashed": "true"}))["items"]
        return items == []

    await until(empty, "the trash is empty")
    for task in trashed:
        path = f"/tasks/{task['id']}"
        refused(await ada.get(path), 404, "not-found")
        refused(await ada.get(f"{path}/events"), 404, "not-found")
        refused(await ada.post(f"{path}/restore"), 404, "not-found")
        refused(await ada.patch(path, {"title": "x"}), 404, "not-found")
        refused(await ada.post(f"{path}/move", {"project_id": project}), 404, "not-found")
        refused(await ada.post(f"/tasks/{kept['id']}/rank", {"after": task["id"]}), 404, "not-found")
        refused(
            await ada.post("/tasks", {"title": "x", "project_id": project, "parent_id": task["id"]}), 404, "not-found"
        )
    refused(await ada.delete(f"/tasks/{trashed[0]['id']}", headers=headers), 404, "not-found")
    live = accepted(await ada.get("/tasks", params={"project": project}))
    assert {task["id"] for task in live["items"]} == {kept["id"], restored["id"], child["id"]}
    board = accepted(await ada.get(f"/projects/{project}/board"))
    assert sum(column["count"] for column in board["columns"]) == 3
    assert all(process.alive for process in collector)


async def test_what_is_restored_in_time_stays(
    stack: Stack, ada: Caller, tmp_path: Path, collector: list[Process], other_http: httpx.AsyncClient
) -> None:
    task, marker = await ada.task("wanted"), await ada.task("marker")
    accepted(await ada.delete(f"/tasks/{task['id']}"))
    restored = accepted(await ada.post(f"/tasks/{task['id']}/restore"))
    trashed = accepted(await ada.delete(f"/tasks/{marker['id']}"))
    # What the view has not heard of is not found either.
    accepted(await ada.read(f"/tasks/{marker['id']}", trashed["position"]))
    collector += start(stack, tmp_path, count=1)

    async def purged() -> bool:
        return (await ada.get(f"/tasks/{marker['id']}")).status_code == 404

    await until(purged, "the marker, trashed later, is purged")
    elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
    assert accepted(await elsewhere.read(f"/tasks/{task['id']}", restored["position"]))["trashed_at"] is None
    assert accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "still here"}))["version"] == 4


async def test_a_standby_goes_on_where_a_worker_was_killed(
    stack: Stack, ada: Caller, tmp_path: Path, collector: list[Process]
) -> None:
    """Each task is purged once: what the killed one had begun is not purged again."""
    tasks = [await ada.task(f"trashed {n}") for n in range(30)]
    for task in tasks:
        last = accepted(await ada.delete(f"/tasks/{task['id']}"))
    accepted(await ada.read(f"/tasks/{tasks[-1]['id']}", last["position"]))
    collector += start(stack, tmp_path)

    async def left() -> int:
        found: list[Any] = accepted(await ada.get("/tasks", params={"trashed": "true", "limit": "200"}))["items"]
        return len(found)

    async def begun() -> bool:
        return await left() < len(tasks)

    await until(begun, "some are purged")
    async with await open_pool(stack.settings, "test") as pool:
        holding = await holder(pool, WORKER)
        assert holding is not None
        leader = next(process for process in collector if str(process.pid) == holding.split(":")[1])
        leader.send(signal.SIGKILL)
        leader.wait()

        async def empty() -> bool:
            return await left() == 0

        await until(empty, "the standby has purged the others")
        purged = await pool.fetch(
            "select stream_id from events where type = 'TaskPurged' and stream_id = any($1::uuid[])",
            [task["id"] for task in tasks],
        )

        async def taken_over() -> bool:
            return await holder(pool, WORKER) not in {None, holding}

        # The killed one may have purged all of them: the standby waits for the lease to run out.
        await until(taken_over, "the standby has the lease")
    assert len(purged) == len(set(purged)) == len(tasks)


async def test_the_command_is_no_clients(ada: Caller) -> None:
    task = await ada.task()
    problem = refused(await ada.command("PurgeTask", task["id"]), 400, "validation")
    assert problem["errors"][0]["pointer"] == "/type"
    kinds = accepted(await ada.get("/commands/types"))["items"]
    assert {"RankTask", "MoveTask"} <= {kind["type"] for kind in kinds}
    assert "PurgeTask" not in {kind["type"] for kind in kinds}
