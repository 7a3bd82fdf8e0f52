"""A task moves to another project, and so does everybody's access to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.stack import Caller, accepted, refused


async def two_projects(ada: Caller, bob: Caller, role: str | None = None) -> tuple[str, str]:
    """One that Bob is a member of, and one where he has a role, or none."""
    here, there = (await ada.project("here"))["id"], (await ada.project("there"))["id"]
    await ada.add(here, bob)
    if role is not None:
        await ada.add(there, bob, role)
    return here, there


async def count(caller: Caller, project: str, position: int) -> int:
    board = accepted(await caller.read(f"/projects/{project}/board", position))
    return sum(column["count"] for column in board["columns"])


class TestMoving:
    async def test_is_one_event_and_answers_the_task(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob)
        parent = await ada.task("parent", project_id=here)
        task = await ada.task(
            "T", project_id=here, labels=["a", "b"], assignee_id=bob.id, parent_id=parent["id"], status="in_progress"
        )
        child = await ada.task("child", project_id=here, parent_id=task["id"])
        body = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": there}))
        assert (body["project_id"], body["version"], body["status"]) == (there, 2, "in_progress")
        assert (body["labels"], body["assignee"], body["parent_id"]) == (["a", "b"], None, None)
        assert body["rank"] > task["rank"]
        assert body["started_at"] == task["started_at"]
        found = accepted(await ada.read(f"/tasks/{task['id']}", body["position"]))
        assert found == {name: value for name, value in body.items() if name != "position"}
        below = accepted(await ada.get(f"/tasks/{child['id']}"))
        assert (below["project_id"], below["parent_id"]) == (there, task["id"])
        assert below["rank"] > body["rank"]
        assert accepted(await ada.get(f"/tasks/{parent['id']}"))["project_id"] == here

    async def test_takes_along_an_assignee_who_is_a_member_there(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob, "viewer")
        task = await ada.task(project_id=here, assignee_id=bob.id)
        body = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": there, "status": "done"}))
        assert body["assignee"] == {"id": bob.id, "name": "Bob"}
        assert (body["status"], body["completed_at"]) == ("done", body["updated_at"])

    async def test_takes_it_from_one_board_and_list_to_the_others(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob)
        task = await ada.task(project_id=here)
        assert await count(ada, here, task["position"]) == 1
        assert await count(ada, there, task["position"]) == 0
        accepted(await ada.read("/tasks", task["position"], project=here))
        position = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": there}))["position"]
        assert (await count(ada, here, position), await count(ada, there, position)) == (0, 1)
        for project, expected in ((here, []), (there, [task["id"]])):
            listed = accepted(await ada.read("/tasks", position, project=project))
            assert [one["id"] for one in listed["items"]] == expected
        back = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": here}))["position"]
        assert (await count(ada, here, back), await count(ada, there, back)) == (1, 0)

    async def test_to_the_inbox_and_into_its_own_project(self, ada: Caller) -> None:
        inbox = (await ada.task())["project_id"]
        project = (await ada.project())["id"]
        task = await ada.task(project_id=project)
        same = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": project}))
        assert (same["version"], same["position"]) == (1, task["position"])
        started = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": project, "status": "done"}))
        assert (started["version"], started["status"], started["rank"]) == (2, "done", task["rank"])
        applied = accepted(await ada.command("MoveTask", task["id"], data={"project_id": inbox}))
        assert [event["type"] for event in applied["events"]] == ["TaskMoved"]
        assert applied["result"]["project_id"] == inbox

    async def test_a_repeat_has_the_same_answer(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob)
        task = await ada.task(project_id=here)
        headers = {"Idempotency-Key": str(uuid4())}
        first = await ada.post(f"/tasks/{task['id']}/move", {"project_id": there}, headers=headers)
        accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": here}))
        again = await ada.post(f"/tasks/{task['id']}/move", {"project_id": there}, headers=headers)
        assert (again.status_code, again.content) == (200, first.content)
        assert accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"][-1]["stream_version"] == 3


class TestAccess:
    async def test_who_is_of_the_old_project_alone_sees_it_no_more(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient
    ) -> None:
        elsewhere = Caller(other_http, bob.id, bob.name, bob.token)
        here, there = await two_projects(ada, bob)
        headers = {"Idempotency-Key": str(uuid4())}
        task = accepted(await bob.post("/tasks", {"title": "mine", "project_id": here}, headers=headers), 201)
        path = f"/tasks/{task['id']}"
        accepted(await elsewhere.get(f"{path}/events"))
        accepted(await elsewhere.patch(path, {"title": "still mine"}))
        moved = accepted(await ada.post(f"{path}/move", {"project_id": there}))
        # What reads the log, and every write, at once and in every process.
        for caller in (elsewhere, bob):
            refused(await caller.get(f"{path}/events"), 404, "not-found")
            refused(await caller.patch(path, {"title": "no more"}), 404, "not-found")
            refused(await caller.post(f"{path}/move", {"project_id": here}), 404, "not-found")
            refused(await caller.post(f"{path}/rank", {"after": task["id"]}), 404, "not-found")
            response = await caller.post("/tasks", {"title": "mine", "project_id": here}, headers=headers)
            refused(response, 404, "not-found")
            # What reads a view, once that is there.
            refused(await caller.read(path, moved["position"]), 404, "not-found")
            listed = accepted(await caller.read("/tasks", moved["position"]))["items"]
            assert task["id"] not in {one["id"] for one in listed}
            assert await count(caller, here, moved["position"]) == 0

    async def test_who_is_of_the_new_project_alone_sees_it(self, ada: Caller, bob: Caller) -> None:
        here, there = (await ada.project())["id"], (await ada.project())["id"]
        await ada.add(there, bob)
        task = await ada.task(project_id=here)
        path = f"/tasks/{task['id']}"
        refused(await bob.get(path), 404, "not-found")
        moved = accepted(await ada.post(f"{path}/move", {"project_id": there}))
        accepted(await bob.read(path, moved["position"]))
        assert len(accepted(await bob.get(f"{path}/events"))["items"]) == 2
        accepted(await bob.patch(path, {"title": "mine now"}))

    @pytest.mark.parametrize(
        ("role", "status", "slug"), [(None, 404, "not-found"), ("viewer", 403, "forbidden"), ("member", 200, "")]
    )
    async def test_takes_a_member_of_both(
        self, ada: Caller, bob: Caller, role: str | None, status: int, slug: str
    ) -> None:
        here, there = await two_projects(ada, bob, role)
        task = await ada.task(project_id=here)
        responses = [
            await bob.command("MoveTask", task["id"], data={"project_id": there}),
            await bob.post(f"/tasks/{task['id']}/move", {"project_id": there}),
        ]
        for response in responses:
            assert response.status_code == status, response.text
            if slug:
                refused(response, status, slug)

    async def test_a_viewer_takes_nothing_away(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob, "member")
        await ada.add(here, bob, "viewer")
        task = await ada.task(project_id=here)
        refused(await bob.post(f"/tasks/{task['id']}/move", {"project_id": there}), 403, "forbidden")
        for project in (str(uuid4()), task["id"], ada.id):
            refused(await ada.post(f"/tasks/{task['id']}/move", {"project_id": project}), 404, "not-found")


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "pointer", "code"),
        [
            ({}, "/project_id", "required"),
            ({"project_id": None}, "/project_id", "type"),
            ({"project_id": "inbox"}, "/project_id", "format"),
            ({"project_id": str(uuid4()), "status": ""}, "/status", "length"),
            ({"project_id": str(uuid4()), "parent_id": None}, "/parent_id", "unknown-field"),
        ],
    )
    async def test_a_bad_field_is_named(self, ada: Caller, body: dict[str, Any], pointer: str, code: str) -> None:
        task = await ada.task()
        problem = refused(await ada.post(f"/tasks/{task['id']}/move", body), 400, "validation")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]

    async def test_a_status_that_is_not_there(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob)
        task = await ada.task(project_id=here)
        response = await ada.post(f"/tasks/{task['id']}/move", {"project_id": there, "status": "waiting"})
        refused(response, 409, "command-rejected", "no-such-status")

    async def test_the_trash_and_the_archives(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob)
        task = await ada.task(project_id=here)
        path, body = f"/tasks/{task['id']}/move", {"project_id": there}
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        refused(await ada.post(path, body), 409, "command-rejected", "trashed")
        accepted(await ada.post(f"/tasks/{task['id']}/restore"))
        for project in (here, there):
            accepted(await ada.delete(f"/projects/{project}"))
            refused(await ada.post(path, body), 409, "command-rejected", "project-archived")
            accepted(await ada.post(f"/projects/{project}/unarchive"))
        accepted(await ada.post(path, body))

    async def test_a_stale_version_is_412_and_only_for_whom_it_may_concern(self, ada: Caller, bob: Caller) -> None:
        here, there = await two_projects(ada, bob)
        task = await ada.task(project_id=here)
        path = f"/tasks/{task['id']}"
        accepted(await ada.patch(path, {"title": "x"}))
        problem = refused(
            await ada.post(f"{path}/move", {"project_id": there}, headers={"If-Match": '"1"'}), 412, "version-conflict"
        )
        assert (problem["current_version"], len(problem["events"])) == (2, 1)
        refused(await bob.post(f"{path}/move", {"project_id": there}, headers={"If-Match": '"1"'}), 404, "not-found")
        accepted(await ada.post(f"{path}/move", {"project_id": there}, headers={"If-Match": '"2"'}))


async def tree(caller: Caller, project: str) -> list[dict[str, Any]]:
    """A top, a part of it and a part of that."""
    made: list[dict[str, Any]] = []
    for title in ("top", "part", "part of the part"):
        parent = {"parent_id": made[-1]["id"]} if made else {}
        made.append(await caller.task(title, project_id=project, **parent))
    return made


async def places(caller: Caller, position: int, tasks: Iterable[dict[str, Any]]) -> list[str]:
    found = [accepted(await caller.read(f"/tasks/{one['id']}", position)) for one in tasks]
    return [one["project_id"] for one in found]


class TestSubtasks:
    async def test_go_along_everywhere_it_is_seen(self, ada: Caller, bob: Caller) -> None:
        here = (await ada.project())["id"]
        there = (await ada.project())["id"]
        position = (await ada.add(here, bob))["position"]
        tasks = await tree(ada, here)
        token = accepted(await bob.read("/sync", tasks[-1]["position"]))["token"]
        answer = accepted(await ada.command("MoveTask", tasks[0]["id"], data={"project_id": there, "status": "done"}))
        assert [one["stream_id"] for one in answer["events"]] == [one["id"] for one in tasks]
        assert {one["type"] for one in answer["events"]} == {"TaskMoved"}
        assert (answer["version"], answer["position"]) == (2, answer["events"][-1]["position"])
        assert answer["result"]["id"] == tasks[0]["id"]
        position = answer["position"]
        assert (await count(ada, here, position), await count(ada, there, position)) == (0, 3)
        listed = accepted(await ada.read("/tasks", position, project=there, sort="rank"))["items"]
        assert [one["title"] for one in listed] == ["top", "part", "part of the part"]
        assert [one["status"] for one in listed] == ["done", "todo", "todo"]
        assert [one["parent_id"] for one in listed] == [None, tasks[0]["id"], tasks[1]["id"]]
        changes = accepted(await bob.get("/sync", params={"token": token, "min_position": position}))
        assert {one["id"] for one in changes["removed"]} == {one["id"] for one in tasks}
        for one in tasks:
            refused(await bob.read(f"/tasks/{one['id']}", position), 404, "not-found")
            history = accepted(await ada.get(f"/tasks/{one['id']}/events"))["items"]
            assert (history[-1]["type"], history[-1]["command_id"]) == ("TaskMoved", answer["id"])

    async def test_come_back_with_it_wherever_that_is_asked(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        here, there = [(await ada.project())["id"] for _ in range(2)]
        elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
        tasks = await tree(ada, here)
        for at in range(3):
            moved = accepted(await ada.post(f"/tasks/{tasks[0]['id']}/move", {"project_id": there}))
            assert await places(elsewhere, moved["position"], tasks) == [there] * 3
            undone = accepted(await elsewhere.post(f"/tasks/{tasks[at]['id']}/undo"))
            assert (undone["id"], undone["project_id"]) == (tasks[at]["id"], here)
            assert await places(ada, undone["position"], tasks) == [here] * 3
        redone = accepted(await ada.post(f"/tasks/{tasks[2]['id']}/undo", {"version": undone["version"]}))
        assert await places(ada, redone["position"], tasks) == [there] * 3
        away = (await ada.project())["id"]
        moved = accepted(await ada.post(f"/tasks/{tasks[2]['id']}/move", {"project_id": away}))
        refused(
            await ada.post(f"/tasks/{tasks[0]['id']}/undo", {"version": 2}), 409, "command-rejected", "changed-since"
        )
        assert await places(ada, moved["position"], tasks) == [there, there, away]

    async def test_a_repeat_is_answered_as_the_first(self, ada: Caller) -> None:
        here, there = [(await ada.project())["id"] for _ in range(2)]
        tasks = await tree(ada, here)
        key = {"Idempotency-Key": "move them"}
        first, again = [
            await ada.post(f"/tasks/{tasks[0]['id']}/move", {"project_id": there}, headers=key) for _ in range(2)
        ]
        assert accepted(first) == accepted(again)
        assert again.headers["idempotency-replayed"] == "true"

    async def test_of_two_who_add_and_move_at_once_nobody_tears_the_tree(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient
    ) -> None:
        here, there = await two_projects(ada, bob, "member")
        bob = Caller(other_http, bob.id, bob.name, bob.token)
        top = await ada.task("top", project_id=here)
        made: list[dict[str, Any]] = []
        position = 0

        async def add() -> None:
            for n in range(40):
                for project in (here, there):
                    parent = made[-1] if made and n % 3 else top
                    data = {"title": str(n), "project_id": project, "parent_id": parent["id"]}
                    response = await bob.post("/tasks", data)
                    if response.status_code != 404:
                        made.append(accepted(response, 201))

        async def move() -> None:
            nonlocal position
            for n in range(20):
                path = f"/tasks/{top['id']}"
                if n % 4 == 3:
                    body = accepted(await ada.post(f"{path}/undo"))
                else:
                    body = accepted(await ada.post(f"{path}/move", {"project_id": here if n % 2 else there}))
                position = body["position"]

        await asyncio.gather(add(), move())
        assert made
        position = max(position, made[-1]["position"])
        assert set(await places(ada, position, made)) == set(await places(bob, position, [top]))
