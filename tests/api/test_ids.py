"""An id is 8-4-4-4-12 hexadecimal digits, wherever one is read; nothing else is one, and nothing else is a fault."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.api.stack import Caller, accepted, refused

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


def loosely(id_: str) -> dict[str, str]:
    """The same id as `uuid.UUID` would read it too."""
    digits = id_.replace("-", "")
    return {
        "digits alone": digits,
        "braces": f"{{{id_}}}",
        "a name": f"urn:uuid:{id_}",
        "full-width digits": id_.translate(FULL_WIDTH),
        "a line feed behind": f"{id_}\n",
        "31 digits and a line feed": f"{digits[:31]}\n",
        "a blank before": f" {id_}",
        "other groups": f"{digits[:4]}-{digits[4:]}",
        "an underscore": f"{id_[:3]}_{id_[4:]}",
        "a sign": f"+{id_[1:]}",
        "a slash": f"{id_[:8]}/{id_[9:]}",
    }


FORMS = list(loosely(str(uuid4())))


@pytest.mark.parametrize("form", FORMS)
async def test_a_path_names_nothing(ada: Caller, form: str) -> None:
    task = await ada.task()
    bad, project, some = quote(loosely(task["id"])[form], safe=""), task["project_id"], uuid4()
    for method, path, body in (
        ("GET", f"/tasks/{bad}", None),
        ("PATCH", f"/tasks/{bad}", {"title": "x"}),
        ("POST", f"/tasks/{bad}/undo", {}),
        ("GET", f"/tasks/{bad}/events", None),
        ("GET", f"/tasks/{bad}/comments", None),
        ("PATCH", f"/tasks/{task['id']}/comments/{bad}", {"body": "x"}),
        ("DELETE", f"/tasks/{task['id']}/checklist/{bad}", None),
        ("DELETE", f"/tasks/{task['id']}/relations/blocks/{bad}", None),
        ("GET", f"/projects/{bad}/board", None),
        ("GET", f"/projects/{bad}/stats", None),
        ("PUT", f"/projects/{bad}/labels/x", {"colour": "#ff0000"}),
        ("PUT", f"/projects/{project}/members/{bad}", {"role": "member"}),
        ("DELETE", f"/projects/{project}/invitations/{bad}", None),
        ("GET", f"/views/{bad}", None),
        ("GET", f"/users/{bad}", None),
        ("GET", f"/tasks/{some}", None),
    ):
        response = await ada.call(method, path, **({} if body is None else {"json": body}))
        refused(response, 404, "not-found")


@pytest.mark.parametrize("form", FORMS)
async def test_a_parameter_or_a_body_is_refused(ada: Caller, form: str) -> None:
    task = await ada.task()
    bad = loosely(task["id"])[form]
    for path, name in (
        *[("/tasks", name) for name in ("project", "assignee", "parent")],
        *[("/events", name) for name in ("project", "stream", "actor")],
        ("/stream", "project"),
        ("/views", "project"),
    ):
        problem = refused(await ada.get(path, params={name: bad}), 400, "validation")
        assert [fault["pointer"] for fault in problem["errors"]] == [name]
    for path, body, pointer in (
        ("/tasks", {"title": "x", "project_id": bad}, "/project_id"),
        ("/tasks", {"title": "x", "parent_id": bad}, "/parent_id"),
        (f"/tasks/{task['id']}/assign", {"user_id": bad}, "/user_id"),
        (f"/tasks/{task['id']}/move", {"project_id": bad}, "/project_id"),
        (f"/tasks/{task['id']}/rank", {"after": bad}, "/after"),
        ("/views", {"name": "x", "query": {}, "project_id": bad}, "/project_id"),
    ):
        problem = refused(await ada.post(path, body), 400, "validation")
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer], body


@pytest.mark.parametrize("form", FORMS)
async def test_a_command_is_refused(ada: Caller, form: str) -> None:
    task = await ada.task()
    bad = loosely(task["id"])[form]
    refused(await ada.command("CompleteTask", bad), 400, "validation")
    refused(await ada.command("CompleteTask", task["id"], id=bad), 400, "validation")
    refused(await ada.command("AssignTask", task["id"], data={"user_id": bad}), 400, "validation")
    refused(await ada.command("EditComment", f"{task['id']}/{bad}", data={"body": "x"}), 400, "validation")
    first_id = str(uuid4())
    first = {"id": first_id, "type": "CreateTask", "data": {"title": "x"}}
    second: dict[str, Any] = {
        "id": str(uuid4()),
        "type": "CreateTask",
        "data": {"title": "y", "parent_id": f"${loosely(first_id)[form]}"},
    }
    refused(await ada.post("/commands/batch", {"atomic": True, "commands": [first, second]}), 400, "validation")


async def test_either_case_is_an_id(ada: Caller) -> None:
    task = await ada.task()
    assert accepted(await ada.get(f"/tasks/{task['id'].upper()}/events"))["items"]
    done = accepted(await ada.command("CompleteTask", task["id"].upper(), id=str(uuid4()).upper()))
    assert done["result"]["id"] == task["id"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_key_that_is_no_id_is_only_a_text(ada: Caller, form: str) -> None:
    """A key that is an id and a key that reads like it are two keys."""
    key = str(uuid4())
    other = loosely(key)[form].strip().translate({ord(digit): "x" for digit in "０１２３４５６７８９"})
    first = accepted(await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": key}), 201)
    second = accepted(await ada.post("/tasks", {"title": "x"}, headers={"Idempotency-Key": other}), 201)
    assert (first["id"] == second["id"]) == (key == other)
