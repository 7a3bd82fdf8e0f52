"""What the log says of a request: every line has its id, whatever went wrong, and its own line has who sent it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from pymongo import AsyncMongoClient

from taskflow.projections.registry import PROJECTIONS
from tests.api.raw import ask, get
from tests.api.stack import Caller, Stack, refused, until


async def lines_of(stack: Stack, request_id: str, count: int) -> list[dict[str, Any]]:
    """The lines of the first process that carry this id, once there are so many."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        lines = [json.loads(line) for line in stack.apis[0].log.read_text().splitlines() if request_id in line]
        found[:] = [line for line in lines if line.get("request_id") == request_id]
        return len(found) >= count

    await until(there, f"{count} lines of {request_id}")
    return found


async def test_a_request_line_has_the_clients_address(stack: Stack, ada: Caller) -> None:
    for path, status in (("/tasks", 200), ("/nope", 404), (f"/tasks/{uuid4()}", 404)):
        request_id = uuid4().hex
        assert (await ada.get(path, headers={"X-Request-ID": request_id})).status_code == status
        [line] = await lines_of(stack, request_id, 1)
        assert (line["address"], line["status"], line["user"]) == ("127.0.0.1", status, ada.id)


async def test_what_is_not_a_path_has_a_line_too(stack: Stack) -> None:
    request_id = uuid4().hex
    answer = await ask(stack.urls[0], get("//api/v1/tasks", f"X-Request-ID: {request_id}"))
    assert answer is not None
    [line] = await lines_of(stack, request_id, 1)
    assert (line["message"], line["status"], line["address"]) == ("GET none", 404, "127.0.0.1")


async def test_an_unexpected_error_is_logged_under_the_id_that_the_answer_names(stack: Stack, ada: Caller) -> None:
    task = await ada.task()
    path = f"/tasks?project={task['project_id']}"
    assert (await ada.read(path, task["position"])).status_code == 200
    async with AsyncMongoClient[Any](stack.settings.mongodb_url, uuidRepresentation="standard") as client:
        tasks = client[stack.settings.mongodb_database][PROJECTIONS["tasks"].collection]
        damaged = await tasks.update_one({"_id": UUID(task["id"])}, {"$set": {"shown": b"damaged"}})
    assert damaged.modified_count == 1
    request_id = uuid4().hex
    problem = refused(await ada.get(f"{path}&limit=7", headers={"X-Request-ID": request_id}), 500, "internal")
    assert "damaged" not in json.dumps(problem)
    error, line = await lines_of(stack, request_id, 2)
    assert (error["level"], error["message"]) == ("error", "unexpected")
    assert "Traceback" in error["exception"]
    assert (line["status"], line["address"]) == (500, "127.0.0.1")
