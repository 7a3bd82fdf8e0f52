"""Labels, statuses and names over HTTP: in one form, by whichever they are asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.stack import Caller, accepted, refused

CAFE, APART = "caf\u00e9", "cafe\u0301"
FORMS = (CAFE, APART, f" {CAFE}\u3000", f"\u200b{APART}\n")


async def _found(caller: Caller, position: int, **parameters: Any) -> list[str]:
    return [one["title"] for one in accepted(await caller.read("/tasks", position, **parameters))["items"]]


async def test_a_label_is_one_in_all_its_forms(ada: Caller) -> None:
    task = await ada.task("x", labels=list(FORMS))
    assert task["labels"] == [CAFE]
    for form in FORMS:
        assert accepted(await ada.patch(f"/tasks/{task['id']}", {"labels": [form]}))["version"] == 1
        assert await _found(ada, task["position"], label=form) == ["x"]
        saved = accepted(await ada.post("/views", {"name": f" {form}", "query": {"label": form}}), 201)
        assert saved["name"] == CAFE
    done = accepted(await ada.command("EditTask", task["id"], data={"labels": [APART, "y"]}))
    assert done["result"]["labels"] == [CAFE, "y"]
    assert await _found(ada, done["position"], label="CAF\u00c9") == []
    refused(await ada.patch(f"/tasks/{task['id']}", {"labels": ["\u00a0"]}), 400, "validation")


async def test_a_projects_label_and_name_and_status_too(ada: Caller) -> None:
    project = accepted(await ada.post("/projects", {"name": f" {APART} "}), 201)
    path = f"/projects/{project['id']}"
    assert project["name"] == CAFE
    assert accepted(await ada.patch(path, {"name": f"{CAFE} "}))["version"] == 1
    for form in FORMS:
        labelled = accepted(await ada.put(f"{path}/labels/{quote(form)}", {"colour": "#1e90ff"}))
        assert labelled["labels"] == [{"name": CAFE, "colour": "#1e90ff"}]
    refused(await ada.put(f"{path}/labels/%20", {"colour": "#1e90ff"}), 400, "validation")
    removed = accepted(await ada.command("RemoveLabel", f"{project['id']}/{APART}"))
    assert removed["result"]["labels"] == []
    statuses = [{"key": APART, "name": f" {APART} ", "category": "todo"}, {"key": "b", "name": "b", "category": "done"}]
    changed = accepted(await ada.put(f"{path}/workflow", {"statuses": statuses}))
    assert changed["workflow"]["statuses"][0] == {"key": CAFE, "name": CAFE, "category": "todo"}
    twice = [*statuses, {"key": f"{CAFE} ", "name": "c", "category": "todo"}]
    refused(await ada.put(f"{path}/workflow", {"statuses": twice}), 400, "validation")
    for form in FORMS:
        task = await ada.task(form, project_id=project["id"], status=form)
        assert task["status"] == CAFE
        assert form in await _found(ada, task["position"], status=form, project=project["id"])


@pytest.mark.parametrize("blank", ["", " ", "\u3000\t", "\u200b"])
async def test_what_is_blank_is_no_name(ada: Caller, blank: str) -> None:
    refused(await ada.post("/projects", {"name": blank}), 400, "validation")
    refused(await ada.post("/views", {"name": blank, "query": {}}), 400, "validation")
    refused(await ada.patch("/users/me", {"name": blank}), 400, "validation")
