"""Workflows over HTTP: statuses that leave, what tasks are in afterwards, and every reader of it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec.structs import replace

from taskflow.api.committed_state import AT_ONCE_MAX
from tests.api.stack import Caller, Stack, accepted, refused

DEFAULT = [
    {"key": "todo", "name": "To do", "category": "todo"},
    {"key": "in_progress", "name": "In progress", "category": "in_progress"},
    {"key": "done", "name": "Done", "category": "done"},
    {"key": "cancelled", "name": "Cancelled", "category": "cancelled"},
]
REVIEW = {"key": "review", "name": "In Prüfung ✓", "category": "waiting"}
SHORT = [
    {"key": "open", "name": "Open", "category": "todo"},
    {"key": "shut", "name": "Shut", "category": "done"},
]
TO_SHORT = {"todo": "open", "in_progress": "open", "done": "shut", "cancelled": "shut"}


async def set_to(caller: Caller, project: str, statuses: list[Any], **more: Any) -> dict[str, Any]:
    return accepted(await caller.put(f"/projects/{project}/workflow", {"statuses": statuses} | more))


def columns(board: httpx.Response) -> dict[str, tuple[int, list[str]]]:
    return {
        one["status"]: (one["count"], [task["title"] for task in one["tasks"]]) for one in accepted(board)["columns"]
    }


async def test_a_workflow_is_set_by_one_event_and_read_everywhere(ada: Caller, other_http: httpx.AsyncClient) -> None:
    project = await ada.project()
    path = f"/projects/{project['id']}"
    transitions = [{"from": "todo", "to": "review"}]
    response = await ada.put(f"{path}/workflow", {"statuses": [*DEFAULT, REVIEW], "transitions": transitions})
    body = accepted(response)
    assert body["version"] == project["version"] + 1
    assert body["workflow"] == {"statuses": [*DEFAULT, REVIEW], "transitions": transitions}
    read = await ada.read(path, body["position"])
    assert accepted(read) == {name: value for name, value in body.items() if name != "position"}
    there = Caller(other_http, ada.id, ada.name, ada.token)
    board = columns(await there.read(f"{path}/board", body["position"]))
    assert list(board) == ["todo", "in_progress", "done", "cancelled", "review"]
    same = await set_to(ada, project["id"], [*DEFAULT, REVIEW], transitions=transitions)
    assert (same["version"], same["position"]) == (body["version"], body["position"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/statuses"),
        ({"statuses": []}, "/statuses"),
        ({"statuses": [DEFAULT[0]] * 51}, "/statuses"),
        ({"statuses": [DEFAULT[0], DEFAULT[0]]}, "/statuses/1/key"),
        ({"statuses": [DEFAULT[0] | {"category": "doing"}]}, "/statuses/0/category"),
        ({"statuses": [DEFAULT[0] | {"key": ""}]}, "/statuses/0/key"),
        ({"statuses": [DEFAULT[0] | {"name": "n" * 201}]}, "/statuses/0/name"),
        ({"statuses": [DEFAULT[0]], "transitions": [{"from": "todo", "to": "done"}]}, "/transitions/0/to"),
        ({"statuses": [DEFAULT[0]], "transitions": [{"from": "todo"}]}, "/transitions/0/to"),
        ({"statuses": SHORT, "mapping": TO_SHORT | {"todo": "never"}}, "/mapping/todo"),
        ({"statuses": DEFAULT, "colour": "red"}, "/colour"),
    ],
)
async def test_what_is_no_workflow_is_400_and_says_where(ada: Caller, body: Any, pointer: str) -> None:
    project = await ada.project()
    problem = refused(await ada.put(f"/projects/{project['id']}/workflow", body), 400, "validation")
    assert pointer in {error["pointer"] for error in problem["errors"]}


async def test_a_status_in_use_does_not_leave_without_another_in_its_place(ada: Caller) -> None:
    project = (await ada.project())["id"]
    path = f"/projects/{project}/workflow"
    tasks = [await ada.task(f"{n}", project_id=project) for n in range(3)]
    accepted(await ada.delete(f"/tasks/{tasks[0]['id']}"))
    # At once: what was acknowledged before is counted, however far the view is.
    problem = refused(await ada.put(path, {"statuses": SHORT}), 409, "command-rejected", "status-in-use")
    assert "3 tasks" in problem["detail"]
    assert "trash" in problem["detail"]
    refused(
        await ada.put(path, {"statuses": DEFAULT[1:]}, headers={"Idempotency-Key": uuid4().hex}),
        409, "command-rejected", "status-in-use",
    )  # fmt: skip
    # Nothing is in these.
    await set_to(ada, project, DEFAULT[:1])
    assert accepted(await ada.get(f"/tasks/{tasks[1]['id']}"))["status"] == "todo"


async def test_a_repeat_is_answered_though_the_status_that_left_is_in_use_again(ada: Caller) -> None:
    project = (await ada.project())["id"]
    task = await ada.task(project_id=project)
    request = {"statuses": SHORT, "mapping": TO_SHORT}
    again = {"Idempotency-Key": uuid4().hex}
    path = f"/projects/{project}/workflow"
    first = await ada.put(path, request, headers=again)
    back = {"statuses": [*SHORT, *DEFAULT[1:]]}
    accepted(await ada.put(path, back))
    accepted(await ada.patch(f"/tasks/{task['id']}", {"status": "done"}))
    refused(await ada.put(path, {"statuses": SHORT}), 409, "command-rejected", "status-in-use")
    second = await ada.put(path, request, headers=again)
    assert second.headers["idempotency-replayed"] == "true"
    assert accepted(second) == accepted(first)
    assert second.headers["etag"] == first.headers["etag"]
    refused(await ada.put(path, back | {"mapping": {}}, headers=again), 422, "idempotency-key-reused")


async def test_a_status_that_was_mapped_away_in_use_does_not_come_back(ada: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.task(project_id=project)
    await set_to(ada, project, SHORT, mapping=TO_SHORT)
    path = f"/projects/{project}/workflow"
    refused(await ada.put(path, {"statuses": [*SHORT, DEFAULT[0]]}), 409, "command-rejected", "status-mapped")
    await set_to(ada, project, [*SHORT, DEFAULT[1]])


async def test_every_reader_sees_tasks_in_the_status_that_took_the_place(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob, "viewer")
    first = await ada.task("first", project_id=project)
    started = await ada.task("started", project_id=project)
    accepted(await ada.post(f"/tasks/{started['id']}/start"))
    finished = await ada.task("finished", project_id=project)
    last = accepted(await ada.post(f"/tasks/{finished['id']}/complete"))
    # Boards and pages are kept from here on.
    lists: list[dict[str, Any]] = [{"project": project}, {"project": project, "category": "todo"}]
    for _ in range(2):
        assert columns(await bob.read(f"/projects/{project}/board", last["position"]))["todo"] == (1, ["first"])
        for parameters in lists:
            accepted(await bob.read("/tasks", last["position"], **parameters))
    changed = await set_to(ada, project, [*SHORT, REVIEW], mapping=TO_SHORT)
    position = changed["position"]
    assert columns(await bob.read(f"/projects/{project}/board", position)) == {
        "open": (2, ["first", "started"]),
        "shut": (1, ["finished"]),
        "review": (0, []),
    }
    for task, status, category in ((first, "open", "todo"), (started, "open", "todo"), (finished, "shut", "done")):
        shown = accepted(await bob.read(f"/tasks/{task['id']}", position))
        assert (shown["status"], shown["status_category"]) == (status, category)
        assert shown["version"] == accepted(await bob.get(f"/tasks/{task['id']}"))["version"]

    async def titles(**parameters: Any) -> list[tuple[str, str]]:
        body = accepted(await bob.read("/tasks", position, project=project, sort="rank", **parameters))
        return [(task["title"], task["status"]) for task in body["items"]]

    everything = [("first", "open"), ("started", "open"), ("finished", "shut")]
    assert await titles() == everything
    assert await titles(status="open") == everything[:2]
    assert await titles(status=["open", "shut"]) == everything
    assert await titles(category="todo") == everything[:2]
    assert await titles(category="done") == everything[2:]
    assert await titles(category="in_progress") == []
    assert await titles(category="todo", status="shut") == []
    assert await titles(status="todo") == [], "it is no status any more"
    everywhere = accepted(await bob.read("/tasks", position, status="open"))["items"]
    assert [task["title"] for task in everywhere] == ["first", "started"]

    # And with the next one, in whose place yet another stands.
    again = await set_to(ada, project, [REVIEW], mapping={"open": "review", "shut": "review"})
    position = again["position"]
    assert columns(await bob.read(f"/projects/{project}/board", position)) == {
        "review": (3, ["first", "started", "finished"])
    }
    assert await titles(status="review") == [(title, "review") for title, _ in everything]


async def test_what_may_be_done_to_a_task_is_judged_on_the_status_that_took_the_place(ada: Caller) -> None:
    project = (await ada.project())["id"]
    task = await ada.task(project_id=project)
    path = f"/tasks/{task['id']}"
    transitions = [{"from": "open", "to": "review"}, {"from": "review", "to": "shut"}]
    await set_to(ada, project, [*SHORT, REVIEW], transitions=transitions, mapping=TO_SHORT)
    refused(await ada.post(f"{path}/complete"), 409, "command-rejected", "transition")
    same = accepted(await ada.patch(path, {"status": "open"}))
    assert (same["version"], same["status"]) == (1, "open")
    refused(await ada.patch(path, {"status": "todo"}), 409, "command-rejected", "no-such-status")
    moved = accepted(await ada.patch(path, {"status": "review"}))
    assert (moved["version"], moved["status"], moved["status_category"]) == (2, "review", "waiting")
    events = accepted(await ada.get(f"{path}/events"))["items"]
    assert events[-1]["data"] == {"from_status": "open", "status": "review", "category": "waiting"}


async def test_a_task_that_gets_there_at_the_same_moment_is_in_a_status_that_there_is(
    ada: Caller, other_http: httpx.AsyncClient
) -> None:
    there = Caller(other_http, ada.id, ada.name, ada.token)
    for _ in range(8):
        project = (await ada.project())["id"]
        tasks = [await ada.task(f"{n}", project_id=project) for n in range(4)]
        write, *others = await asyncio.gather(
            there.put(f"/projects/{project}/workflow", {"statuses": DEFAULT[:1]}),
            *[ada.post(f"/tasks/{task['id']}/start") for task in tasks],
        )
        assert write.status_code in {200, 409}
        position = max(one.json()["position"] for one in [write, *others] if one.status_code == 200)
        keys = {"todo"} if write.status_code == 200 else {one["key"] for one in DEFAULT}
        shown = accepted(await ada.read("/tasks", position, project=project))["items"]
        assert {task["status"] for task in shown} <= keys
        board = columns(await ada.read(f"/projects/{project}/board", position))
        assert sum(count for count, _ in board.values()) == len(tasks)
        assert sum(len(titles) for _, titles in board.values()) == len(tasks)


async def test_by_command_it_is_the_same(ada: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.task(project_id=project)
    refused(
        await ada.command("SetWorkflow", project, data={"statuses": SHORT}),
        409,
        "command-rejected",
        "status-in-use",
    )
    body = accepted(await ada.command("SetWorkflow", project, data={"statuses": SHORT, "mapping": TO_SHORT}))
    assert [event["type"] for event in body["events"]] == ["ProjectWorkflowSet"]
    assert body["result"]["workflow"]["statuses"] == SHORT


async def test_a_stale_version_is_412(ada: Caller) -> None:
    project = (await ada.project())["id"]
    response = await ada.put(f"/projects/{project}/workflow", {"statuses": SHORT}, headers={"If-Match": '"9"'})
    refused(response, 412, "version-conflict")


async def test_while_the_view_does_not_come_nobody_knows_what_is_in_use(ada: Caller, stack: Stack) -> None:
    project = (await ada.project())["id"]
    path = f"/projects/{project}/workflow"
    stack.projector.pause()
    try:
        await ada.task(project_id=project)
        response = await ada.put(path, {"statuses": SHORT})
        refused(response, 503, "unavailable")
        assert "retry-after" in response.headers
        # Where everything is named there is nothing to ask.
        await set_to(ada, project, SHORT, mapping=TO_SHORT)
    finally:
        stack.projector.resume()


async def test_tasks_by_status_are_found_in_more_projects_than_are_read_at_once(
    ada: Caller, other_http: httpx.AsyncClient
) -> None:
    expected, position = [], 0
    calendar = accepted(await ada.post("/users/me/calendar"), 201)
    for number in range(AT_ONCE_MAX + 2):
        project = (await ada.project(f"{number}"))["id"]
        if number % 2:
            await set_to(ada, project, SHORT, mapping=TO_SHORT)
        task = await ada.task(f"{number}", project_id=project, due_at="2030-01-01T00:00:00Z")
        expected.append(task["id"])
        done = accepted(await ada.post(f"/tasks/{(await ada.task('done', project_id=project))['id']}/complete"))
        position = done["position"]
    elsewhere = replace(ada, http=other_http)
    found = accepted(await elsewhere.read("/tasks", position, category="todo", sort="created_at"))
    assert [task["id"] for task in found["items"]] == expected
    assert {task["status"] for task in found["items"]} == {"todo", "open"}
    shut = accepted(await elsewhere.read("/tasks", position, status="shut"))
    assert len(shut["items"]) == (AT_ONCE_MAX + 2) // 2
    feed = await other_http.get(f"/api/v1/calendar/{calendar['secret']}.ics")
    assert feed.text.count("BEGIN:VEVENT") == AT_ONCE_MAX + 2
