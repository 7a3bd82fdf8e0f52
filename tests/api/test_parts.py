"""What holds for every part of a task: comments, items of the checklist, relations."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.stack import Caller, accepted, refused

# A route, its body, and the command of the same name: target and data.
WRITES: list[tuple[str, str, Any, str, str]] = [
    ("POST", "/comments", {"body": "x"}, "AddComment", "{task}"),
    ("PATCH", "/comments/{comment}", {"body": "y"}, "EditComment", "{task}/{comment}"),
    ("DELETE", "/comments/{comment}", {}, "DeleteComment", "{task}/{comment}"),
    ("POST", "/checklist", {"text": "x"}, "AddChecklistItem", "{task}"),
    ("PATCH", "/checklist/{item}", {"done": True}, "EditChecklistItem", "{task}/{item}"),
    ("DELETE", "/checklist/{item}", {}, "RemoveChecklistItem", "{task}/{item}"),
    ("PUT", "/relations", {"type": "relates_to", "task_id": "{other}"}, "AddRelation", "{task}"),
    ("DELETE", "/relations/blocks/{other}", {}, "RemoveRelation", "{task}/blocks/{other}"),
]
each_write = pytest.mark.parametrize(("method", "path", "body", "type_", "target"), WRITES)


async def _made(ada: Caller) -> dict[str, str]:
    project = (await ada.project())["id"]
    task, other = [(await ada.task(title, project_id=project))["id"] for title in ("one", "other")]
    comment = accepted(await ada.post(f"/tasks/{task}/comments", {"body": "said"}), 201)
    item = accepted(await ada.post(f"/tasks/{task}/checklist", {"text": "to do"}), 201)
    accepted(await ada.put(f"/tasks/{task}/relations", {"type": "blocks", "task_id": other}))
    return {"project": project, "task": task, "other": other, "comment": comment["id"], "item": item["id"]}


def _fill(body: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {key: value.format(**names) if isinstance(value, str) else value for key, value in body.items()}


@each_write
async def test_nothing_is_changed_in_the_trash_or_in_an_archived_project(
    ada: Caller, method: str, path: str, body: Any, type_: str, target: str
) -> None:
    for way, code in (("/tasks/{task}", "trashed"), ("/projects/{project}", "project-archived")):
        names = await _made(ada)
        accepted(await ada.delete(way.format(**names)))
        data = _fill(body, names)
        by_route = await ada.call(method, f"/tasks/{names['task']}{path.format(**names)}", json=data)
        refused(by_route, 409, "command-rejected", code)
        by_name = await ada.command(type_, target.format(**names), data=data)
        refused(by_name, 409, "command-rejected", code)


@each_write
async def test_a_command_answers_what_its_route_does(
    ada: Caller, method: str, path: str, body: Any, type_: str, target: str
) -> None:
    names = await _made(ada)
    by_name = accepted(await ada.command(type_, target.format(**names), data=_fill(body, names)))
    assert (by_name["outcome"], by_name["version"], len(by_name["events"])) == ("applied", 5, 1)
    assert by_name["result"]["version"] == 5
    assert by_name["result"]["position"] == by_name["position"] == by_name["events"][0]["position"]
    # And the other way round: one id is one request, whichever door it comes through.
    others, key = await _made(ada), str(uuid4())
    route, data = f"/tasks/{others['task']}{path.format(**others)}", _fill(body, others)
    by_route = await ada.call(method, route, json=data, headers={"Idempotency-Key": key})
    assert by_route.status_code == (201 if method == "POST" else 200)
    again = await ada.command(type_, target.format(**others), id=key, data=data)
    assert again.headers["idempotency-replayed"] == "true"
    assert accepted(again)["result"] == by_route.json()
    assert set(by_route.json()) == set(by_name["result"])


@pytest.mark.parametrize(
    ("type_", "target", "expected"),
    [
        ("AddComment", None, "the id of a task"),
        ("EditComment", "{task}", "<task id>/<comment id>"),
        ("EditComment", "{task}/x", "<task id>/<comment id>"),
        ("EditChecklistItem", "{task}/{item}/x", "<task id>/<item id>"),
        ("RemoveRelation", "{task}/likes/{other}", "<task id>/<type>/<related id>"),
        ("RemoveRelation", "{task}/blocks", "<task id>/<type>/<related id>"),
    ],
)
async def test_a_target_of_another_form_is_refused(ada: Caller, type_: str, target: str | None, expected: str) -> None:
    names = await _made(ada)
    data = {"body": "x"} if "Comment" in type_ else {}
    response = await ada.command(type_, None if target is None else target.format(**names), data=data)
    (fault,) = refused(response, 400, "validation")["errors"]
    assert (fault["pointer"], fault["detail"]) == ("/target", f"expected {expected}")


async def test_every_answer_shows_them_all(ada: Caller) -> None:
    names = await _made(ada)
    accepted(await ada.post(f"/tasks/{names['task']}/comments", {"body": "again"}), 201)
    written = accepted(await ada.post(f"/tasks/{names['task']}/start"))
    expected = {
        "comment_count": 2,
        "checklist": [{"id": names["item"], "text": "to do", "done": False}],
        "relations": [{"type": "blocks", "task_id": names["other"]}],
    }
    one = accepted(await ada.read(f"/tasks/{names['task']}", written["position"]))
    listed = accepted(await ada.read("/tasks", written["position"], project=names["project"]))["items"]
    board = accepted(await ada.read(f"/projects/{names['project']}/board", written["position"]))["columns"]
    for shown in (
        written,
        one,
        *[task for task in listed if task["id"] == names["task"]],
        *[task for column in board for task in column["tasks"] if task["id"] == names["task"]],
    ):
        assert {name: shown[name] for name in expected} == expected
    assert one == {name: value for name, value in written.items() if name != "position"}


async def test_the_document_says_what_they_take_and_answer(http: httpx.AsyncClient) -> None:
    document = accepted(await http.get("/openapi.json"))
    one = "/api/v1/tasks/{task_id}"

    def said(method: str, path: str) -> tuple[str | None, str, str]:
        operation = document["paths"][one + path][method.lower()]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        (status, answer), *_ = operation["responses"].items()
        shown = answer["content"]["application/json"]["schema"]
        if "anyOf" in shown:
            shown, minimal = shown["anyOf"]
            assert minimal["$ref"].endswith("/MinimalBody")
        names = [schema.get("$ref", "").rpartition("/")[2] for schema in (body, shown)]
        return names[0] or None, status, names[1]

    assert said("GET", "/comments") == (None, "200", "CommentPage")
    assert said("GET", "/comments/{comment_id}") == (None, "200", "CommentBody")
    assert said("POST", "/comments") == ("AddComment", "201", "WrittenComment")
    assert said("PATCH", "/comments/{comment_id}") == ("EditComment", "200", "WrittenComment")
    assert said("DELETE", "/comments/{comment_id}") == (None, "200", "WrittenTask")
    assert said("POST", "/checklist") == ("AddChecklistItem", "201", "WrittenItem")
    assert said("PATCH", "/checklist/{item_id}") == ("EditChecklistItem", "200", "WrittenTask")
    assert said("DELETE", "/checklist/{item_id}") == (None, "200", "WrittenTask")
    assert said("PUT", "/relations") == ("AddRelation", "200", "WrittenTask")
    assert said("DELETE", "/relations/{type}/{related_id}") == (None, "200", "WrittenTask")
    in_path = document["paths"][f"{one}/relations/{{type}}/{{related_id}}"]["delete"]["parameters"]
    assert {one["name"]: one["schema"].get("format") for one in in_path if one.get("in") == "path"} == {
        "task_id": "uuid",
        "type": None,
        "related_id": "uuid",
    }
