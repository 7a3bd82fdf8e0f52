"""Tasks over HTTP: what a write answers, what a read shows, and how they differ in time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.api.stack import Caller, accepted, refused

FIELDS = {
    "id", "project_id", "external_id", "title", "description", "status", "status_category", "priority", "due_at",
    "due_on", "time_zone", "labels", "assignee", "parent_id", "rank", "recurrence", "created_by", "created_at", "updated_at", "started_at",
    "completed_at", "comment_count", "checklist", "relations", "trashed_at", "version",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
UNICODE = "Ünïcödé 日本語 👩‍👩‍👧‍👦 \u202eevil\u202c \x00 \\ \" ' <b> ' or 1=1 --"


class TestCreating:
    async def test_answers_201_with_every_field_and_where_it_is(self, ada: Caller) -> None:
        response = await ada.post("/tasks", {"title": "Write the report"})
        body = accepted(response, 201)
        assert set(body) == FIELDS | {"position"}
        assert (body["version"], body["status"], body["status_category"]) == (1, "todo", "todo")
        assert body["created_by"] == ada.id
        assert TIME.fullmatch(body["created_at"])
        assert response.headers["location"] == f"/api/v1/tasks/{body['id']}"
        assert response.headers["taskflow-position"] == str(body["position"])
        assert response.headers["etag"].startswith('"1')

    async def test_a_task_can_be_read_at_its_position(self, ada: Caller) -> None:
        task = await ada.task(
            "T", description="**D**", priority="urgent", due_at="2030-01-02T03:04:05+02:00", labels=["b", "a", "b"],
            assignee_id=ada.id,
        )  # fmt: skip
        response = await ada.read(f"/tasks/{task['id']}", task["position"])
        assert accepted(response) == {name: task[name] for name in FIELDS}
        assert task["due_at"] == "2030-01-02T01:04:05.000000Z"
        assert task["labels"] == ["b", "a"]
        assert task["assignee"] == {"id": ada.id, "name": "Ada Lovelace"}
        assert int(response.headers["taskflow-position"]) >= task["position"]

    async def test_any_text_comes_back_as_it_was(self, ada: Caller) -> None:
        task = await ada.task(UNICODE, description=UNICODE, labels=[UNICODE[:100]])
        found = accepted(await ada.read(f"/tasks/{task['id']}", task["position"]))
        assert (found["title"], found["description"], found["labels"]) == (UNICODE, UNICODE, [UNICODE[:100]])
        listed = accepted(await ada.read("/tasks", task["position"], label=UNICODE[:100]))
        assert [one["id"] for one in listed["items"]] == [task["id"]]

    @pytest.mark.parametrize(
        ("body", "pointer", "code"),
        [
            ({}, "/title", "required"),
            ({"title": ""}, "/title", "length"),
            ({"title": "  "}, "/title", "pattern"),
            ({"title": "x" * 501}, "/title", "length"),
            ({"title": 1}, "/title", "type"),
            ({"title": "x", "nonsense": 1}, "/nonsense", "unknown-field"),
            ({"title": "x", "labels": ["ok", ""]}, "/labels/1", "length"),
            ({"title": "x", "due_at": "2030-01-01T00:00:00"}, "/due_at", "format"),
            ({"title": "x", "due_at": "tomorrow"}, "/due_at", "format"),
            ({"title": "x", "due_at": "0001-01-01T00:00:00+14:00"}, "/due_at", "out-of-range"),
            ({"title": "x", "priority": "asap"}, "/priority", "choice"),
            ({"title": "x", "project_id": "me"}, "/project_id", "format"),
            ({"title": "x", "description": "é" * 60_000}, "/description", "too-long"),
        ],
    )
    async def test_a_bad_field_is_named(self, ada: Caller, body: dict[str, Any], pointer: str, code: str) -> None:
        problem = refused(await ada.post("/tasks", body), 400, "validation")
        assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]

    async def test_every_bad_field_is_named_at_once(self, ada: Caller) -> None:
        problem = refused(await ada.post("/tasks", {"title": "", "priority": 1, "x": 1}), 400, "validation")
        assert {error["pointer"] for error in problem["errors"]} == {"/title", "/priority", "/x"}

    @pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"null", b'{"title": "\xff"}', b"[" * 5_000])
    async def test_what_is_no_json_object_is_refused(self, ada: Caller, raw: bytes) -> None:
        response = await ada.call("POST", "/tasks", content=raw, headers={"Content-Type": "application/json"})
        refused(response, 400, "validation")

    @pytest.mark.parametrize(
        "media", ["text/plain", "application/merge-patch+json", "application/json; charset=latin1"]
    )
    async def test_another_content_type_is_refused(self, ada: Caller, media: str) -> None:
        response = await ada.call("POST", "/tasks", content=b'{"title":"x"}', headers={"Content-Type": media})
        refused(response, 415, "unsupported-media-type")

    async def test_the_longest_texts_are_taken(self, ada: Caller) -> None:
        task = await ada.task("👩" * 500, description="x" * 100_000, labels=["y" * 100] * 50)
        assert len(task["title"]) == 500


class TestChanging:
    async def test_a_patch_of_one_field_is_one_version(self, ada: Caller) -> None:
        task = await ada.task("before", description="kept")
        patched = accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "after"}))
        assert (patched["title"], patched["description"], patched["version"]) == ("after", "kept", 2)
        assert patched["position"] > task["position"]

    async def test_null_clears_and_absence_keeps(self, ada: Caller) -> None:
        task = await ada.task("T", description="d", due_at="2030-01-01T00:00:00Z", labels=["a"], assignee_id=ada.id)
        cleared = {"description": None, "due_at": None, "labels": None, "assignee_id": None}
        response = await ada.call(
            "PATCH", f"/tasks/{task['id']}", json=cleared, headers={"Content-Type": "application/merge-patch+json"}
        )
        body = accepted(response)
        assert (body["description"], body["due_at"], body["labels"], body["assignee"]) == ("", None, [], None)
        assert (body["title"], body["version"]) == ("T", 5)

    async def test_null_is_refused_where_a_value_must_be(self, ada: Caller) -> None:
        task = await ada.task()
        problem = refused(await ada.patch(f"/tasks/{task['id']}", {"title": None}), 400, "validation")
        assert problem["errors"][0]["pointer"] == "/title"

    async def test_what_changes_nothing_keeps_version_and_position(self, ada: Caller) -> None:
        task = await ada.task("same", labels=["a"])
        for write in (
            ada.patch(f"/tasks/{task['id']}", {"title": "same", "labels": ["a"]}),
            ada.patch(f"/tasks/{task['id']}", {}),
            ada.post(f"/tasks/{task['id']}/reopen"),
            ada.post(f"/tasks/{task['id']}/restore"),
            ada.post(f"/tasks/{task['id']}/assign", {"user_id": None}),
        ):
            body = accepted(await write)
            assert (body["version"], body["position"]) == (task["version"], task["position"])

    async def test_an_intent_goes_to_the_first_status_of_its_category(self, ada: Caller) -> None:
        task = await ada.task()
        seen = []
        for intent in ("start", "complete", "reopen", "cancel"):
            # Without a body and without a content type: every field of an intent is optional.
            body = accepted(await ada.call("POST", f"/tasks/{task['id']}/{intent}"))
            seen.append((body["status"], body["status_category"], body["version"]))
        assert seen == [
            ("in_progress", "in_progress", 2),
            ("done", "done", 3),
            ("todo", "todo", 4),
            ("cancelled", "cancelled", 5),
        ]

    async def test_completion_and_start_leave_their_times(self, ada: Caller) -> None:
        task = await ada.task()
        started = accepted(await ada.post(f"/tasks/{task['id']}/start"))
        done = accepted(await ada.post(f"/tasks/{task['id']}/complete"))
        reopened = accepted(await ada.post(f"/tasks/{task['id']}/reopen"))
        assert started["started_at"] == started["updated_at"]
        assert done["completed_at"] == done["updated_at"]
        assert (reopened["started_at"], reopened["completed_at"]) == (started["started_at"], None)

    async def test_only_members_are_assigned(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        task = await ada.task(project_id=project["id"])
        response = await ada.post(f"/tasks/{task['id']}/assign", {"user_id": bob.id})
        assert response.status_code == 409, response.text
        await ada.add(project["id"], bob)
        body = accepted(await ada.post(f"/tasks/{task['id']}/assign", {"user_id": bob.id}))
        assert body["assignee"] == {"id": bob.id, "name": "Bob"}
        refused(await ada.post(f"/tasks/{task['id']}/assign"), 400, "validation")

    async def test_the_trash_keeps_a_task_readable_and_out_of_lists(self, ada: Caller) -> None:
        project = await ada.project()
        task = await ada.task(project_id=project["id"])
        trashed = accepted(await ada.delete(f"/tasks/{task['id']}"))
        assert trashed["trashed_at"] == trashed["updated_at"]
        refused(await ada.patch(f"/tasks/{task['id']}", {"title": "x"}), 409, "command-rejected", "trashed")
        position = trashed["position"]
        assert accepted(await ada.read(f"/tasks/{task['id']}", position))["trashed_at"] == trashed["trashed_at"]
        live = accepted(await ada.read("/tasks", position, project=project["id"]))
        binned = accepted(await ada.read("/tasks", position, project=project["id"], trashed="true"))
        assert (live["items"], [one["id"] for one in binned["items"]]) == ([], [task["id"]])
        restored = accepted(await ada.post(f"/tasks/{task['id']}/restore"))
        assert restored["trashed_at"] is None

    async def test_a_subtask_cannot_stand_below_itself(self, ada: Caller) -> None:
        parent = await ada.task()
        child = await ada.task(parent_id=parent["id"])
        refused(await ada.patch(f"/tasks/{parent['id']}", {"parent_id": child["id"]}), 409, "command-rejected", "cycle")
        listed = accepted(await ada.read("/tasks", child["position"], parent=parent["id"]))
        assert [one["id"] for one in listed["items"]] == [child["id"]]


class TestVersions:
    @pytest.mark.parametrize("form", ['"1"', 'W/"1"', '"1-anything"', 'W/"1-x"', "*"])
    async def test_the_expected_version_may_be_written_in_these_ways(self, ada: Caller, form: str) -> None:
        task = await ada.task()
        accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": form}))

    @pytest.mark.parametrize("form", ["1", '"x"', '"1', '""', '"1", "2"', '"-1"', "null"])
    async def test_and_in_no_other(self, ada: Caller, form: str) -> None:
        task = await ada.task()
        response = await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": form})
        assert refused(response, 400, "validation")["errors"][0]["pointer"] == "If-Match"

    @pytest.mark.parametrize("form", ['"999999999999999999"', '"2147483648"', '"2"'])
    async def test_a_version_that_never_was_is_a_conflict(self, ada: Caller, form: str) -> None:
        task = await ada.task()
        problem = refused(
            await ada.patch(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": form}), 412, "version-conflict"
        )
        assert (problem["current_version"], problem["events"]) == (1, [])

    @pytest.mark.parametrize(
        ("path", "body"),
        [("/tasks", {"title": "x"}), ("/projects", {"name": "x"}), ("/views", {"name": "x", "query": {}})],
    )
    async def test_what_is_made_has_no_version_before(self, ada: Caller, path: str, body: Any) -> None:
        for form in ('"1"', '"3-x"'):
            problem = refused(await ada.post(path, body, headers={"If-Match": form}), 412, "version-conflict")
            assert (problem["current_version"], problem["events"]) == (0, [])
        for form in ('"0"', "*"):
            accepted(await ada.post(path, body, headers={"If-Match": form}), 201)

    async def test_the_etag_of_a_write_is_the_one_to_send(self, ada: Caller) -> None:
        created = await ada.post("/tasks", {"title": "x", "assignee_id": ada.id})
        path = f"/tasks/{created.json()['id']}"
        accepted(await ada.patch(path, {"title": "y"}, headers={"If-Match": created.headers["etag"]}))

    async def test_a_stale_version_is_told_what_happened_since(self, ada: Caller) -> None:
        task = await ada.task()
        path = f"/tasks/{task['id']}"
        await ada.patch(path, {"title": "b"})
        await ada.post(f"{path}/start")
        for write in (
            ada.patch(path, {"title": "c"}, headers={"If-Match": '"1"'}),
            ada.delete(path, headers={"If-Match": '"1"'}),
            ada.post(f"{path}/complete", headers={"If-Match": '"1"'}),
        ):
            problem = refused(await write, 412, "version-conflict")
            assert problem["current_version"] == 3
            assert [(one["version"], one["type"], one["actor"]) for one in problem["events"]] == [
                (2, "TaskRetitled", ada.id),
                (3, "TaskStatusChanged", ada.id),
            ]
            assert TIME.fullmatch(problem["events"][0]["occurred_at"])

    @pytest.mark.parametrize("version", [2, 2**31 - 1, 2**31, 10**18 - 1])
    async def test_a_version_that_is_still_to_come_is_stale_too(self, ada: Caller, version: int) -> None:
        task = await ada.task()
        response = await ada.patch(f"/tasks/{task['id']}", {"title": "b"}, headers={"If-Match": f'"{version}"'})
        problem = refused(response, 412, "version-conflict")
        assert (problem["current_version"], problem["events"]) == (1, [])


class TestReading:
    async def test_an_unchanged_resource_is_304(self, ada: Caller) -> None:
        task = await ada.task()
        first = await ada.read(f"/tasks/{task['id']}", task["position"])
        again = await ada.get(f"/tasks/{task['id']}", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["taskflow-position"]
        weak = await ada.get(f"/tasks/{task['id']}", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
        assert weak.status_code == 304
        changed = accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "new"}))
        fresh = await ada.get(
            f"/tasks/{task['id']}",
            params={"min_position": changed["position"]},
            headers={"If-None-Match": first.headers["etag"]},
        )
        assert accepted(fresh)["title"] == "new"

    async def test_an_unchanged_list_is_304(self, ada: Caller) -> None:
        task = await ada.task()
        first = await ada.read("/tasks", task["position"])
        again = await ada.get("/tasks", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304

    async def test_a_renamed_assignee_changes_the_etag_and_not_the_version(self, ada: Caller) -> None:
        task = await ada.task(assignee_id=ada.id)
        before = await ada.read(f"/tasks/{task['id']}", task["position"])
        renamed = accepted(await ada.patch("/users/me", {"name": "Countess"}))
        after = await ada.read(f"/tasks/{task['id']}", renamed["position"])
        assert after.json()["assignee"]["name"] == "Countess"
        assert after.json()["version"] == 1
        assert before.headers["etag"] != after.headers["etag"]
        listed = accepted(await ada.read("/tasks", renamed["position"]))
        assert listed["items"][0]["assignee"]["name"] == "Countess"

    async def test_nobody_and_nothing_is_404(self, ada: Caller) -> None:
        for path in (f"/tasks/{uuid4()}", "/tasks/none", f"/tasks/{ada.id}"):
            refused(await ada.get(path), 404, "not-found")
            refused(await ada.patch(path, {"title": "x"}), 404, "not-found")
            refused(await ada.get(f"{path}/events"), 404, "not-found")


class TestListing:
    async def test_each_filter_and_their_combinations(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob)
        where = {"project_id": project["id"]}
        plain = await ada.task("plain", **where)
        urgent = await ada.task("urgent", priority="urgent", labels=["red", "big"], **where)
        bobs = await ada.task("bobs", assignee_id=bob.id, labels=["red"], due_at="2030-06-01T00:00:00Z", **where)
        mine = await ada.task("mine", assignee_id=ada.id, due_at="2031-06-01T00:00:00Z", **where)
        last = accepted(await ada.post(f"/tasks/{mine['id']}/start"))
        everything = {plain["id"], urgent["id"], bobs["id"], mine["id"]}

        async def listed(**parameters: Any) -> set[str]:
            parameters.setdefault("project", project["id"])
            body = accepted(await ada.read("/tasks", last["position"], **parameters))
            assert body["next_cursor"] is None
            return {one["id"] for one in body["items"]}

        assert await listed() == everything
        assert await listed(status="in_progress") == {mine["id"]}
        assert await listed(status=["in_progress", "todo"]) == everything
        assert await listed(category="in_progress") == {mine["id"]}
        assert await listed(category=["in_progress", "done"]) == {mine["id"]}
        assert await listed(category="done") == set()
        assert await listed(category="todo", status="in_progress") == set()
        assert await listed(assignee="me") == {mine["id"]}
        assert await listed(assignee=[bob.id, "me"]) == {bobs["id"], mine["id"]}
        assert await listed(label="red") == {urgent["id"], bobs["id"]}
        assert await listed(label=["big", "none"]) == {urgent["id"]}
        assert await listed(label="red", assignee=bob.id) == {bobs["id"]}
        assert await listed(priority="urgent") == {urgent["id"]}
        assert await listed(priority=["urgent", "medium"]) == everything
        assert await listed(due_before="2031-01-01T00:00:00Z") == {bobs["id"]}
        assert await listed(due_after="2031-01-01T00:00:00+02:00") == {mine["id"]}
        assert await listed(due_after="2030-01-01T00:00:00Z", due_before="2032-01-01T00:00:00Z") == {
            bobs["id"],
            mine["id"],
        }
        # Of two ranges that meet, exactly one holds what is due on the bound.
        bound = bobs["due_at"]
        assert await listed(due_before=bound) == set()
        assert await listed(due_after=bound) == {bobs["id"], mine["id"]}
        assert await listed(due_after=bound, due_before=mine["due_at"]) == {bobs["id"]}
        assert await listed(trashed="false") == everything
        assert await listed(parent=plain["id"]) == set()

    async def test_without_a_project_it_is_all_of_the_callers(self, ada: Caller, bob: Caller) -> None:
        shared, private = await bob.project(), await bob.project()
        await bob.add(shared["id"], ada, "viewer")
        own = await ada.task()
        theirs = await bob.task(project_id=shared["id"])
        hidden = await bob.task(project_id=private["id"])
        listed = accepted(await ada.read("/tasks", hidden["position"]))
        assert {one["id"] for one in listed["items"]} == {own["id"], theirs["id"]}
        both = accepted(await ada.read("/tasks", hidden["position"], project=[shared["id"], own["project_id"]]))
        assert {one["id"] for one in both["items"]} == {own["id"], theirs["id"]}
        refused(await ada.get("/tasks", params={"project": [shared["id"], private["id"]]}), 404, "not-found")

    async def test_each_order_both_ways(self, ada: Caller) -> None:
        project = await ada.project()
        where = {"project_id": project["id"]}
        first = await ada.task("a", priority="high", due_at="2032-01-01T00:00:00Z", **where)
        second = await ada.task("b", priority="low", **where)
        third = await ada.task("c", priority="urgent", due_at="2031-01-01T00:00:00Z", **where)
        last = accepted(await ada.patch(f"/tasks/{first['id']}", {"title": "touched"}))
        expected = {
            "created_at": [first, second, third],
            "updated_at": [second, third, first],
            "due_at": [third, first, second],
            "priority": [second, first, third],
            "rank": [first, second, third],
        }
        for field, order in expected.items():
            for sort, wanted in ((field, order), (f"-{field}", order[::-1])):
                body = accepted(await ada.read("/tasks", last["position"], project=project["id"], sort=sort))
                assert [one["id"] for one in body["items"]] == [one["id"] for one in wanted], sort

    async def test_pages_miss_nothing_while_items_are_added(self, ada: Caller) -> None:
        project = await ada.project()
        before = [await ada.task(f"{n}", project_id=project["id"]) for n in range(7)]
        parameters: dict[str, Any] = {"project": project["id"], "limit": 3, "sort": "-created_at"}
        position, seen, pages = before[-1]["position"], [], 0
        while True:
            response = await ada.read("/tasks", position, **parameters)
            body = accepted(response)
            seen += [one["id"] for one in body["items"]]
            pages += 1
            position = (await ada.task("added meanwhile", project_id=project["id"]))["position"]
            if body["next_cursor"] is None:
                assert "link" not in response.headers
                break
            assert re.fullmatch(r"[A-Za-z0-9\-_.~]+", body["next_cursor"])
            link = re.fullmatch(r'<(?P<url>[^>]+)>; rel="next"', response.headers["link"])
            assert link is not None
            assert f"cursor={body['next_cursor']}" in link["url"]
            assert "limit=3" in link["url"]
            parameters["cursor"] = body["next_cursor"]
        assert seen == [one["id"] for one in reversed(before)]
        assert pages == 3

    async def test_the_next_link_leads_on(self, ada: Caller) -> None:
        position = 0
        for n in range(3):
            position = (await ada.task(f"{n}"))["position"]
        first = await ada.read("/tasks", position, limit=2)
        url = first.headers["link"].partition("<")[2].partition(">")[0]
        second = await ada.http.get(url, headers={"Authorization": f"Bearer {ada.token}"})
        titles = [one["title"] for one in first.json()["items"] + second.json()["items"]]
        assert titles == ["0", "1", "2"]

    @pytest.mark.parametrize(
        ("parameters", "name"),
        [
            ({"limit": 0}, "limit"),
            ({"limit": 201}, "limit"),
            ({"limit": "many"}, "limit"),
            ({"cursor": "nonsense"}, "cursor"),
            ({"sort": "title"}, "sort"),
            ({"priority": "asap"}, "priority"),
            ({"category": "doing"}, "category"),
            ({"assignee": "somebody"}, "assignee"),
            ({"project": "x"}, "project"),
            ({"due_before": "soon"}, "due_before"),
            ({"due_before": "2030-01-01T00:00:00"}, "due_before"),
            ({"trashed": "maybe"}, "trashed"),
            ({"min_position": -1}, "min_position"),
            ({"wait_ms": 10_001}, "wait_ms"),
            ({"q": "x" * 201}, "q"),
            ({"q": "a b c d e f g h i j k"}, "q"),
            ({"q": ["a", "b"]}, "q"),
            ({"asignee": "me"}, "asignee"),
            ({"sort": ["rank", "due_at"]}, "sort"),
        ],
    )
    async def test_a_bad_parameter_is_named(self, ada: Caller, parameters: dict[str, Any], name: str) -> None:
        problem = refused(await ada.get("/tasks", params=parameters), 400, "validation")
        assert [error["pointer"] for error in problem["errors"]] == [name]

    async def test_a_cursor_of_another_list_is_refused(self, ada: Caller) -> None:
        position = 0
        for n in range(2):
            position = (await ada.task(f"{n}"))["position"]
        cursor = accepted(await ada.read("/tasks", position, limit=1))["next_cursor"]
        refused(await ada.get("/tasks", params={"cursor": cursor, "sort": "rank"}), 400, "validation")
        refused(await ada.get("/projects", params={"cursor": cursor}), 400, "validation")


class TestHistory:
    async def test_it_is_complete_at_once_in_every_process(self, ada: Caller, other_http: Any) -> None:
        elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
        task = await ada.task("one")
        for n in range(3):
            await ada.patch(f"/tasks/{task['id']}", {"title": f"{n}"}, headers={"X-Request-ID": f"request-{n}"})
            body = accepted(await elsewhere.get(f"/tasks/{task['id']}/events"))
            assert [one["stream_version"] for one in body["items"]] == list(range(1, n + 3))
        envelope = body["items"][-1]
        assert set(envelope) == {
            "position", "event_id", "stream_id", "stream_version", "type", "schema_version", "occurred_at",
            "recorded_at", "actor", "command_id", "correlation_id", "causation_id", "data",
        }  # fmt: skip
        assert (envelope["type"], envelope["actor"], envelope["data"]) == ("TaskRetitled", ada.id, {"title": "2"})
        assert UUID(envelope["correlation_id"]), "what stands for the request's id"
        assert TIME.fullmatch(envelope["occurred_at"])
        assert TIME.fullmatch(envelope["recorded_at"])

    async def test_it_has_pages(self, ada: Caller) -> None:
        task = await ada.task("0")
        for n in range(4):
            await ada.patch(f"/tasks/{task['id']}", {"title": f"{n + 1}"})
        versions, cursor = [], None
        while True:
            parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            body = accepted(await ada.get(f"/tasks/{task['id']}/events", params=parameters))
            versions += [one["stream_version"] for one in body["items"]]
            cursor = body["next_cursor"]
            if cursor is None:
                break
        assert versions == [1, 2, 3, 4, 5]


async def test_a_name_is_never_missing_because_a_view_lags(
    ada: Caller, person: Callable[[str], Awaitable[Caller]]
) -> None:
    newcomer = await person("Newcomer")
    project = await ada.project()
    await ada.add(project["id"], newcomer)
    task = await ada.task(project_id=project["id"], assignee_id=newcomer.id)
    assert task["assignee"]["name"] == "Newcomer"
    shown = accepted(await newcomer.read(f"/tasks/{task['id']}", task["position"]))
    assert shown["assignee"]["name"] == "Newcomer"
