"""Undo over HTTP: which change, what it answers, and how it is told in the history."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.beside import Beside
from tests.api.stack import Caller, accepted, refused


async def patched(caller: Caller, task: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return accepted(await caller.patch(f"/tasks/{task['id']}", fields))


async def undone(caller: Caller, task: dict[str, Any], version: int | None = None) -> dict[str, Any]:
    body = {} if version is None else {"version": version}
    return accepted(await caller.post(f"/tasks/{task['id']}/undo", body))


class TestUndo:
    async def test_repeated_calls_walk_back_to_the_creation(self, ada: Caller) -> None:
        task = await ada.task("T", labels=["red"])
        await patched(ada, task, title="a", labels=["blue"])
        accepted(await ada.post(f"/tasks/{task['id']}/complete"))
        await patched(ada, task, description="D")
        assert (await undone(ada, task))["description"] == ""
        assert (await undone(ada, task))["status"] == "todo"
        last = await undone(ada, task)
        assert (last["title"], last["labels"], last["completed_at"]) == ("T", ["red"], None)
        for _ in range(2):
            problem = refused(await ada.post(f"/tasks/{task['id']}/undo"), 409, "nothing-to-undo")
            assert "code" not in problem

    async def test_it_answers_the_task_like_every_write(self, ada: Caller) -> None:
        task = await ada.task()
        changed = await patched(ada, task, title="a")
        response = await ada.post(f"/tasks/{task['id']}/undo")
        body = accepted(response)
        assert body["version"] == changed["version"] + 1
        assert body["position"] > changed["position"]
        assert response.headers["taskflow-position"] == str(body["position"])
        assert response.headers["etag"].startswith(f'"{body["version"]}-')
        assert "location" not in response.headers
        read = await ada.read(f"/tasks/{task['id']}", body["position"])
        assert accepted(read) == {name: value for name, value in body.items() if name != "position"}

    async def test_a_version_names_a_change_and_an_undos_version_redoes_it(self, ada: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="a", priority="high")
        await patched(ada, task, title="b")
        once = await undone(ada, task, 2)
        assert (once["title"], once["priority"], once["version"]) == ("b", "medium", 5)
        again = await undone(ada, task, 5)
        assert (again["title"], again["priority"]) == ("b", "high")
        assert (await undone(ada, task))["title"] == "a", "the newest change that is none of undoing"
        last = await undone(ada, task)
        assert (last["title"], last["priority"]) == ("T", "medium"), "what was redone counts as not undone"

    async def test_what_changed_since_is_refused(self, ada: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="a")
        await patched(ada, task, title="b")
        refused(await ada.post(f"/tasks/{task['id']}/undo", {"version": 2}), 409, "command-rejected", "changed-since")

    @pytest.mark.parametrize("version", [1, 9, 2**40])
    async def test_the_creation_and_what_never_was(self, ada: Caller, version: int) -> None:
        task = await ada.task()
        await patched(ada, task, title="a")
        refused(await ada.post(f"/tasks/{task['id']}/undo", {"version": version}), 409, "nothing-to-undo")

    @pytest.mark.parametrize("body", [{"version": 0}, {"version": "2"}, {"version": 1.5}, {"versions": 2}])
    async def test_a_bad_body_is_named(self, ada: Caller, body: dict[str, Any]) -> None:
        task = await ada.task()
        refused(await ada.post(f"/tasks/{task['id']}/undo", body), 400, "validation")

    async def test_without_a_body_at_all(self, ada: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="a")
        assert accepted(await ada.call("POST", f"/tasks/{task['id']}/undo"))["title"] == "T"
        await patched(ada, task, title="a")
        assert (await undone(ada, task))["title"] == "T"
        await patched(ada, task, title="a")
        assert accepted(await ada.post(f"/tasks/{task['id']}/undo", {"version": None}))["title"] == "T"

    async def test_the_trash(self, ada: Caller) -> None:
        task = await ada.task()
        await patched(ada, task, title="a")
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        refused(await ada.post(f"/tasks/{task['id']}/undo", {"version": 2}), 409, "command-rejected", "trashed")
        assert (await undone(ada, task))["trashed_at"] is None
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        accepted(await ada.post(f"/tasks/{task['id']}/restore"))
        assert (await undone(ada, task))["trashed_at"] is not None

    async def test_any_text_comes_back(self, ada: Caller) -> None:
        text = "Ünïcödé 👩‍👩‍👧‍👦 \u202e \x00 \\ \" '"
        task = await ada.task(text, description="x" * 100_000)
        await patched(ada, task, title="a", description=None)
        back = await undone(ada, task)
        assert (back["title"], back["description"]) == (text, "x" * 100_000)

    async def test_the_history_tells_what_was_undone(self, ada: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="a", priority="low")
        await undone(ada, task)
        events = accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"]
        assert [event["type"] for event in events[3:]] == ["TaskRetitled", "TaskPrioritised"]
        assert {event["causation_id"] for event in events[3:]} == {events[1]["event_id"]}
        assert {event["causation_id"] for event in events[:3]} == {None}

    async def test_a_comment_is_its_authors_or_an_admins(self, ada: Caller, bob: Caller) -> None:
        project = (await ada.project())["id"]
        await ada.add(project, bob)
        task = await ada.task(project_id=project)
        accepted(await ada.post(f"/tasks/{task['id']}/comments", {"body": "Ada's"}), 201)
        refused(await bob.post(f"/tasks/{task['id']}/undo"), 403, "forbidden")
        assert (await undone(ada, task))["comment_count"] == 0
        assert (await undone(ada, task, 3))["comment_count"] == 1
        accepted(await bob.post(f"/tasks/{task['id']}/comments", {"body": "Bob's"}), 201)
        assert (await undone(bob, task))["comment_count"] == 1
        assert (await undone(ada, task, 6))["comment_count"] == 2, "an owner is an admin too"

    async def test_a_purged_task_is_not_found(self, beside: Beside, ada: Caller) -> None:
        task = await ada.task()
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        await beside.purge(task["id"])
        refused(await ada.post(f"/tasks/{task['id']}/undo"), 404, "not-found")

    async def test_moving_back_takes_both_projects(self, ada: Caller, bob: Caller) -> None:
        here, there = (await ada.project())["id"], (await ada.project())["id"]
        await ada.add(there, bob)
        task = await ada.task(project_id=here)
        accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": there}))
        refused(await bob.post(f"/tasks/{task['id']}/undo"), 404, "not-found")
        await ada.add(here, bob, "viewer")
        refused(await bob.post(f"/tasks/{task['id']}/undo"), 403, "forbidden")
        await ada.add(here, bob, "member")
        body = await undone(bob, task)
        assert (body["project_id"], body["rank"]) == (here, task["rank"])


class TestAsEveryWrite:
    async def test_a_repeat_answers_the_same_and_undoes_nothing_more(self, ada: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="a")
        await patched(ada, task, title="b")
        key = {"Idempotency-Key": f"undo-{task['id']}"}
        first = await ada.post(f"/tasks/{task['id']}/undo", headers=key)
        await patched(ada, task, title="c")
        again = await ada.post(f"/tasks/{task['id']}/undo", headers=key)
        assert (again.status_code, accepted(again)) == (first.status_code, accepted(first))
        for name in ("etag", "taskflow-position"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["idempotency-replayed"] == "true"
        other = await ada.post(f"/tasks/{task['id']}/undo", {"version": 2}, headers=key)
        refused(other, 422, "idempotency-key-reused")

    async def test_if_match_is_compared(self, ada: Caller) -> None:
        task = await ada.task("T")
        changed = await ada.patch(f"/tasks/{task['id']}", {"title": "a"})
        stale = await ada.post(f"/tasks/{task['id']}/undo", headers={"If-Match": '"1"'})
        assert refused(stale, 412, "version-conflict")["current_version"] == 2
        accepted(await ada.post(f"/tasks/{task['id']}/undo", headers={"If-Match": changed.headers["etag"]}))

    async def test_it_is_a_command_too(self, ada: Caller) -> None:
        task = await ada.task("T")
        await patched(ada, task, title="a")
        outcome = accepted(await ada.command("UndoTask", task["id"], data={"version": 2}))
        assert [event["type"] for event in outcome["events"]] == ["TaskRetitled"]
        assert outcome["result"]["title"] == "T"
        refused(await ada.command("UndoTask", task["id"]), 409, "nothing-to-undo")
        kinds = accepted(await ada.get("/commands/types"))["items"]
        assert "UndoTask" in {kind["type"] for kind in kinds}
