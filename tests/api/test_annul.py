"""Annulling over HTTP: what it answers, and what every way to read the task says before and after it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.api.beside import Beside
from tests.api.stack import Caller, accepted, refused
from tests.api.test_past import PATCHES, without_position
from tests.api.test_past_board import board_at, shown

REASON = {"reason": "Imported twice"}


@pytest.fixture
async def root(bob: Caller, beside: Beside) -> Caller:
    """An admin of the system, in no project of Ada's."""
    await beside.grant(bob.id, "admin")
    return bob


async def history(caller: Caller, task: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = accepted(await caller.get(f"/tasks/{task['id']}/events"))["items"]
    return found


async def annul(root: Caller, ada: Caller, task: dict[str, Any], version: int, **headers: str) -> httpx.Response:
    event = (await history(ada, task))[version - 1]
    return await root.post(f"/admin/events/{event['position']}/annul", REASON, headers=headers)


async def patched(caller: Caller, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return accepted(await caller.patch(f"/tasks/{task['id']}", fields))


class TestAnswer:
    async def test_it_is_the_annulment_and_where_it_stands_in_the_log(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        wrote = await patched(ada, task, title="wrong")
        response = await annul(root, ada, task, 2)
        body = accepted(response, 201)
        assert body == {
            "task_id": task["id"], "annulled_position": wrote["position"], "annulled_version": 2,
            "reason": "Imported twice", "version": 3, "position": body["position"],
        }  # fmt: skip
        assert response.headers["taskflow-position"] == str(body["position"])
        assert response.headers["etag"].startswith('"3-')
        (event,) = accepted(await root.get(response.headers["location"].removeprefix("/api/v1")))["items"]
        assert (event["type"], event["position"], event["actor"]) == ("TaskEventAnnulled", body["position"], root.id)
        assert event["data"] == {"version": 2, "reason": "Imported twice"}

    async def test_a_repeat_is_answered_the_same_by_every_process(
        self, ada: Caller, root: Caller, other_http: httpx.AsyncClient
    ) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="wrong")
        first = await annul(root, ada, task, 2, **{"Idempotency-Key": f"annul {task['id']}"})
        await patched(ada, task, title="right")
        for http in (root.http, other_http):
            there = Caller(http, root.id, root.name, root.token)
            again = await annul(there, ada, task, 2, **{"Idempotency-Key": f"annul {task['id']}"})
            assert (again.status_code, again.content) == (201, first.content)
            assert again.headers["idempotency-replayed"] == "true"
            assert again.headers["location"] == first.headers["location"]
        other = {"reason": "Another"}
        path = f"/admin/events/{first.json()['annulled_position']}/annul"
        key = {"Idempotency-Key": f"annul {task['id']}"}
        refused(await root.post(path, other, headers=key), 422, "idempotency-key-reused")

    async def test_a_minimal_answer_names_the_task(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="wrong")
        body = accepted(await annul(root, ada, task, 2, Prefer="return=minimal"), 201)
        assert body == {"id": task["id"], "version": 3, "position": body["position"]}

    async def test_an_old_version_is_told_what_happened_since(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="wrong")
        problem = refused(await annul(root, ada, task, 2, **{"If-Match": '"1"'}), 412, "version-conflict")
        assert (problem["current_version"], [one["type"] for one in problem["events"]]) == (2, ["TaskRetitled"])
        assert accepted(await annul(root, ada, task, 2, **{"If-Match": '"2"'}), 201)["version"] == 3

    @pytest.mark.parametrize("position", ["999999999", "0", "-1", "x", "1.5", "٣", "1" * 40])
    async def test_a_position_without_an_event_is_404(self, root: Caller, position: str) -> None:
        refused(await root.post(f"/admin/events/{position}/annul", REASON), 404, "not-found")

    @pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": 1}, {"reason": "x" * 1001}])
    async def test_a_reason_is_needed(self, root: Caller, body: dict[str, Any]) -> None:
        refused(await root.post("/admin/events/1/annul", body), 400, "validation")

    async def test_what_cannot_be_annulled_says_why(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="wrong")
        problem = refused(await annul(root, ada, task, 1), 409, "command-rejected", "cannot-annul")
        assert "TaskCreated" in problem["detail"]
        accepted(await annul(root, ada, task, 2), 201)
        problem = refused(await annul(root, ada, task, 2), 409, "command-rejected", "cannot-annul")
        assert "by version 3" in problem["detail"]

    async def test_it_is_a_command_too_and_one_of_a_batch(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        for title in ("a", "b", "c"):
            await patched(ada, task, title=title)
        positions = [str(one["position"]) for one in await history(ada, task)]
        outcome = accepted(await root.command("AnnulEvent", positions[1], data=REASON))
        assert (outcome["outcome"], outcome["result"]["annulled_version"]) == ("applied", 2)
        commands = [
            {"id": f"00000000-0000-4000-8000-{number:012d}", "type": "AnnulEvent", "target": at, "data": REASON}
            for number, at in enumerate(positions[2:4])
        ]
        results = accepted(await root.post("/commands/batch", {"atomic": True, "commands": commands}))["results"]
        assert [one["version"] for one in results] == [6, 7]
        read = accepted(await ada.read(f"/tasks/{task['id']}", results[-1]["position"]))
        assert (read["title"], read["version"]) == ("T", 7)

    async def test_a_dry_run_says_what_would_be_left_and_stores_nothing(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        for title in ("a", "b"):
            await patched(ada, task, title=title)
        positions = [str(one["position"]) for one in await history(ada, task)]
        commands = [
            {"id": str(uuid4()), "type": "AnnulEvent", "target": at, "data": REASON}
            for at in (positions[2], positions[2], positions[0])
        ]
        tried = accepted(await root.post("/commands/batch", {"atomic": False, "dry_run": True, "commands": commands}))[
            "results"
        ]
        assert [one["outcome"] for one in tried] == ["applied", "rejected", "rejected"]
        assert tried[0]["result"]["annulled_version"] == 3
        assert [one["problem"]["code"] for one in tried[1:]] == ["cannot-annul"] * 2
        assert len(await history(ada, task)) == 3
        assert accepted(await annul(root, ada, task, 3), 201)["version"] == 4


class TestReads:
    async def test_every_view_is_as_if_it_had_not_happened(
        self, ada: Caller, root: Caller, other_http: httpx.AsyncClient
    ) -> None:
        project = (await ada.project())["id"]
        task = await ada.task("T", project_id=project)
        synced = accepted(await ada.read("/sync", task["position"]))
        while synced["more"]:
            synced = accepted(await ada.get("/sync", params={"token": synced["token"]}))
        wrote = await patched(ada, task, title="wrong", labels=["x"], status="done")
        accepted(await ada.read(f"/projects/{project}/board", wrote["position"]))
        types = [one["type"] for one in await history(ada, task)]
        for version, type_ in enumerate(types, 1):
            if type_ != "TaskCreated":
                position = accepted(await annul(root, ada, task, version), 201)["position"]
        for http in (ada.http, other_http):
            there = Caller(http, ada.id, ada.name, ada.token)
            read = accepted(await there.read(f"/tasks/{task['id']}", position))
            assert (read["title"], read["labels"], read["status"]) == ("T", [], "todo")
            assert (read["completed_at"], read["version"]) == (None, 2 * len(types) - 1)
            board = accepted(await there.read(f"/projects/{project}/board", position))
            assert shown(board) == {"todo": (1, ["T"]), "in_progress": (0, []), "done": (0, []), "cancelled": (0, [])}
            for filters, found in (({"label": "x"}, 0), ({"status": "done"}, 0), ({"q": "wrong"}, 0), ({"q": "T"}, 1)):
                listed = accepted(await there.read("/tasks", position, project=project, **filters))
                assert len(listed["items"]) == found, filters
        changed = accepted(await ada.read("/sync", position, token=synced["token"]))
        assert [(one["title"], one["version"]) for one in changed["tasks"]] == [("T", 2 * len(types) - 1)]

    async def test_the_past_stays_as_it_was_and_the_history_has_both(
        self, ada: Caller, root: Caller, other_http: httpx.AsyncClient
    ) -> None:
        project = (await ada.project())["id"]
        task = await ada.task("T", project_id=project)
        path = f"/tasks/{task['id']}"
        wrote = await patched(ada, task, title="wrong")
        done = accepted(await annul(root, ada, task, 2), 201)
        for http in (ada.http, other_http):
            there = Caller(http, ada.id, ada.name, ada.token)
            assert accepted(await there.get(path, params={"version": 2})) == without_position(wrote)
            assert accepted(await there.get(path, params={"at": wrote["updated_at"]})) == without_position(wrote)
            now = accepted(await there.get(path, params={"version": 3}))
            assert (now["title"], now["version"]) == ("T", 3)
            assert shown(await board_at(there, project, wrote["updated_at"]))["todo"] == (1, ["wrong"])
            assert shown(await board_at(there, project, now["updated_at"]))["todo"] == (1, ["T"])
            changes = accepted(await there.get(f"{path}/diff", params={"from": 1, "to": 2}))["changes"]
            assert changes == [{"field": "title", "from": "T", "to": "wrong"}]
            changes = accepted(await there.get(f"{path}/diff", params={"from": 2, "to": 3}))["changes"]
            assert changes == [{"field": "title", "from": "wrong", "to": "T"}]
            types = ["TaskCreated", "TaskRetitled", "TaskEventAnnulled"]
            assert [one["type"] for one in await history(there, task)] == types
            activity = accepted(await there.get(f"/projects/{project}/activity"))["items"]
            assert [one["type"] for one in activity[:3]] == types[::-1]
            logged = accepted(await there.get("/events", params={"stream": task["id"]}))["items"]
            assert [one["position"] for one in logged][1:] == [wrote["position"], done["position"]]

    async def test_comments_are_gone_with_their_event_and_come_back_with_that_of_their_deletion(
        self, ada: Caller, root: Caller
    ) -> None:
        task = await ada.task("T")
        path = f"/tasks/{task['id']}/comments"
        one, two = [accepted(await ada.post(path, {"body": body}), 201) for body in ("one", "two")]
        accepted(await ada.delete(f"{path}/{one['id']}"))
        accepted(await annul(root, ada, task, 3), 201)
        assert accepted(await ada.get(path))["items"] == []
        position = accepted(await annul(root, ada, task, 4), 201)["position"]
        assert [said["body"] for said in accepted(await ada.get(path))["items"]] == ["one"]
        assert accepted(await ada.read(f"/tasks/{task['id']}", position))["comment_count"] == 1
        refused(await ada.get(f"{path}/{two['id']}"), 404, "not-found")

    async def test_the_trash_gives_back_what_was_put_there_by_mistake(self, ada: Caller, root: Caller) -> None:
        task = await ada.task("T")
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        position = accepted(await annul(root, ada, task, 2), 201)["position"]
        listed = accepted(await ada.read("/tasks", position, project=task["project_id"]))["items"]
        assert [(one["id"], one["trashed_at"]) for one in listed] == [(task["id"], None)]


class TestBesideWriters:
    async def test_a_writer_that_never_stops_and_an_annulment_both_succeed(
        self, ada: Caller, root: Caller, other_http: httpx.AsyncClient
    ) -> None:
        """Through two processes; nobody who expects no version is told of a conflict."""
        there = Caller(other_http, ada.id, ada.name, ada.token)
        task = await ada.task("T")
        await patched(ada, task, description="wrong")

        async def write() -> None:
            for number in range(20):
                await patched((ada, there)[number % 2], task, title=f"T{number}")

        writing = asyncio.create_task(write())
        done = accepted(await annul(root, ada, task, 2), 201)
        await writing
        newest = (await history(ada, task))[-1]
        read = accepted(await there.read(f"/tasks/{task['id']}", newest["position"]))
        assert (read["title"], read["description"], read["version"]) == ("T19", "", 23)
        assert accepted(await ada.get(f"/tasks/{task['id']}", params={"version": done["version"]}))["description"] == ""


@hypothesis_settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(choices=st.lists(st.one_of(st.sampled_from(PATCHES), st.integers(1, 40)), max_size=12))
async def test_every_version_reads_as_its_write_answered_whatever_is_annulled_later(
    ada: Caller, root: Caller, other_http: httpx.AsyncClient, choices: list[Any]
) -> None:
    """A number annuls one of the events so far, if it can be annulled."""
    there = Caller(other_http, ada.id, ada.name, ada.token)
    made = await ada.post("/tasks", {"title": "T", "labels": ["red"]})
    task = accepted(made, 201)
    path = f"/tasks/{task['id']}"
    answers = {1: made.json()}
    for number, choice in enumerate(choices):
        writer = (ada, there)[number % 2]
        if isinstance(choice, int):
            version = choice % len(await history(ada, task)) + 1
            answer = await annul(root, ada, task, version)
            if answer.status_code == 409:
                assert answer.json()["code"] == "cannot-annul"
                continue
            done = accepted(answer, 201)
            read = accepted(await writer.read(path, done["position"]))
            assert read["version"] == done["version"]
            answers[done["version"]] = read
            continue
        method, below, body = choice
        filled = {name: ada.id if value == "{me}" else value for name, value in body.items()}
        answer = await writer.call(method, path + below, json=filled)
        if answer.status_code == 200:
            answers.setdefault(answer.json()["version"], answer.json())
    for version, wrote in answers.items():
        for reader in (ada, there):
            assert accepted(await reader.get(path, params={"version": version})) == without_position(wrote)
