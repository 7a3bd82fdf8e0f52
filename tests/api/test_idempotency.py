"""One key, one effect, one answer: however often, however late, however concurrently."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from taskflow.api.writes import fingerprint
from taskflow.commands.catalog import handler_of
from taskflow.commands.task import EditTask
from taskflow.ids import earlier_command_id_of_key
from tests.api.beside import Beside
from tests.api.stack import Caller, Stack, accepted, refused

COPIES = 50


def _elsewhere(caller: Caller, http: httpx.AsyncClient) -> Caller:
    return Caller(http, caller.id, caller.name, caller.token)


async def test_fifty_copies_through_two_processes_have_one_effect(ada: Caller, other_http: httpx.AsyncClient) -> None:
    doors = [ada, _elsewhere(ada, other_http)]
    body = {"title": "once", "assignee_id": ada.id}
    headers = {"Idempotency-Key": f"key {uuid4()}"}
    answers = await asyncio.gather(*[doors[n % 2].post("/tasks", body, headers=headers) for n in range(COPIES)])
    bodies = {response.content for response in answers}
    assert [response.status_code for response in answers] == [201] * COPIES
    assert len(bodies) == 1
    assert len({response.headers["etag"] for response in answers}) == 1
    assert len({response.headers["location"] for response in answers}) == 1
    assert sum("idempotency-replayed" not in response.headers for response in answers) == 1
    listed = accepted(await ada.read("/tasks", answers[0].json()["position"]))
    assert len(listed["items"]) == 1


async def test_fifty_copies_of_a_change_have_one_effect(ada: Caller, other_http: httpx.AsyncClient) -> None:
    doors = [ada, _elsewhere(ada, other_http)]
    task = await ada.task()
    headers = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(
        *[doors[n % 2].post(f"/tasks/{task['id']}/start", headers=headers) for n in range(COPIES)]
    )
    assert {response.content for response in answers} == {answers[0].content}
    assert answers[0].json()["version"] == 2
    assert sum("idempotency-replayed" not in response.headers for response in answers) == 1


async def test_a_late_repeat_has_the_old_answer_with_todays_names(ada: Caller) -> None:
    headers = {"Idempotency-Key": "late"}
    body = {"title": "first", "assignee_id": ada.id}
    first = await ada.post("/tasks", body, headers=headers)
    path = f"/tasks/{first.json()['id']}"
    accepted(await ada.patch(path, {"title": "second"}))
    accepted(await ada.delete(path))
    again = await ada.post("/tasks", body, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for name in ("etag", "location", "taskflow-position"):
        assert again.headers[name] == first.headers[name]
    accepted(await ada.patch("/users/me", {"name": "Countess"}))
    named = accepted(await ada.post("/tasks", body, headers=headers), 201)
    assert named == first.json() | {"assignee": {"id": ada.id, "name": "Countess"}}


async def test_a_repeat_is_the_old_answer_where_it_would_now_be_refused(ada: Caller) -> None:
    task = await ada.task()
    headers = {"Idempotency-Key": "then", "If-Match": '"1"'}
    first = await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers=headers)
    await ada.delete(f"/tasks/{task['id']}")
    again = await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers=headers)
    assert (again.status_code, again.content) == (200, first.content)


async def test_a_repeat_of_what_changed_nothing_changes_nothing_later(ada: Caller) -> None:
    task = await ada.task("same")
    headers = {"Idempotency-Key": "idle"}
    first = await ada.patch(f"/tasks/{task['id']}", {"title": "same"}, headers=headers)
    await ada.patch(f"/tasks/{task['id']}", {"title": "other"})
    again = await ada.patch(f"/tasks/{task['id']}", {"title": "same"}, headers=headers)
    assert again.content == first.content
    assert accepted(again)["version"] == 1


async def test_a_repeat_says_the_status_that_there_was(ada: Caller, other_http: httpx.AsyncClient) -> None:
    project = (await ada.project())["id"]
    path = f"/tasks/{(await ada.task(project_id=project))['id']}"

    async def leave(old: str, new: str) -> None:
        status = {"key": new, "name": "Whatever", "category": "done"}
        others = {"in_progress": new, "done": new, "cancelled": new} if old == "todo" else {}
        body = {"statuses": [status], "mapping": {old: new} | others}
        accepted(await ada.put(f"/projects/{project}/workflow", body))

    requests: list[tuple[str, str, Any]] = [("POST", f"{path}/start", {}), ("PATCH", path, {}), ("PATCH", path, {})]
    firsts = []
    for number, (method, where, body) in enumerate(requests):
        if number:
            await leave(*[("todo", "over"), ("over", "past")][number - 1])
        headers = {"Idempotency-Key": f"{path} {number}"}
        firsts.append(await ada.call(method, where, json=body, headers=headers))
    # The later two changed nothing: their versions and positions are the first one's.
    assert [accepted(one)["status"] for one in firsts] == ["in_progress", "over", "past"]
    assert len({one.headers["taskflow-position"] for one in firsts}) == 1
    for caller in (ada, _elsewhere(ada, other_http)):
        for number, (method, where, body) in enumerate(requests):
            again = await caller.call(method, where, json=body, headers={"Idempotency-Key": f"{path} {number}"})
            assert again.headers["idempotency-replayed"] == "true"
            assert again.content == firsts[number].content
            assert again.headers["etag"] == firsts[number].headers["etag"]


@pytest.mark.parametrize(
    "other",
    [
        {"json": {"title": "two"}},
        {"json": {"title": "one", "labels": []}},
        {"path": "/projects", "json": {"name": "one"}},
    ],
)
async def test_the_same_key_with_another_request_is_422(ada: Caller, other: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    accepted(await ada.post("/tasks", {"title": "one"}, headers=headers), 201)
    path = other.pop("path", "/tasks")
    refused(await ada.call("POST", path, headers=headers, **other), 422, "idempotency-key-reused")


async def test_the_same_key_on_another_target_is_422(ada: Caller) -> None:
    one, two = await ada.task(), await ada.task()
    headers = {"Idempotency-Key": "same"}
    accepted(await ada.post(f"/tasks/{one['id']}/start", headers=headers))
    refused(await ada.post(f"/tasks/{two['id']}/start", headers=headers), 422, "idempotency-key-reused")
    refused(await ada.post(f"/tasks/{one['id']}/complete", headers=headers), 422, "idempotency-key-reused")


async def test_the_order_of_fields_and_the_door_make_no_difference(ada: Caller) -> None:
    key = uuid4()
    headers = {"Idempotency-Key": str(key)}
    first = accepted(await ada.post("/tasks", {"title": "x", "priority": "low"}, headers=headers), 201)
    again = accepted(await ada.post("/tasks", {"priority": "low", "title": "x"}, headers=headers), 201)
    named = accepted(await ada.command("CreateTask", id=str(UUID(int=key.int)), data={"title": "x", "priority": "low"}))
    assert first == again == named["result"]


async def test_a_key_is_its_callers_own(ada: Caller, bob: Caller) -> None:
    headers = {"Idempotency-Key": "1"}
    first = accepted(await ada.post("/tasks", {"title": "x"}, headers=headers), 201)
    second = await bob.post("/tasks", {"title": "x"}, headers=headers)
    assert accepted(second, 201)["id"] != first["id"]
    assert "idempotency-replayed" not in second.headers


async def test_a_refusal_is_not_kept(ada: Caller) -> None:
    task = await ada.task()
    headers = {"Idempotency-Key": "again"}
    await ada.delete(f"/tasks/{task['id']}")
    refused(await ada.post(f"/tasks/{task['id']}/start", headers=headers), 409, "command-rejected", "trashed")
    await ada.post(f"/tasks/{task['id']}/restore")
    response = await ada.post(f"/tasks/{task['id']}/start", headers=headers)
    assert accepted(response)["status"] == "in_progress"
    assert "idempotency-replayed" not in response.headers


async def test_a_repeat_is_judged_by_todays_access(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    headers = {"Idempotency-Key": "mine"}
    task = accepted(await bob.post("/tasks", {"title": "x", "project_id": project}, headers=headers), 201)
    await ada.add(project, bob, "viewer")
    # Who may read it may have the old answer again; who may not is told as at a read.
    again = await bob.post("/tasks", {"title": "x", "project_id": project}, headers=headers)
    assert accepted(again, 201) == task
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    refused(await bob.post("/tasks", {"title": "x", "project_id": project}, headers=headers), 404, "not-found")
    refused(
        await bob.post("/commands", {"id": str(uuid4()), "type": "EditTask", "target": task["id"], "data": {}}),
        404,
        "not-found",
    )


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(ada: Caller, key: str) -> None:
    problem = refused(await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": key}), 400, "validation")
    assert problem["errors"][0]["pointer"] == "Idempotency-Key"
    accepted(await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": "x" * 255}), 201)


class TestTwoWriters:
    async def test_at_one_version_exactly_one_wins(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        doors = [ada, _elsewhere(ada, other_http)]
        task = await ada.task()
        for version in range(1, 11):
            answers = await asyncio.gather(
                *[
                    door.patch(
                        f"/tasks/{task['id']}",
                        {"title": f"{version} by {n}"},
                        headers={"If-Match": f'"{version}"'},
                    )
                    for n, door in enumerate(doors * 2)
                ]
            )
            assert sorted(response.status_code for response in answers) == [200, 412, 412, 412]
            for response in answers:
                if response.status_code == 412:
                    problem = refused(response, 412, "version-conflict")
                    assert (problem["current_version"], len(problem["events"])) == (version + 1, 1)

    async def test_without_a_version_nobody_sees_a_conflict(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        doors = [ada, _elsewhere(ada, other_http)]
        task = await ada.task("start")
        answers = await asyncio.gather(
            *[doors[n % 2].patch(f"/tasks/{task['id']}", {"title": f"{n}"}) for n in range(40)]
        )
        assert [response.status_code for response in answers] == [200] * 40
        assert sorted(response.json()["version"] for response in answers) == list(range(2, 42))
        history = accepted(await ada.get(f"/tasks/{task['id']}/events", params={"limit": 200}))["items"]
        assert [event["stream_version"] for event in history] == list(range(1, 42))


class TestKeysThatAreNoUuids:
    async def test_tell_nobody_what_they_are(self, ada: Caller, bob: Caller) -> None:
        """A short one could be guessed and checked, by its hash or by one's own command under the same key."""
        found = set()
        for one in (ada, bob):
            task = accepted(await one.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": "1234"}), 201)["id"]
            [event] = accepted(await one.get(f"/tasks/{task}/events"))["items"]
            found.add(event["command_id"])
        assert len(found) == 2
        assert str(earlier_command_id_of_key("1234")) not in found

    async def test_of_before_find_their_receipts(self, ada: Caller, beside: Beside, stack: Stack) -> None:
        """An earlier release stored commands under a hash of their keys."""
        task, body = (await ada.task("x"))["id"], {"title": "of before"}
        command_id = earlier_command_id_of_key("of-before")
        before = await beside.command(
            ada.id,
            datetime.now(UTC),
            handler_of(EditTask),
            UUID(task),
            EditTask(title="of before"),
            command_id=command_id,
            fingerprint=fingerprint(stack, UUID(ada.id), "EditTask", UUID(task), body),  # type: ignore[arg-type]  # it looks at settings alone
        )
        accepted(await ada.patch(f"/tasks/{task}", {"title": "since"}))
        headers = {"Idempotency-Key": "of-before"}
        repeat = await ada.patch(f"/tasks/{task}", body, headers=headers)
        assert repeat.headers["idempotency-replayed"] == "true"
        assert accepted(repeat)["position"] == before.receipt.position
        refused(await ada.patch(f"/tasks/{task}", {"title": "z"}, headers=headers), 422, "idempotency-key-reused")
