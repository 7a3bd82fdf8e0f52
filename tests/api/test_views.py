"""Saved views over HTTP: a person's own, a project's, and who may see and change them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from taskflow.commands.fields import SAVED_VIEWS_MAX
from tests.api.stack import Caller, accepted, refused
from tests.api.test_tasks import TIME, UNICODE

FIELDS = {"id", "name", "query", "project_id", "owner_id", "created_at", "updated_at", "version"}
QUERY = {"status": ["todo", "in_progress"], "assignee": "me", "q": "rep", "trashed": False, "sort": "-due_at"}


async def save(caller: Caller, name: str = "a view", query: Any = None, **more: Any) -> dict[str, Any]:
    return accepted(await caller.post("/views", {"name": name, "query": QUERY if query is None else query} | more), 201)


async def listed(caller: Caller, position: int, **parameters: Any) -> list[str]:
    return [one["id"] for one in accepted(await caller.read("/views", position, **parameters))["items"]]


class TestSaving:
    async def test_answers_201_with_every_field_and_where_it_is(self, ada: Caller) -> None:
        response = await ada.post("/views", {"name": UNICODE[:50], "query": QUERY})
        body = accepted(response, 201)
        assert set(body) == FIELDS | {"position"}
        assert (body["name"], body["query"]) == (UNICODE[:50], QUERY)
        assert (body["project_id"], body["owner_id"], body["version"]) == (None, ada.id, 1)
        assert TIME.fullmatch(body["created_at"])
        assert response.headers["location"] == f"/api/v1/views/{body['id']}"
        assert response.headers["taskflow-position"] == str(body["position"])
        read = await ada.read(f"/views/{body['id']}", body["position"])
        assert accepted(read) == {name: body[name] for name in FIELDS}
        assert read.headers["etag"] == response.headers["etag"]

    async def test_it_is_one_event(self, ada: Caller) -> None:
        data = {"name": "x", "query": {}}
        body = accepted(await ada.command("CreateView", data=data))
        assert [(one["type"], one["version"]) for one in body["events"]] == [("ViewSaved", 1)]
        renamed = accepted(await ada.command("EditView", body["result"]["id"], data={"name": "y"}))
        assert [one["type"] for one in renamed["events"]] == ["ViewRenamed"]
        deleted = accepted(await ada.command("DeleteView", body["result"]["id"]))
        assert ([one["type"] for one in deleted["events"]], deleted["result"]["name"]) == (["ViewDeleted"], "y")

    @pytest.mark.parametrize(
        ("body", "pointer", "code"),
        [
            ({"query": {}}, "/name", "required"),
            ({"name": "x"}, "/query", "required"),
            ({"name": "", "query": {}}, "/name", "length"),
            ({"name": " ", "query": {}}, "/name", "length"),
            ({"name": "x" * 201, "query": {}}, "/name", "length"),
            ({"name": "x", "query": []}, "/query", "type"),
            ({"name": "x", "query": {}, "colour": 1}, "/colour", "unknown-field"),
            ({"name": "x", "query": {"limit": "5"}}, "/query/limit", "unknown-field"),
            ({"name": "x", "query": {"status": 5}}, "/query/status", "type"),
            ({"name": "x", "query": {"status": []}}, "/query/status", "length"),
            ({"name": "x", "query": {"status": ["x" * 201]}}, "/query/status/0", "length"),
            ({"name": "x", "query": {"sort": "title"}}, "/query/sort", "choice"),
            ({"name": "x", "query": {"q": "x" * 201}}, "/query/q", "length"),
            ({"name": "x", "query": {"assignee": "you"}}, "/query/assignee", "format"),
            ({"name": "x", "query": {"due_before": "soon"}}, "/query/due_before", "format"),
            ({"name": "x", "query": {}, "project_id": "mine"}, "/project_id", "format"),
        ],
    )
    async def test_what_could_not_be_asked_is_not_saved(self, ada: Caller, body: Any, pointer: str, code: str) -> None:
        problem = refused(await ada.post("/views", body), 400, "validation")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]

    async def test_what_is_saved_can_be_asked(self, ada: Caller) -> None:
        task = await ada.task("report", assignee_id=ada.id)
        view = await save(ada)
        shown = accepted(await ada.read("/tasks", task["position"], **view["query"]))
        assert [one["id"] for one in shown["items"]] == [task["id"]]

    async def test_a_repeat_is_the_same_answer(self, ada: Caller, other_http: httpx.AsyncClient) -> None:
        doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
        headers = {"Idempotency-Key": str(uuid4())}
        body = {"name": "once", "query": QUERY}
        answers = await asyncio.gather(*[doors[n % 2].post("/views", body, headers=headers) for n in range(10)])
        assert {(one.status_code, one.content) for one in answers} == {(201, answers[0].content)}
        view = answers[0].json()
        deleted = await ada.delete(f"/views/{view['id']}", headers={"Idempotency-Key": "gone"})
        again = await ada.delete(f"/views/{view['id']}", headers={"Idempotency-Key": "gone"})
        assert (again.status_code, again.content) == (200, deleted.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert await listed(ada, deleted.json()["position"]) == []
        refused(await ada.post("/views", body | {"name": "other"}, headers=headers), 422, "idempotency-key-reused")


class TestChanging:
    async def test_a_patch_merges(self, ada: Caller) -> None:
        view = await save(ada, query={"status": ["todo"], "sort": "rank"})
        path = f"/views/{view['id']}"
        body = accepted(await ada.patch(path, {"query": {"status": None, "label": ["a", "b"]}}))
        assert (body["query"], body["name"], body["version"]) == ({"sort": "rank", "label": ["a", "b"]}, "a view", 2)
        body = accepted(await ada.patch(path, {"name": "other", "query": {"sort": "-rank"}}))
        assert (body["query"]["sort"], body["name"], body["version"]) == ("-rank", "other", 4)
        same = accepted(await ada.patch(path, {"name": "other", "query": {"sort": "-rank"}}))
        assert (same["version"], same["position"]) == (4, body["position"])
        refused(await ada.patch(path, {"project_id": None}), 400, "validation")
        refused(await ada.patch(path, {"query": {"q": "x" * 201}}), 400, "validation")
        refused(await ada.patch(path, {"name": None}), 400, "validation")

    async def test_a_stale_version_is_refused(self, ada: Caller) -> None:
        view = await save(ada)
        path = f"/views/{view['id']}"
        accepted(await ada.patch(path, {"name": "x"}, headers={"If-Match": '"1"'}))
        problem = refused(await ada.patch(path, {"name": "y"}, headers={"If-Match": '"1"'}), 412, "version-conflict")
        assert [event["type"] for event in problem["events"]] == ["ViewRenamed"]
        refused(await ada.delete(path, headers={"If-Match": '"1"'}), 412, "version-conflict")

    async def test_a_deleted_one_is_gone(self, ada: Caller) -> None:
        view = await save(ada)
        path = f"/views/{view['id']}"
        body = accepted(await ada.delete(path))
        assert (body["id"], body["version"]) == (view["id"], 2)
        refused(await ada.delete(path), 404, "not-found")
        refused(await ada.patch(path, {"name": "x"}), 404, "not-found")
        refused(await ada.read(path, body["position"]), 404, "not-found")
        assert await listed(ada, body["position"]) == []

    async def test_two_who_change_it_at_once_both_do(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob)
        view = await save(ada, project_id=project["id"])
        path = f"/views/{view['id']}"
        answers = await asyncio.gather(
            *[(ada, bob)[n % 2].patch(path, {"query": {"label": f"{n}"}}) for n in range(20)]
        )
        assert sorted(accepted(one)["version"] for one in answers) == list(range(2, 22))


class TestAccess:
    async def test_a_personal_one_is_its_owners_alone(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob, "admin")
        view = await save(ada, query={"project": project["id"]})
        path = f"/views/{view['id']}"
        assert await listed(bob, view["position"]) == []
        refused(await bob.read(path, view["position"]), 404, "not-found")
        refused(await bob.patch(path, {"name": "x"}), 404, "not-found")
        refused(await bob.delete(path), 404, "not-found")
        refused(await bob.command("EditView", view["id"], data={}), 404, "not-found")

    async def test_a_projects_is_seen_by_viewers_and_changed_by_members(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob, "viewer")
        own, shared = await save(ada), await save(ada, project_id=project["id"])
        path = f"/views/{shared['id']}"
        assert await listed(ada, shared["position"]) == [own["id"], shared["id"]]
        assert await listed(ada, shared["position"], project=project["id"]) == [shared["id"]]
        assert await listed(bob, shared["position"]) == [shared["id"]]
        assert accepted(await bob.read(path, shared["position"]))["owner_id"] == ada.id
        refused(await bob.patch(path, {"name": "x"}), 403, "forbidden")
        refused(await bob.post("/views", {"name": "x", "query": {}, "project_id": project["id"]}), 403, "forbidden")
        await ada.add(project["id"], bob, "member")
        assert accepted(await bob.patch(path, {"name": "theirs too"}))["owner_id"] == ada.id

    async def test_who_loses_the_project_loses_its_views_their_own_too(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob)
        headers = {"Idempotency-Key": "mine"}
        body = {"name": "by bob", "query": {}, "project_id": project["id"]}
        view = accepted(await bob.post("/views", body, headers=headers), 201)
        accepted(await bob.read(f"/views/{view['id']}", view["position"]))
        removed = accepted(await ada.delete(f"/projects/{project['id']}/members/{bob.id}"))
        assert await listed(bob, removed["position"]) == []
        refused(await bob.get(f"/views/{view['id']}"), 404, "not-found")
        refused(await bob.patch(f"/views/{view['id']}", {"name": "x"}), 404, "not-found")
        refused(await bob.get("/views", params={"project": project["id"]}), 404, "not-found")
        refused(await bob.post("/views", body, headers=headers), 404, "not-found")
        assert await listed(ada, removed["position"]) == [view["id"]]

    async def test_a_projects_rests_while_the_project_is_archived(self, ada: Caller) -> None:
        project = await ada.project()
        view = await save(ada, project_id=project["id"])
        accepted(await ada.delete(f"/projects/{project['id']}"))
        for write in (
            ada.patch(f"/views/{view['id']}", {"name": "x"}),
            ada.delete(f"/views/{view['id']}"),
            ada.post("/views", {"name": "x", "query": {}, "project_id": project["id"]}),
        ):
            refused(await write, 409, "command-rejected", "project-archived")
        accepted(await ada.read(f"/views/{view['id']}", view["position"]))

    async def test_an_id_of_something_else_is_no_view(self, ada: Caller) -> None:
        task = await ada.task()
        for wrong in (task["id"], task["project_id"], ada.id, str(uuid4()), "x"):
            refused(await ada.get(f"/views/{wrong}"), 404, "not-found")
            refused(await ada.patch(f"/views/{wrong}", {"name": "x"}), 404, "not-found")


class TestLists:
    async def test_have_pages_in_the_order_of_saving(self, ada: Caller) -> None:
        project = await ada.project()
        views = [await save(ada, f"{n}", project_id=[None, project["id"]][n % 2]) for n in range(5)]
        seen: list[str] = []
        parameters: dict[str, Any] = {"limit": 2}
        while True:
            response = await ada.read("/views", views[-1]["position"], **parameters)
            body = accepted(response)
            seen += [one["id"] for one in body["items"]]
            if body["next_cursor"] is None:
                break
            parameters["cursor"] = body["next_cursor"]
        for own in ([one["id"] for one in views[0::2]], [one["id"] for one in views[1::2]]):
            assert [one for one in seen if one in own] == own
        assert len(seen) == len(views)
        refused(await ada.get("/views", params={"cursor": "x"}), 400, "validation")
        refused(await ada.get("/views", params={"project": "x"}), 400, "validation")

    async def test_there_are_at_most_so_many_a_person_and_so_many_a_project(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob)
        for where in ({}, {"project_id": project["id"]}):
            body = {"name": "one of many", "query": {}} | where
            first = await ada.post("/views", body, headers={"Idempotency-Key": f"first{where}"})
            many = [{"id": str(uuid4()), "type": "CreateView", "data": body} for _ in range(SAVED_VIEWS_MAX - 1)]
            made = accepted(await ada.post("/commands/batch", {"atomic": False, "commands": many}))
            assert {one["outcome"] for one in made["results"]} == {"applied"}
            refused(await ada.post("/views", body), 409, "command-rejected", "too-many-views")
            again = await ada.post("/views", body, headers={"Idempotency-Key": f"first{where}"})
            assert (again.status_code, again.content) == (201, first.content)
            if where:
                refused(await bob.post("/views", body), 409, "command-rejected", "too-many-views")
            accepted(await bob.post("/views", {"name": "his", "query": {}}), 201)
            accepted(await ada.delete(f"/views/{first.json()['id']}"))
            accepted(await ada.post("/views", body), 201)

    @pytest.mark.parametrize("shared", [False, True])
    async def test_no_race_and_no_batch_goes_past_that(
        self, ada: Caller, other_http: httpx.AsyncClient, shared: bool
    ) -> None:
        there = Caller(other_http, ada.id, ada.name, ada.token)
        body = {"name": "one of many", "query": {}} | ({"project_id": (await ada.project())["id"]} if shared else {})

        def batch(count: int) -> dict[str, Any]:
            commands = [{"id": str(uuid4()), "type": "CreateView", "data": body} for _ in range(count)]
            return {"atomic": True, "commands": commands}

        accepted(await ada.post("/commands/batch", batch(SAVED_VIEWS_MAX - 2)))
        refused(await ada.post("/commands/batch", batch(3)), 409, "command-rejected", "too-many-views")
        answers = await asyncio.gather(*[caller.post("/views", body) for caller in (ada, there) * 5])
        assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 8
        saved = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        position = accepted(await ada.delete(f"/views/{saved[0]}"))["position"]
        answers = await asyncio.gather(*[caller.post("/views", body) for caller in (ada, there) * 2])
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 3
        position = max(answer.json().get("position", position) for answer in answers)
        assert len(accepted(await ada.read("/views", position, limit=200))["items"]) == SAVED_VIEWS_MAX
