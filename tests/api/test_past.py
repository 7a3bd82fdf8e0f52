"""A task as it was, and what changed in it: by version, by either clock, for whoever may see it today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from taskflow.commands import task as task_commands
from taskflow.streams.project import DEFAULT_WORKFLOW, Status
from tests.api.beside import Beside
from tests.api.stack import Caller, accepted, refused

PATCHES: list[tuple[str, str, Any]] = [
    ("PATCH", "", {"title": "Ünï 👩‍👩‍👧‍👦", "priority": "urgent"}),
    ("PATCH", "", {"title": "b", "description": "**D**", "labels": ["x", "y"]}),
    ("PATCH", "", {"labels": [], "due_at": "2030-01-02T03:04:05Z"}),
    ("PATCH", "", {"due_at": None}),
    ("POST", "/assign", {"user_id": "{me}"}),
    ("POST", "/assign", {"user_id": None}),
    ("POST", "/start", {}),
    ("POST", "/complete", {}),
    ("POST", "/reopen", {}),
    ("POST", "/undo", {}),
    ("DELETE", "", {}),
    ("POST", "/restore", {}),
]


def without_position(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "position"}


def plus(at: str, microseconds: int) -> str:
    moved = datetime.fromisoformat(at) + timedelta(microseconds=microseconds)
    return moved.isoformat(timespec="microseconds").replace("+00:00", "Z")


@hypothesis_settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(choices=st.lists(st.sampled_from(PATCHES), max_size=8))
async def test_every_version_reads_as_its_write_answered(
    ada: Caller, other_http: httpx.AsyncClient, choices: list[Any]
) -> None:
    there = Caller(other_http, ada.id, ada.name, ada.token)
    made = await ada.post("/tasks", {"title": "T", "labels": ["red"]})
    task = accepted(made, 201)
    path = f"/tasks/{task['id']}"
    answers = {1: made}
    for number, (method, below, body) in enumerate(choices):
        filled = {name: ada.id if value == "{me}" else value for name, value in body.items()}
        answer = await (ada, there)[number % 2].call(method, path + below, json=filled)
        if answer.status_code == 200:
            answers.setdefault(answer.json()["version"], answer)
    for version, answer in answers.items():
        wrote = without_position(answer.json())
        for reader in (ada, there):
            read = await reader.get(path, params={"version": version})
            assert accepted(read) == wrote
            assert read.headers["etag"] == answer.headers["etag"]
            # The name is a view's: with it, the answer is as fresh as the older of the two.
            named = await reader.read(path, answer.json()["position"], version=version)
            assert accepted(named) == wrote
            assert int(named.headers["taskflow-position"]) >= answer.json()["position"]
        assert accepted(await there.get(path, params={"at": wrote["updated_at"]})) == wrote
        if version > 1:
            before = accepted(await ada.get(path, params={"at": plus(wrote["updated_at"], -1)}))
            assert before["version"] < version


class TestByTime:
    async def test_before_it_was_created_there_is_none_and_later_it_is_as_today(self, ada: Caller) -> None:
        task = await ada.task("T")
        path = f"/tasks/{task['id']}"
        refused(await ada.get(path, params={"at": plus(task["created_at"], -1)}), 404, "not-found")
        assert accepted(await ada.get(path, params={"at": task["created_at"]}))["version"] == 1
        assert accepted(await ada.get(path, params={"at": "9999-12-31T23:59:59Z"}))["version"] == 1
        refused(await ada.get(path, params={"at": "0001-01-01T00:00:00Z"}), 404, "not-found")

    async def test_each_clock_tells_its_own_time(self, beside: Beside, ada: Caller) -> None:
        """A task that happened long ago, and was recorded today, in a project that was not there then."""
        project = (await ada.project())["id"]
        ago = datetime(2020, 5, 1, 12, tzinfo=UTC)
        create = task_commands.CreateTask(project_id=UUID(project), title="old")
        made = await beside.command(ada.id, ago, task_commands.create_task, None, create)
        path = f"/tasks/{made.receipt.stream_id}"
        old = accepted(await ada.get(path, params={"at": "2020-05-01T12:00:00Z"}))
        assert (old["title"], old["status_category"]) == ("old", "todo"), "the project as it was first known"
        assert accepted(await ada.get(path, params={"at": "2020-05-01T12:00:00Z", "clock": "occurred"})) == old
        refused(await ada.get(path, params={"at": "2020-05-01T11:59:59Z"}), 404, "not-found")
        refused(await ada.get(path, params={"at": "2020-06-01T00:00:00Z", "clock": "recorded"}), 404, "not-found")
        (event,) = accepted(await ada.get(f"{path}/events"))["items"]
        recorded = {"at": event["recorded_at"], "clock": "recorded"}
        assert accepted(await ada.get(path, params=recorded)) == old
        recorded["at"] = plus(event["recorded_at"], -1)
        refused(await ada.get(path, params=recorded), 404, "not-found")


class TestAsked:
    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("version=1&at=2030-01-01T00:00:00Z", "version"),
            ("clock=recorded", "clock"),
            ("at=2030-01-01T00:00:00Z&clock=sun", "clock"),
            ("at=2030-01-01T00:00:00", "at"),
            ("at=", "at"),
            ("version=one", "version"),
            ("version=-1", "version"),
            ("version=1&version=2", "version"),
            ("versions=1", "versions"),
        ],
    )
    async def test_a_bad_parameter_is_named(self, ada: Caller, query: str, pointer: str) -> None:
        task = await ada.task()
        problem = refused(await ada.get(f"/tasks/{task['id']}?{query}"), 400, "validation")
        assert [error["pointer"] for error in problem["errors"]] == [pointer]

    @pytest.mark.parametrize("version", [0, 2, 2**31, 2**40])
    async def test_a_version_that_never_was_is_not_found(self, ada: Caller, version: int) -> None:
        task = await ada.task()
        refused(await ada.get(f"/tasks/{task['id']}", params={"version": version}), 404, "not-found")

    async def test_what_has_not_changed_is_304(self, ada: Caller) -> None:
        task = await ada.task()
        path = f"/tasks/{task['id']}?version=1"
        etag = (await ada.get(path)).headers["etag"]
        assert etag.startswith('"1-')
        accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "a"}))
        assert (await ada.get(path, headers={"If-None-Match": etag})).status_code == 304

    async def test_a_position_past_the_head_is_refused_here_too(self, ada: Caller) -> None:
        task = await ada.task()
        parameters = {"version": 1, "min_position": 2**60}
        refused(await ada.get(f"/tasks/{task['id']}", params=parameters), 400, "validation")


class TestFresh:
    async def test_what_was_acknowledged_in_one_process_is_there_in_the_other(
        self, ada: Caller, other_http: httpx.AsyncClient
    ) -> None:
        there = Caller(other_http, ada.id, ada.name, ada.token)
        task = await ada.task("0")
        path = f"/tasks/{task['id']}"
        for version in range(2, 22):
            wrote = accepted(await ada.patch(path, {"title": str(version)}))
            at = {"at": wrote["updated_at"]}
            assert accepted(await there.get(path, params={"version": version}))["title"] == str(version)
            assert accepted(await there.get(path, params=at))["title"] == str(version)
            changes = accepted(await there.get(f"{path}/diff?from={version - 1}"))["changes"]
            assert [change["to"] for change in changes] == [str(version)]

    async def test_and_so_is_where_the_task_is_now(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient
    ) -> None:
        """Whoever sees its present project sees all of its past, and nobody else any of it."""
        there = Caller(other_http, bob.id, bob.name, bob.token)
        mine, ours = (await ada.project())["id"], (await ada.project())["id"]
        await ada.add(ours, bob)
        task = await ada.task(project_id=ours)
        path = f"/tasks/{task['id']}"
        for _ in range(5):
            accepted(await there.get(f"{path}?version=1"))
            accepted(await ada.post(f"{path}/move", {"project_id": mine}))
            for query in ("?version=1", "?at=9999-01-01T00:00:00Z", "/diff"):
                refused(await there.get(path + query), 404, "not-found")
            accepted(await ada.post(f"{path}/move", {"project_id": ours}))

    async def test_a_purged_task_has_no_past(self, beside: Beside, ada: Caller) -> None:
        task = await ada.task()
        accepted(await ada.delete(f"/tasks/{task['id']}"))
        await beside.purge(task["id"])
        for query in ("?version=1", f"?at={task['created_at']}", "/diff?from=1&to=1"):
            refused(await ada.get(f"/tasks/{task['id']}{query}"), 404, "not-found")


async def review_first(owner: Caller, project: str) -> dict[str, Any]:
    """`todo` leaves the workflow, and what was in it is in review."""
    review = Status("review", "Review", "waiting")
    statuses = msgspec.to_builtins((review, *DEFAULT_WORKFLOW.statuses[1:]))
    body = {"statuses": statuses, "mapping": {"todo": "review"}}
    return accepted(await owner.put(f"/projects/{project}/workflow", body))


class TestRendered:
    async def test_with_the_workflow_of_then_and_the_names_of_today(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        task = await ada.task(project_id=project, assignee_id=ada.id)
        path = f"/tasks/{task['id']}"
        set_ = await review_first(ada, project)
        accepted(await ada.patch("/users/me", {"name": "Ada King"}))
        later = accepted(await ada.patch(path, {"title": "later"}))
        assert (later["status"], later["status_category"]) == ("review", "waiting")
        then = accepted(await ada.read(path, later["position"], version=1))
        assert (then["status"], then["status_category"]) == ("todo", "todo")
        assert then["assignee"] == {"id": ada.id, "name": "Ada King"}
        assert accepted(await ada.get(path, params={"version": 2})) == without_position(later)
        between = {"at": plus(later["updated_at"], -1)}
        assert accepted(await ada.get(path, params=between))["status"] == "review", "it was mapped by then"
        before = {"at": task["updated_at"]}
        assert accepted(await ada.get(path, params=before))["status"] == "todo"
        assert set_["position"] < later["position"]


class TestDiff:
    async def test_names_every_field_that_differs_with_both_values(self, ada: Caller) -> None:
        task = await ada.task("T", labels=["red"])
        path = f"/tasks/{task['id']}"
        accepted(await ada.patch(path, {"title": "a", "labels": ["blue"], "assignee_id": ada.id}))
        done = accepted(await ada.post(f"{path}/complete"))
        changes = accepted(await ada.get(f"{path}/diff", params={"from": 1, "to": 5}))["changes"]
        assert {change["field"]: (change["from"], change["to"]) for change in changes} == {
            "title": ("T", "a"),
            "labels": (["red"], ["blue"]),
            "assignee": (None, ada.id),
            "status": ("todo", "done"),
            "status_category": ("todo", "done"),
            "completed_at": (None, done["completed_at"]),
        }
        assert accepted(await ada.get(f"{path}/diff"))["changes"] == changes, "from the creation to the present"

    async def test_goes_either_way_and_nowhere(self, ada: Caller) -> None:
        task = await ada.task("T")
        path = f"/tasks/{task['id']}"
        accepted(await ada.patch(path, {"title": "a"}))
        back = accepted(await ada.get(f"{path}/diff", params={"from": 2, "to": 1}))
        assert back["changes"] == [{"field": "title", "from": "a", "to": "T"}]
        response = await ada.get(f"{path}/diff", params={"from": 2, "to": 2})
        assert accepted(response)["changes"] == []
        unchanged = await ada.get(
            f"{path}/diff", params={"from": 2, "to": 2}, headers={"If-None-Match": response.headers["etag"]}
        )
        assert unchanged.status_code == 304

    @pytest.mark.parametrize(("first", "last"), [(0, 1), (1, 0), (1, 3), (3, 1), (2**40, 1)])
    async def test_out_of_range_is_not_found(self, ada: Caller, first: int, last: int) -> None:
        task = await ada.task("T")
        accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "a"}))
        refused(await ada.get(f"/tasks/{task['id']}/diff", params={"from": first, "to": last}), 404, "not-found")

    @pytest.mark.parametrize("query", ["from=one", "to=-1", "from=1&from=2", "since=1"])
    async def test_a_bad_parameter_is_named(self, ada: Caller, query: str) -> None:
        task = await ada.task("T")
        refused(await ada.get(f"/tasks/{task['id']}/diff?{query}"), 400, "validation")


async def test_a_viewer_reads_the_past_and_undoes_nothing_of_it(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    task = await ada.task("T", project_id=project)
    path = f"/tasks/{task['id']}"
    accepted(await ada.patch(path, {"title": "a"}))
    await ada.add(project, bob, "viewer")
    for query in ("?version=1", f"?at={task['created_at']}"):
        assert accepted(await bob.get(path + query))["title"] == "T"
    assert accepted(await bob.get(f"{path}/diff?from=1&to=2"))["changes"]
    refused(await bob.post(f"{path}/undo"), 403, "forbidden")


async def test_the_document_tells_of_it(ada: Caller) -> None:
    paths = (await ada.http.get("/openapi.json")).json()["paths"]

    def asked(path: str) -> dict[str, Any]:
        return {one["name"]: one["schema"] for one in paths[path]["get"]["parameters"] if one.get("in") == "query"}

    one = asked("/api/v1/tasks/{task_id}")
    assert (one["version"]["type"], one["version"]["minimum"]) == ("integer", 1)
    assert one["at"]["format"] == "date-time"
    assert one["clock"]["enum"] == ["occurred", "recorded"]
    assert asked("/api/v1/tasks/{task_id}/diff")["from"]["type"] == "integer"
    assert "post" in paths["/api/v1/tasks/{task_id}/undo"]
