"""Answers are bounded in bytes: what is large comes in more pages, and nothing of it is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.api.routes.batches import RESULTS_BYTES_MAX
from taskflow.api.writes import EVENTS_SINCE_MAX
from taskflow.local.program import unused_port
from taskflow.page_bounds import BOARD_BYTES_MAX, PAGE_BYTES_MAX
from taskflow.readmodels.queries import BOARD_TASKS_MAX
from tests.api.stack import Caller, Process, Stack, accepted, client, refused, register, until

LARGE = 99_000
"""Control characters of a description: each is six bytes of JSON."""
ENVELOPE_BYTES_MAX = 1_000
ITEM_BYTES_MAX = LARGE * 6 + ENVELOPE_BYTES_MAX
"""Of what these tests make: the largest event, or task."""
ANSWER_BYTES_MAX = PAGE_BYTES_MAX + ITEM_BYTES_MAX
"""A page that reads events ends with the one that fills it."""


def text(number: int) -> str:
    return f"{number}".ljust(LARGE, "\x01")


async def edited(caller: Caller, count: int, **fields: Any) -> dict[str, Any]:
    """A task whose description was large `count` times."""
    task = await caller.task("large", **fields)
    for number in range(count):
        task = accepted(await caller.patch(f"/tasks/{task['id']}", {"description": text(number)}))
    return task


async def pages(caller: Caller, path: str, bytes_max: int = ANSWER_BYTES_MAX, **parameters: Any) -> list[list[Any]]:
    """Every page of a list, none of which is empty or larger than that."""
    found: list[list[Any]] = []
    cursor: dict[str, str] = {}
    while True:
        response = await caller.get(path, params={"limit": 200} | parameters | cursor)
        body = accepted(response)
        assert body["items"], "no page leads nowhere"
        assert len(response.content) <= bytes_max
        found.append(body["items"])
        if body["next_cursor"] is None:
            return found
        cursor = {"cursor": body["next_cursor"]}


class TestHistories:
    async def test_every_list_of_events_comes_in_bounded_pages(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        task = await edited(ada, 8, project_id=project)
        versions = list(range(1, 10))

        of_task = await pages(ada, f"/tasks/{task['id']}/events")
        assert [event["stream_version"] for page in of_task for event in page] == versions
        assert len(of_task) > 3

        by_stream = await pages(ada, "/events", stream=task["id"])
        assert [event["stream_version"] for page in by_stream for event in page] == versions
        assert len(by_stream) > 3

        activity = await pages(ada, f"/projects/{project}/activity")
        assert [event["type"] for page in activity for event in page][-1] == "ProjectCreated"
        of_it = [event["stream_version"] for page in activity for event in page if event["stream_id"] == task["id"]]
        assert of_it == versions[::-1]
        assert len(activity) > 3

    @pytest.mark.parametrize("form", ["application/x-ndjson", "text/csv"])
    async def test_a_file_has_all_of_them(self, ada: Caller, form: str) -> None:
        task = await edited(ada, 5)
        response = await ada.get("/events", params={"stream": task["id"]}, headers={"Accept": form})
        assert response.status_code == 200
        lines = response.content.splitlines()
        assert len([line for line in lines if b"TaskDescribed" in line]) == 5
        assert len(response.content) > 5 * LARGE * 6

    async def test_a_conflict_tells_what_happened_and_not_what_it_said(self, ada: Caller) -> None:
        task = await edited(ada, 5)
        response = await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": '"2"'})
        problem = refused(response, 412, "version-conflict")
        assert [event["version"] for event in problem["events"]] == [3, 4, 5, 6]
        assert {event["type"] for event in problem["events"]} == {"TaskDescribed"}
        assert len(response.content) < 2_000

    async def test_a_conflict_lists_the_oldest_of_many(self, ada: Caller) -> None:
        task = await ada.task()
        commands = [
            {"id": f"00000000-0000-4000-8000-{number:012x}", "type": "EditTask", "target": task["id"],
             "data": {"title": f"{number}"}}
            for number in range(EVENTS_SINCE_MAX + 20)
        ]  # fmt: skip
        for some in (commands[at : at + 100] for at in range(0, len(commands), 100)):
            accepted(await ada.post("/commands/batch", {"commands": some}))
        response = await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": '"1"'})
        problem = refused(response, 412, "version-conflict")
        assert problem["current_version"] == EVENTS_SINCE_MAX + 21
        assert [event["version"] for event in problem["events"]] == list(range(2, EVENTS_SINCE_MAX + 2))

    async def test_the_past_of_a_large_task_is_there(self, ada: Caller) -> None:
        task = await edited(ada, 7)
        path = f"/tasks/{task['id']}"
        assert accepted(await ada.get(path, params={"version": 4}))["description"] == text(2)
        changes = accepted(await ada.get(f"{path}/diff", params={"from": 3, "to": 6}))["changes"]
        assert [(one["field"], one["from"], one["to"]) for one in changes] == [("description", text(1), text(4))]
        for left in (5, 4):
            assert accepted(await ada.post(f"{path}/undo"))["description"] == text(left)
        assert accepted(await ada.post(f"{path}/undo", {"version": 10}))["description"] == text(5)


async def made(caller: Caller, count: int, **fields: Any) -> list[str]:
    """Ids of large tasks in the order of their creation, once the views have them."""
    tasks = [await caller.task(f"{number}", description=text(number), **fields) for number in range(count)]
    await caller.read("/tasks", tasks[-1]["position"])
    return [task["id"] for task in tasks]


class TestViews:
    @pytest.mark.parametrize("limit", [1, 5, 200])
    async def test_a_list_of_tasks_comes_in_bounded_pages(self, ada: Caller, limit: int) -> None:
        ids = await made(ada, 7)
        small = (await ada.task("small"))["id"]
        for sort, expected in (("created_at", [*ids, small]), ("-created_at", [small, *ids[::-1]])):
            await ada.read("/tasks", (await ada.task("later", project_id=(await ada.project())["id"]))["position"])
            inbox = (await ada.get(f"/tasks/{small}")).json()["project_id"]
            found = await pages(ada, "/tasks", PAGE_BYTES_MAX + 5_000, sort=sort, limit=limit, project=inbox)
            assert [task["id"] for page in found for task in page] == expected
            for page in found:
                assert all(
                    task["description"] in {"", text(int(task["title"]))} for task in page if task["title"] != "small"
                )

    async def test_a_board_ends_its_columns_early_and_says_so(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        many = await made(ada, 6, project_id=project)
        one = (await made(ada, 1, project_id=project, status="in_progress"))[0]
        last = await ada.task("x", project_id=project, status="done")
        response = await ada.read(f"/projects/{project}/board", last["position"])
        now = accepted(response)["columns"]
        then = accepted(await ada.get(f"/projects/{project}/board", params={"at": last["created_at"]}))["columns"]
        for columns in (now, then):
            by_status = {column["status"]: column for column in columns}
            todo = [task["id"] for task in by_status["todo"]["tasks"]]
            assert todo == many[: len(todo)]
            assert 0 < len(todo) < 6
            assert (by_status["todo"]["count"], by_status["todo"]["more"]) == (6, True)
            assert [task["id"] for task in by_status["in_progress"]["tasks"]] == [one]
            assert not any(by_status[status]["more"] for status in ("in_progress", "done", "cancelled"))
        assert len(response.content) <= BOARD_BYTES_MAX + 20_000

    async def test_a_board_of_many_small_tasks_says_that_there_are_more(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        for _ in range(BOARD_TASKS_MAX):
            position = (await ada.task(project_id=project))["position"]
        for more in (False, True):
            (column, *_) = accepted(await ada.read(f"/projects/{project}/board", position))["columns"]
            assert (len(column["tasks"]), column["more"]) == (BOARD_TASKS_MAX, more)
            position = (await ada.task(project_id=project))["position"]

    async def test_a_synchronisation_comes_in_bounded_answers(self, ada: Caller) -> None:
        ids = await made(ada, 7)
        token, found, answers = None, [], 0
        while True:
            response = await ada.get("/sync", params={} if token is None else {"token": token})
            body = accepted(response)
            assert len(response.content) <= ANSWER_BYTES_MAX
            found += [task["id"] for task in body["tasks"]]
            token, answers = body["token"], answers + 1
            if not body["more"]:
                break
        assert found == ids
        assert answers > 3

    @pytest.mark.parametrize("form", ["application/json", "text/csv"])
    async def test_an_export_has_all_of_it(self, ada: Caller, form: str) -> None:
        project = (await ada.project())["id"]
        ids = await made(ada, 7, project_id=project)
        response = await ada.get(f"/projects/{project}/export", headers={"Accept": form})
        assert response.status_code == 200
        assert all(task_id.encode() in response.content for task_id in ids)
        assert all(text(number).rstrip("\x01").encode() in response.content for number in range(7))

    async def test_comments_come_in_bounded_pages(self, ada: Caller) -> None:
        task = (await ada.task())["id"]
        bodies = [f"{number}".ljust(20_000, "\x01") for number in range(25)]
        for body in bodies:
            accepted(await ada.post(f"/tasks/{task}/comments", {"body": body}), 201)
        found = await pages(ada, f"/tasks/{task}/comments", PAGE_BYTES_MAX + 5_000)
        assert [comment["body"] for page in found for comment in page] == bodies
        assert len(found) > 2

    async def test_projects_come_in_bounded_pages(self, ada: Caller) -> None:
        inbox = accepted(await ada.get("/projects"))["items"][0]["id"]
        ids = []
        for number in range(4):
            body = {"name": f"{number}", "description": text(number)}
            ids.append(accepted(await ada.post("/projects", body), 201)["id"])
        for parameters in ({}, {"archived": "false"}):
            found = await pages(ada, "/projects", PAGE_BYTES_MAX + 5_000, **parameters)
            assert [project["id"] for page in found for project in page] == [inbox, *ids]
            assert len(found) == 4
        assert accepted(await ada.get("/projects", params={"archived": "true"}))["items"] == []


async def test_the_results_of_a_batch_are_bounded(ada: Caller) -> None:
    task = (await edited(ada, 1))["id"]
    commands = [
        {"id": str(uuid4()), "type": "EditTask", "target": task, "data": {"title": f"{number}"}} for number in range(12)
    ]
    first = await ada.post("/commands/batch", {"commands": commands})
    outcomes = accepted(first)["results"]
    assert [one["outcome"] for one in outcomes] == ["applied"] * 12
    assert [one["version"] for one in outcomes] == list(range(3, 15))
    shown = [one["result"] for one in outcomes if one["result"] is not None]
    assert [one["title"] for one in shown] == [f"{number}" for number in range(len(shown))]
    assert 4 < len(shown) < 12
    assert len(first.content) < RESULTS_BYTES_MAX + 20_000
    again = accepted(await ada.post("/commands/batch", {"commands": commands}))
    assert again["results"] == [one | {"replayed": True} for one in outcomes]


@pytest.fixture(scope="module")
def small(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API process that may read little of the past for one request."""
    settings = replace(
        stack.settings,
        api_port=unused_port(),
        history_bytes_max=3 * LARGE * 6,
        historical_board_bytes_max=3 * LARGE * 6,
    )
    process = Process(settings, tmp_path_factory.mktemp("small") / "api.log", "api")
    yield f"http://127.0.0.1:{settings.api_port}"
    process.end()


@pytest.fixture
async def bounded(small: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(small) as http:

        async def ready() -> bool:
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(ready, "the process is ready")
        yield http


async def _history(caller: Caller, task: dict[str, Any]) -> list[str]:
    """When each of its versions came to be."""
    return [event["occurred_at"] for page in await pages(caller, f"/tasks/{task['id']}/events") for event in page]


async def test_what_would_read_too_much_of_the_past_is_refused_and_says_why(bounded: httpx.AsyncClient) -> None:
    ada = await register(bounded, "Ada")
    project = (await ada.project())["id"]
    task = await edited(ada, 8, project_id=project)
    path = f"/tasks/{task['id']}"
    assert accepted(await ada.get(path, params={"version": 3}))["description"] == text(1)
    for refusal in (
        await ada.get(path, params={"version": 8}),
        await ada.get(f"{path}/diff", params={"to": 8}),
        await ada.get(path, params={"at": (await _history(ada, task))[7]}),
        await ada.get(f"/projects/{project}/board", params={"at": "2999-01-01T00:00:00Z"}),
    ):
        (fault,) = refused(refusal, 400, "validation")["errors"]
        assert fault["code"] == "too-much"
        assert "bytes of events" in fault["detail"]
    refused(await ada.post(f"{path}/undo"), 409, "command-rejected", "history-too-large")
    # What a repeat is answered with is folded all the same: it was accepted once.
    key = {"Idempotency-Key": "once"}
    first = accepted(await ada.patch(path, {"title": "y"}, headers=key))
    accepted(await ada.patch(path, {"title": "z"}))
    assert accepted(await ada.patch(path, {"title": "y"}, headers=key)) == first
