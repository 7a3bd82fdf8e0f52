"""`/commands`: the same writes by their names."""

from __future__ import annotations

from typing import Any
from uuid import uuid1, uuid4

import pytest

from tests.api.stack import Caller, accepted, refused


async def test_a_command_answers_with_its_outcome_and_the_routes_answer(ada: Caller) -> None:
    command_id = str(uuid1())  # a client's id may be of any version
    response = await ada.command("CreateTask", id=command_id, data={"title": "x"})
    body = accepted(response)
    assert set(body) == {"id", "outcome", "replayed", "events", "version", "position", "result"}
    assert (body["id"], body["outcome"], body["version"]) == (command_id, "applied", 1)
    assert body["events"] == [
        {"stream_id": body["result"]["id"], "type": "TaskCreated", "version": 1, "position": body["position"]}
    ]
    assert (body["result"]["title"], body["result"]["position"]) == ("x", body["position"])
    assert response.headers["taskflow-position"] == str(body["position"])
    task = body["result"]["id"]
    edited = accepted(await ada.command("EditTask", task, data={"title": "y", "priority": "low"}))
    assert [event["type"] for event in edited["events"]] == ["TaskRetitled", "TaskPrioritised"]
    assert [event["version"] for event in edited["events"]] == [2, 3]
    assert edited["events"][-1]["position"] == edited["position"]


async def test_what_changes_nothing_is_unchanged(ada: Caller) -> None:
    task = await ada.task()
    body = accepted(await ada.command("ReopenTask", task["id"]))
    assert (body["outcome"], body["events"], body["version"]) == ("unchanged", [], 1)
    assert (body["position"], body["result"]["position"]) == (task["position"], task["position"])


async def test_every_type_says_what_it_takes(ada: Caller) -> None:
    listed = accepted(await ada.get("/commands/types"))
    types = {one["type"]: one for one in listed["items"]}
    assert {"CreateTask", "EditTask", "CompleteTask", "AssignTask", "CreateProject", "SetMember"} <= set(types)
    assert "RegisterUser" not in types
    assert types["CreateTask"]["target"] is None
    assert types["EditTask"]["target"] == "task"
    assert types["EditTask"]["target_schema"] == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "string",
        "description": "the id of a task",
        "format": "uuid",
    }
    assert types["SetMember"]["target_schema"]["description"] == "<project id>/<user id>"
    assert (types["CreateTask"]["creates"], types["EditTask"]["creates"]) == (True, False)
    assert types["AssignTask"]["schema"]["$defs"]["AssignTask"]["required"] == ["user_id"]


async def test_each_type_is_the_verb_behind_a_route(ada: Caller, bob: Caller) -> None:
    await ada.add((await ada.project())["id"], bob)  # so she may add him to others
    project = accepted(await ada.command("CreateProject", data={"name": "P"}))["result"]
    member = f"{project['id']}/{bob.id}"
    assert accepted(await ada.command("SetMember", member, data={"role": "member"}))["version"] == 2
    task = accepted(await ada.command("CreateTask", data={"title": "T", "project_id": project["id"]}))["result"]["id"]
    for type_, status in (("StartTask", "in_progress"), ("CompleteTask", "done"), ("CancelTask", "cancelled")):
        assert accepted(await ada.command(type_, task))["result"]["status"] == status
    assert (
        accepted(await ada.command("AssignTask", task, data={"user_id": bob.id}))["result"]["assignee"]["id"] == bob.id
    )
    assert accepted(await ada.command("TrashTask", task))["result"]["trashed_at"]
    assert accepted(await ada.command("RestoreTask", task))["result"]["trashed_at"] is None
    assert accepted(await ada.command("EditProject", project["id"], data={"name": "Q"}))["result"]["name"] == "Q"
    assert accepted(await ada.command("ArchiveProject", project["id"]))["result"]["archived_at"]
    assert accepted(await ada.command("UnarchiveProject", project["id"]))["result"]["archived_at"] is None
    assert accepted(await ada.command("RemoveMember", member))["result"]["id"] == project["id"]
    assert accepted(await ada.command("EditProfile", data={"name": "A."}))["result"]["name"] == "A."


async def test_a_repeat_has_the_same_answer_and_says_so(ada: Caller) -> None:
    task = await ada.task("one")
    first = await ada.command("EditTask", task["id"], id=(command_id := str(uuid4())), data={"title": "two"})
    await ada.patch(f"/tasks/{task['id']}", {"title": "three"})
    again = await ada.command("EditTask", task["id"], id=command_id, data={"title": "two"})
    assert accepted(again) == accepted(first) | {"replayed": True}
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("other", [{"data": {"title": "else"}}, {"type": "TrashTask", "data": {}}, {"target": None}])
async def test_one_id_stands_for_one_content(ada: Caller, other: dict[str, Any]) -> None:
    task, another = await ada.task("one"), await ada.task("one")
    body = {"id": str(uuid4()), "type": "EditTask", "target": task["id"], "data": {"title": "two"}}
    accepted(await ada.post("/commands", body))
    changed = body | other | ({"target": another["id"]} if "target" in other else {})
    refused(await ada.post("/commands", changed), 422, "idempotency-key-reused")


async def test_an_id_is_its_callers_own(ada: Caller, bob: Caller) -> None:
    command_id = str(uuid4())
    first = accepted(await ada.command("CreateTask", id=command_id, data={"title": "x"}))
    second = await bob.command("CreateTask", id=command_id, data={"title": "x"})
    assert accepted(second)["result"]["id"] != first["result"]["id"]
    assert "idempotency-replayed" not in second.headers


async def test_the_key_header_counts_for_nothing_here(ada: Caller) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await ada.post(
        "/commands", {"id": str(uuid4()), "type": "CreateTask", "data": {"title": "x"}}, headers=headers
    )
    second = await ada.post(
        "/commands", {"id": str(uuid4()), "type": "CreateTask", "data": {"title": "y"}}, headers=headers
    )
    assert accepted(first)["result"]["id"] != accepted(second)["result"]["id"]


async def test_an_expected_version_is_compared(ada: Caller) -> None:
    task = await ada.task()
    accepted(await ada.command("EditTask", task["id"], expected_version=1, data={"title": "b"}))
    problem = refused(
        await ada.command("EditTask", task["id"], expected_version=1, data={"title": "c"}), 412, "version-conflict"
    )
    assert (problem["current_version"], [one["type"] for one in problem["events"]]) == (2, ["TaskRetitled"])


async def test_a_broken_rule_is_409_and_leaves_no_receipt(ada: Caller) -> None:
    task = await ada.task()
    await ada.delete(f"/tasks/{task['id']}")
    body = {"id": str(uuid4()), "type": "CompleteTask", "target": task["id"], "data": {}}
    refused(await ada.post("/commands", body), 409, "command-rejected", "trashed")
    await ada.post(f"/tasks/{task['id']}/restore")
    assert accepted(await ada.post("/commands", body))["outcome"] == "applied"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"type": "PaintTask"}, "/type"),
        ({"id": "one"}, "/id"),
        ({"target": "x"}, "/target"),
        ({"target": None}, "/target"),
        ({"data": {"title": 1}}, "/data/title"),
        ({"data": []}, "/data"),
        ({"expected_version": "1"}, "/expected_version"),
        ({"expected_version": 2**40}, "/expected_version"),
        ({"more": 1}, "/more"),
        ({"type": "CreateTask", "data": {"title": "x"}}, "/target"),
        ({"type": "CreateTask", "target": None, "data": {}}, "/data/title"),
        ({"type": "SetMember", "data": {"role": "viewer"}}, "/target"),
    ],
)
async def test_what_is_wrong_is_named(ada: Caller, change: dict[str, Any], pointer: str) -> None:
    body = {"id": str(uuid4()), "type": "EditTask", "target": str(uuid4()), "data": {"title": "x"}} | change
    problem = refused(await ada.post("/commands", body), 400, "validation")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
