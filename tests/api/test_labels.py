"""Labels over HTTP: their names are whatever people call things."""

from __future__ import annotations

from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.api.stack import Caller, accepted, refused

RED = {"colour": "#ff0000"}


@pytest.mark.parametrize(
    "name",
    [
        "bug",
        "zwei Wörter",
        "ui/früh",
        "a//b",
        "a/",
        "/a",
        "/",
        "//",
        "%2F",
        "100%",
        "?#&+",
        "日本語",
        "🏷️",
        "x" * 100,
        "é" * 100,
        "...",
    ],
)
async def test_any_name_is_defined_changed_and_removed(ada: Caller, name: str) -> None:
    project = await ada.project()
    path = f"/projects/{project['id']}/labels/{quote(name, safe='')}"
    defined = accepted(await ada.put(path, RED))
    assert defined["labels"] == [{"name": name, "colour": "#ff0000"}]
    assert defined["version"] == project["version"] + 1
    same = accepted(await ada.put(path, RED))
    assert (same["version"], same["position"]) == (defined["version"], defined["position"])
    changed = accepted(await ada.put(path, {"colour": "#00FF7f"}))
    assert changed["labels"] == [{"name": name, "colour": "#00FF7f"}]
    assert accepted(await ada.read(f"/projects/{project['id']}", changed["position"]))["labels"] == changed["labels"]
    by_command = accepted(await ada.command("SetLabel", f"{project['id']}/{name}", data={"colour": "#00FF7f"}))
    assert by_command["outcome"] == "unchanged"
    removed = accepted(await ada.delete(path))
    assert (removed["labels"], removed["version"]) == ([], 4)
    refused(await ada.delete(path), 404, "not-found")


@pytest.mark.parametrize("name", ["x" * 101, "%20", "%FF", "%C3%28", "%ED%A0%80"])
async def test_what_is_no_name_is_400(ada: Caller, name: str) -> None:
    project = (await ada.project())["id"]
    problem = refused(await ada.put(f"/projects/{project}/labels/{name}", RED), 400, "validation")
    assert problem["errors"][0]["pointer"] == "name"


@pytest.mark.parametrize("body", [{}, {"colour": None}, {"colour": "red"}, {"colour": "#fff"}, RED | {"name": "x"}])
async def test_what_is_no_colour_is_400(ada: Caller, body: object) -> None:
    project = (await ada.project())["id"]
    refused(await ada.put(f"/projects/{project}/labels/bug", body), 400, "validation")


async def test_without_a_name_there_is_nothing(ada: Caller) -> None:
    project = (await ada.project())["id"]
    for path in ("labels", "labels/"):
        response = await ada.put(f"/projects/{project}/{path}", RED)
        assert response.status_code in {400, 404, 405}
        assert response.headers["content-type"].startswith("application/problem+json")


async def test_a_repeat_has_the_same_answer(ada: Caller) -> None:
    project = (await ada.project())["id"]
    again = {"Idempotency-Key": uuid4().hex}
    path = f"/projects/{project}/labels/bug"
    accepted(await ada.put(path, RED))
    first = await ada.delete(path, headers=again)
    accepted(await ada.put(path, RED))
    second = await ada.delete(path, headers=again)
    assert second.headers["idempotency-replayed"] == "true"
    assert accepted(second) == accepted(first)


async def test_tasks_keep_a_label_that_is_not_defined(ada: Caller) -> None:
    project = (await ada.project())["id"]
    task = await ada.task(project_id=project, labels=["bug"])
    accepted(await ada.put(f"/projects/{project}/labels/bug", RED))
    removed = accepted(await ada.delete(f"/projects/{project}/labels/bug"))
    listed = accepted(await ada.read("/tasks", removed["position"], project=project, label="bug"))["items"]
    assert [one["id"] for one in listed] == [task["id"]]
