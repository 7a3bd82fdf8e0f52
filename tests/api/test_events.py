"""The log as somebody may see it: complete, at once, in pages and as files; and never more than is theirs."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from taskflow.commands.catalog import handler_of
from taskflow.commands.task import EditTask
from tests.api.beside import Beside
from tests.api.stack import Caller, Stack, accepted, refused
from tests.api.test_stream import SECONDS_MAX, answers, gauge, started

NDJSON, CSV = "application/x-ndjson", "text/csv"


async def every(caller: Caller, **parameters: Any) -> list[dict[str, Any]]:
    """All pages, put together."""
    items: list[dict[str, Any]] = []
    position = parameters.pop("after", 0)
    while True:
        response = await caller.get("/events", params=parameters | {"after": position})
        page = accepted(response)
        assert all(position < one["position"] <= page["position"] for one in page["items"])
        assert ("link" in response.headers) == (page["next_cursor"] is not None)
        items += page["items"]
        position = page["position"]
        if page["next_cursor"] is None:
            return items


async def file(caller: Caller, form: str, **parameters: Any) -> httpx.Response:
    response = await caller.get("/events", params=parameters, headers={"Accept": form})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith(form)
    return response


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    # Line breaks of other kinds stand in texts.
    return [json.loads(line) for line in response.text.split("\n") if line]


async def worked(ada: Caller) -> dict[str, Any]:
    """A project with a little history; its events by position, as the tasks themselves say."""
    project = await ada.project()
    began = project["position"] - 1
    tasks = [await ada.task(f"{number}", project_id=project["id"]) for number in range(3)]
    for task in tasks:
        accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "new", "priority": "high"}))
    accepted(await ada.post(f"/tasks/{tasks[0]['id']}/complete"))
    return {"id": project["id"], "after": began, "tasks": [task["id"] for task in tasks]}


# --- what is in it


async def test_everything_of_ones_projects_in_pages_of_any_size(ada: Caller, bob: Caller) -> None:
    project = await worked(ada)
    await bob.task("somebody else's")
    whole = await every(ada)
    assert [one["position"] for one in whole] == sorted({one["position"] for one in whole})
    assert {one["type"] for one in whole} == {
        "ProjectCreated", "TaskCreated", "TaskRetitled", "TaskPrioritised", "TaskStatusChanged",
    }  # fmt: skip
    for task in project["tasks"]:
        history = accepted(await ada.get(f"/tasks/{task}/events"))["items"]
        assert [one for one in whole if one["stream_id"] == task] == history
    for limit in (1, 2, 200):
        assert await every(ada, limit=limit) == whole
    # By cursor, and by the link.
    first = accepted(await ada.get("/events", params={"limit": 5}))
    rest = accepted(await ada.get("/events", params={"cursor": first["next_cursor"], "limit": 200}))
    assert first["items"] + rest["items"] == whole
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", first["next_cursor"])
    # Past the end there is nothing, and the place is kept.
    beyond = accepted(await ada.get("/events", params={"after": 2**61}))
    assert beyond == {"items": [], "next_cursor": None, "position": 2**61}


async def test_every_filter_narrows(ada: Caller) -> None:
    project = await worked(ada)
    whole = await every(ada)
    task = project["tasks"][1]
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"project": project["id"]}, lambda one: one["position"] > project["after"]),
        ({"stream": task}, lambda one: one["stream_id"] == task),
        ({"stream": [task, project["id"]]}, lambda one: one["stream_id"] in {task, project["id"]}),
        ({"type": "TaskRetitled"}, lambda one: one["type"] == "TaskRetitled"),
        ({"type": ["TaskRetitled", "TaskCreated"], "project": project["id"]},
         lambda one: one["type"] in {"TaskRetitled", "TaskCreated"} and one["position"] > project["after"]),
        ({"actor": ada.id}, lambda one: one["actor"] == ada.id),
        ({"actor": "system"}, lambda one: one["actor"] == "system"),
        ({"actor": ["system", ada.id]}, lambda _: True),
        ({"actor": str(uuid4())}, lambda _: False),
        ({"after": whole[3]["position"]}, lambda one: one["position"] > whole[3]["position"]),
    ]  # fmt: skip
    middle, late = whole[2], whole[-2]
    for clock, field in (("occurred", "occurred_at"), ("recorded", "recorded_at")):
        between = {"from": middle[field], "to": late[field], "clock": clock}
        cases.append((between, lambda one, field=field: middle[field] <= one[field] < late[field]))
    for parameters, wanted in cases:
        expected = [one for one in whole if wanted(one)]
        assert await every(ada, **parameters) == expected, parameters
        assert lines(await file(ada, NDJSON, **parameters)) == expected, parameters


async def test_when_it_happened_is_not_when_it_was_recorded(ada: Caller) -> None:
    """An import tells of years ago: that is what `from` and `to` look at."""
    await ada.task("now")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert await every(ada, **{"from": tomorrow}) == []
    assert len(await every(ada, to=tomorrow)) == len(await every(ada)) > 0


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ({"type": "NoSuchEvent"}, "type"),
        ({"after": "-1"}, "after"),
        ({"after": "x"}, "after"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-01"}, "to"),
        ({"clock": "wall"}, "clock"),
        ({"stream": "x"}, "stream"),
        ({"project": "x"}, "project"),
        ({"actor": "nobody"}, "actor"),
        ({"limit": "201"}, "limit"),
        ({"cursor": "xx"}, "cursor"),
        ({"kind": "task"}, "kind"),
    ],
)
async def test_what_is_no_filter_is_400(ada: Caller, parameters: dict[str, str], pointer: str) -> None:
    for form in ("application/json", NDJSON):
        problem = refused(await ada.get("/events", params=parameters, headers={"Accept": form}), 400, "validation")
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


async def test_every_write_that_was_acknowledged_is_there_in_every_process(
    ada: Caller, other_http: httpx.AsyncClient
) -> None:
    there = Caller(other_http, ada.id, ada.name, ada.token)
    for number in range(20):
        project = await ada.project(f"{number}")
        task = await ada.task(project_id=project["id"])
        for form in ("application/json", NDJSON):
            parameters = {"after": project["position"] - 1, "project": project["id"]}
            response = await there.get("/events", params=parameters, headers={"Accept": form})
            found = lines(response) if form == NDJSON else accepted(response)["items"]
            assert [one["position"] for one in found] == [project["position"], task["position"]]
            assert int(response.headers["taskflow-position"]) >= task["position"]


# --- whose it is


async def test_a_moved_tasks_whole_history_belongs_to_its_present_project(ada: Caller, bob: Caller) -> None:
    old, new = await ada.project("old"), await ada.project("new")
    await ada.add(old["id"], bob, "viewer")
    task = await ada.task(project_id=old["id"])
    accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "renamed"}))
    assert len(await every(bob, stream=task["id"])) == 2
    accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": new["id"]}))
    refused(await bob.get("/events", params={"stream": task["id"]}), 404, "not-found")
    assert task["id"] not in {one["stream_id"] for one in await every(bob)}
    assert task["id"] not in {one["stream_id"] for one in lines(await file(bob, NDJSON))}
    assert task["id"] not in {one["stream_id"] for one in await activity(bob, old["id"])}
    await ada.add(new["id"], bob, "viewer")
    found = await every(bob, project=new["id"], stream=task["id"])
    assert [one["type"] for one in found] == ["TaskCreated", "TaskRetitled", "TaskMoved"]


async def test_access_to_the_past_is_todays(ada: Caller, bob: Caller, other_http: httpx.AsyncClient) -> None:
    there = Caller(other_http, bob.id, bob.name, bob.token)
    project = await worked(ada)
    refused(await there.get("/events", params={"project": project["id"]}), 404, "not-found")
    await ada.add(project["id"], bob, "viewer")
    # What was granted a moment ago counts everywhere.
    before = await every(there, project=project["id"])
    assert before == await every(ada, project=project["id"])
    removed = accepted(await ada.delete(f"/projects/{project['id']}/members/{bob.id}"))
    gone = {"project": project["id"], "min_position": removed["position"]}
    refused(await there.get("/events", params=gone), 404, "not-found")
    assert {one["actor"] for one in await every(bob)} == {bob.id}


async def test_an_analyst_sees_all_but_knows_only_whom_they_share_a_project_with(
    ada: Caller, bob: Caller, person: Any, beside: Beside
) -> None:
    carol = await person("Carol")
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    private = await carol.task("private")
    refused(await ada.get("/events", params={"stream": private["id"]}), 404, "not-found")
    refused(await ada.get("/events", params={"stream": ada.id}), 404, "not-found")
    for role in ("analyst", "admin"):
        await beside.grant(ada.id, role)
        whole = await every(ada)
        assert [one["position"] for one in whole] == list(range(1, whole[-1]["position"] + 1))
        assert accepted(await ada.get("/events", params={"project": carol.inbox or await _inbox(carol)}))["items"]
        registered = {one["stream_id"]: one["data"] for one in whole if one["type"] == "UserRegistered"}
        assert registered[bob.id]["name"] == "Bob"
        assert registered[ada.id]["name"] == "Ada Lovelace"
        assert (registered[carol.id]["name"], registered[carol.id]["email"]) == (None, None)
        assert {data["password_hash"] for data in registered.values()} == {None}
        started = [one["data"] for one in whole if one["type"] == "SessionStarted"]
        assert all(data.get("agent") is None for data in started if data["user_id"] == carol.id)
        assert any(data.get("agent") for data in started if data["user_id"] == bob.id)
        everything = (await file(ada, NDJSON)).text
        assert "Carol" not in everything
        assert "~1." not in everything, "nothing sealed is shown either"
        assert lines(await file(ada, NDJSON, to=whole[-1]["recorded_at"], clock="recorded")) == [
            one for one in whole if one["recorded_at"] < whole[-1]["recorded_at"]
        ]
    await beside.grant(ada.id)
    assert private["id"] not in {one["stream_id"] for one in await every(ada)}


async def _inbox(who: Caller) -> str:
    listed = accepted(await who.get("/projects"))["items"]
    inbox: str = next(one["id"] for one in listed if one["name"] == "Inbox")
    return inbox


# --- files


async def test_files_hold_what_the_pages_hold(ada: Caller) -> None:
    await worked(ada)
    await ada.task('comma, "quotes"\nand a\r\nline 🐻', description="=1+1")
    whole = await every(ada)
    response = await file(ada, NDJSON, limit=1)
    assert lines(response) == whole, "a file is whole"
    assert int(response.headers["taskflow-position"]) >= whole[-1]["position"]
    table = list(csv.reader(io.StringIO((await file(ada, CSV)).text, newline="")))
    header, *rows = table
    assert header == list(whole[0])
    for row, one in zip(rows, whole, strict=True):
        texts = {name: "" if value is None else str(value) for name, value in one.items()}
        found = dict(zip(header, row, strict=True))
        assert json.loads(found.pop("data")) == one["data"]
        del texts["data"]
        assert found == texts


async def test_a_spreadsheet_computes_nothing_of_a_file(ada: Caller) -> None:
    for formula in ("=cmd|'/C_calc'!A0", "+1", "-1", "@SUM(1)"):
        accepted(await ada.post("/tasks", {"title": formula}, headers={"X-Request-ID": formula}), 201)
    header, *rows = csv.reader(io.StringIO((await file(ada, CSV)).text, newline=""))
    assert len({row[header.index("correlation_id")] for row in rows[-4:]}) == 4
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


async def test_an_empty_file_is_a_file(ada: Caller) -> None:
    nothing = {"actor": str(uuid4())}
    assert (await file(ada, NDJSON, **nothing)).text == ""
    assert (await file(ada, CSV, **nothing)).text.count("\n") == 1


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png", "", "text/csv;q=0.1, application/json"])
async def test_whoever_asks_for_no_file_gets_pages(ada: Caller, accept: str) -> None:
    response = await ada.get("/events", headers={"Accept": accept})
    assert response.headers["content-type"] == "application/json"


async def test_a_file_that_breaks_off_is_not_taken_for_whole(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    """The process stops while the client is still reading: it is gone in time, and the client knows."""
    for number in range(120):
        await ada.task("large", description=f"{number}" * 30_000)
    process, url = started(stack, tmp_path)
    try:
        await answers(url)
        request = httpx.Request("GET", f"{url}/api/v1/events", headers={
            "Authorization": f"Bearer {ada.token}", "Accept": NDJSON,
        })  # fmt: skip
        async with httpx.AsyncClient(timeout=30) as http:
            response = await http.send(request, stream=True)
            assert response.status_code == 200
            process.send(signal.SIGTERM)
            told = time.monotonic()
            assert await asyncio.to_thread(process.wait) == 0
            assert time.monotonic() - told < SECONDS_MAX
            with pytest.raises(httpx.RemoteProtocolError):
                await response.aread()
            await response.aclose()
    finally:
        process.end()


async def test_a_client_that_leaves_a_file_leaves_nothing_behind(ada: Caller, stack: Stack) -> None:
    for number in range(120):
        await ada.task("large", description=f"{number}" * 30_000)
    await ada.http.get("/livez")
    before = await gauge(ada.http, "taskflow_loop_tasks")
    # As many as one caller may have at once.
    opened = [await _file_unread(stack.urls[0], ada.token) for _ in range(4)]
    assert await gauge(ada.http, "taskflow_loop_tasks") >= before + 4
    for writer in opened:
        writer.transport.abort()
    deadline = time.monotonic() + 20
    while await gauge(ada.http, "taskflow_loop_tasks") > before + 2:
        assert time.monotonic() < deadline


async def _file_unread(url: str, token: str) -> Any:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: {NDJSON}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
    return writer


# --- activity


async def activity(caller: Caller, project: str, **parameters: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = accepted(await caller.get(f"/projects/{project}/activity", params=parameters | cursor))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def test_activity_is_a_projects_events_newest_first(ada: Caller, bob: Caller) -> None:
    project = await worked(ada)
    await ada.task("elsewhere")
    await ada.add(project["id"], bob, "viewer")
    expected = (await every(ada, project=project["id"]))[::-1]
    assert [one["type"] for one in expected[:2]] == ["InvitationAccepted", "MemberAdded"]
    for limit in (1, 4, 200):
        assert await activity(bob, project["id"], limit=limit) == expected
    # Stable while more happens.
    first = accepted(await ada.get(f"/projects/{project['id']}/activity", params={"limit": 3}))
    await ada.task("newer", project_id=project["id"])
    cursor = {"cursor": first["next_cursor"], "limit": 200}
    rest = accepted(await ada.get(f"/projects/{project['id']}/activity", params=cursor))
    assert first["items"] + rest["items"] == expected
    refused(await ada.get(f"/projects/{project['id']}/activity", params={"cursor": "x"}), 400, "validation")
    other = {"cursor": accepted(await ada.get("/events", params={"limit": 1}))["next_cursor"]}
    refused(await ada.get(f"/projects/{project['id']}/activity", params=other), 400, "validation")


class TestByCause:
    async def test_a_request_is_found_by_its_id_however_it_was_said(self, ada: Caller, bob: Caller) -> None:
        given = f"nightly run of {ada.name}".replace(" ", "-") + uuid4().hex
        made = [
            accepted(await ada.post("/tasks", {"title": title}, headers={"X-Request-ID": given}), 201)["id"]
            for title in ("one", "two")
        ]
        accepted(await ada.post("/tasks", {"title": "other"}), 201)
        [first, second] = await every(ada, correlation=given)
        assert [first["stream_id"], second["stream_id"]] == made
        assert await every(ada, correlation=first["correlation_id"]) == [first, second], "by what stands for it too"
        assert await every(ada, correlation=first["correlation_id"].upper()) == [first, second]
        assert await every(bob, correlation=given) == [], "of nobody else's projects"
        found = await every(ada, correlation=[given, "nothing"], stream=made[1])
        assert found == [second]

    async def test_a_command_is_found_by_its_id(self, ada: Caller, bob: Caller) -> None:
        key = str(uuid4())
        task = accepted(await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": key}), 201)["id"]
        [event] = await every(ada, command=key)
        assert (event["stream_id"], event["command_id"]) == (task, key)
        assert await every(bob, command=key) == []
        refused(await ada.get("/events", params={"command": "x"}), 400, "validation")

    async def test_what_an_earlier_release_stored_is_found_as_it_was_said(self, ada: Caller, beside: Beside) -> None:
        """Request ids stood in events as they came."""
        given = f"of-before-{uuid4().hex}"
        task = UUID((await ada.task("x"))["id"])
        await beside.command(
            ada.id, datetime.now(UTC), handler_of(EditTask), task, EditTask(title="y"), correlation_id=given
        )
        [event] = await every(ada, correlation=given)
        assert (event["type"], event["correlation_id"]) == ("TaskRetitled", given)

    @pytest.mark.parametrize("text", ["", "\0", "a b", "ä" * 200])
    async def test_what_no_request_can_be_called_finds_nothing(self, ada: Caller, text: str) -> None:
        assert await every(ada, correlation=text) == []
