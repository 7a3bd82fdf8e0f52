"""A board as it was: what it showed then is what it shows when asked for then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from msgspec.structs import replace

from taskflow.local.program import unused_port
from taskflow.streams.project import DEFAULT_WORKFLOW
from tests.api.beside import Beside
from tests.api.stack import Caller, Process, Stack, accepted, refused, until
from tests.api.test_past import plus, review_first

WAITS_FOR_STREAMS = """
select exists (select 1 from pg_locks where relation = 'streams'::regclass and not granted
               and database = (select oid from pg_database where datname = current_database()))
"""


def shown(board: dict[str, Any]) -> dict[str, tuple[int, list[str]]]:
    return {
        column["status"]: (column["count"], [task["title"] for task in column["tasks"]]) for column in board["columns"]
    }


async def board_at(caller: Caller, project: str, at: str, **more: Any) -> dict[str, Any]:
    return accepted(await caller.get(f"/projects/{project}/board", params={"at": at} | more))


async def test_what_it_showed_then_it_shows_when_asked_for_then(ada: Caller, other_http: httpx.AsyncClient) -> None:
    there = Caller(other_http, ada.id, ada.name, ada.token)
    project = (await ada.project())["id"]
    one, two = [await ada.task(title, project_id=project, assignee_id=ada.id) for title in ("one", "two")]
    writes: list[Callable[[], Awaitable[httpx.Response]]] = [
        lambda: ada.post(f"/tasks/{one['id']}/start"),
        lambda: ada.patch(f"/tasks/{two['id']}", {"title": "zwei", "status": "done"}),
        lambda: ada.delete(f"/tasks/{one['id']}"),
        lambda: ada.post("/tasks", {"title": "three", "project_id": project}),
        lambda: ada.post(f"/tasks/{one['id']}/restore"),
        lambda: ada.post(f"/tasks/{two['id']}/undo"),
    ]
    seen = []
    for write in writes:
        wrote = (await write()).json()
        board = accepted(await ada.read(f"/projects/{project}/board", wrote["position"]))
        seen.append((wrote["updated_at"], board))
        assert await board_at(there, project, wrote["updated_at"]) == board, "what was acknowledged is in it"
    for at, board in seen:
        assert await board_at(ada, project, at) == board
    assert shown(await board_at(ada, project, plus(one["created_at"], -1)))["todo"] == (0, [])
    assert len({repr(board) for _, board in seen}) == len(seen)


async def test_before_the_project_there_is_its_first_workflow_and_nothing_in_it(ada: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.task(project_id=project)
    board = shown(await board_at(ada, project, "2001-01-01T00:00:00Z"))
    assert board == {status.key: (0, []) for status in DEFAULT_WORKFLOW.statuses}


async def test_its_columns_are_those_of_then(ada: Caller) -> None:
    project = (await ada.project())["id"]
    task = await ada.task("T", project_id=project)
    await review_first(ada, project)
    now = await board_at(ada, project, "9999-01-01T00:00:00Z")
    assert shown(now)["review"] == (1, ["T"])
    assert now["columns"][0]["tasks"][0]["status_category"] == "waiting"
    then = await board_at(ada, project, task["created_at"])
    assert shown(then)["todo"] == (1, ["T"])
    assert [column["status"] for column in then["columns"]] == [status.key for status in DEFAULT_WORKFLOW.statuses]


async def test_what_has_left_is_on_it_for_who_sees_where_it_is_now(beside: Beside, ada: Caller, bob: Caller) -> None:
    here, there = (await ada.project())["id"], (await ada.project())["id"]
    await ada.add(here, bob)
    leaves, purged = await ada.task("leaves", project_id=here), await ada.task("purged", project_id=here)
    at = purged["updated_at"]
    assert shown(await board_at(bob, here, at))["todo"] == (2, ["leaves", "purged"])
    accepted(await ada.post(f"/tasks/{leaves['id']}/move", {"project_id": there}))
    accepted(await ada.delete(f"/tasks/{purged['id']}"))
    await beside.purge(purged["id"])
    assert shown(await board_at(ada, here, at))["todo"] == (1, ["leaves"])
    assert shown(await board_at(bob, here, at))["todo"] == (0, [])
    assert shown(await board_at(ada, here, "9999-01-01T00:00:00Z"))["todo"] == (0, [])
    assert shown(await board_at(ada, there, at))["todo"] == (0, []), "it was not there yet"
    assert shown(await board_at(ada, there, "9999-01-01T00:00:00Z"))["todo"] == (1, ["leaves"])


async def test_it_shows_the_first_fifty_and_counts_all(ada: Caller) -> None:
    project = (await ada.project())["id"]
    made = [await ada.task(f"T{number:03}", project_id=project) for number in range(120)]
    board = shown(await board_at(ada, project, made[-1]["created_at"]))
    assert board["todo"] == (120, [f"T{number:03}" for number in range(50)])
    earlier = shown(await board_at(ada, project, made[59]["created_at"]))
    assert earlier["todo"] == (60, [f"T{number:03}" for number in range(50)])


async def test_by_the_other_clock(ada: Caller) -> None:
    project = (await ada.project())["id"]
    task = await ada.task("T", project_id=project)
    (event,) = accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"]
    recorded = event["recorded_at"]
    assert shown(await board_at(ada, project, recorded, clock="recorded"))["todo"] == (1, ["T"])
    assert shown(await board_at(ada, project, plus(recorded, -1), clock="recorded"))["todo"] == (0, [])


@pytest.mark.parametrize("query", ["at=noon", "at=2030-01-01T00:00:00", "clock=recorded", "at=&clock=sun", "version=1"])
async def test_a_bad_parameter_is_refused(ada: Caller, query: str) -> None:
    project = (await ada.project())["id"]
    refused(await ada.get(f"/projects/{project}/board?{query}"), 400, "validation")


async def test_what_has_not_changed_is_304(ada: Caller) -> None:
    project = (await ada.project())["id"]
    path = f"/projects/{project}/board?at=2030-01-01T00:00:00Z"
    etag = (await ada.get(path)).headers["etag"]
    assert (await ada.get(path, headers={"If-None-Match": etag})).status_code == 304


async def test_one_that_is_too_much_to_fold_is_refused(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    project = (await ada.project())["id"]
    for _ in range(3):
        task = await ada.task(project_id=project)
    port = unused_port()
    process = Process(
        replace(stack.settings, api_port=port, historical_board_events_max=3), tmp_path / "api.log", "api"
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "another API process")
            there = Caller(http, ada.id, ada.name, ada.token)
            at = "9999-01-01T00:00:00Z"
            assert shown(await board_at(there, project, at))["todo"][0] == 3
            accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "one event more"}))
            problem = refused(await there.get(f"/projects/{project}/board", params={"at": at}), 400, "validation")
            assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("at", "too-much")]
    finally:
        process.end()


async def test_only_so_many_are_folded_at_once(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    """One that waits for the store has the only place; the next waits as long as its reader does."""
    project = (await ada.project())["id"]
    await ada.task(project_id=project)
    port = unused_port()
    process = Process(
        replace(stack.settings, api_port=port, historical_boards_concurrency_max=1), tmp_path / "api.log", "api"
    )
    connection = await asyncpg.connect(stack.settings.postgres_url)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready, "another API process")
            there = Caller(http, ada.id, ada.name, ada.token)
            path, at = f"/projects/{project}/board", "9999-01-01T00:00:00Z"
            held = connection.transaction()
            await held.start()
            await connection.execute("lock table streams in access exclusive mode")
            first = asyncio.create_task(there.get(path, params={"at": at}))

            async def waits() -> bool:
                return bool(await connection.fetchval(WAITS_FOR_STREAMS))

            await until(waits, "the first one waits for the store")
            at_once = await there.get(path, params={"at": at, "wait_ms": 0})
            patient = asyncio.create_task(there.get(path, params={"at": at, "wait_ms": 10_000}))
            await held.rollback()
            refused(at_once, 503, "unavailable")
            assert at_once.headers["retry-after"]
            for answer in (await first, await patient, await there.get(path, params={"at": at, "wait_ms": 0})):
                assert shown(accepted(answer))["todo"][0] == 1
    finally:
        await connection.close()
        process.end()
