"""Nobody reads or changes what their role does not allow, by any route."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.beside import Beside
from tests.api.stack import Caller, accepted, refused, register, until

SOON_S = 5.0
"""A second is what is promised; on a machine that does more beside, this bound tells a fault from a wait."""
WORKFLOW = {"statuses": [{"key": "open", "name": "Open", "category": "todo"}], "mapping": {"todo": "open"}}
# Method, path, body, and the weakest role that may. Every route on something that is somebody's stands here.
READS: list[tuple[str, str, Any, str]] = [
    ("GET", "/tasks/{task}", None, "viewer"),
    ("GET", "/tasks/{task}?version=1", None, "viewer"),
    ("GET", "/tasks/{task}?at=2999-01-01T00:00:00Z", None, "viewer"),
    ("GET", "/tasks/{task}/diff?from=1&to=2", None, "viewer"),
    ("GET", "/tasks/{task}/events", None, "viewer"),
    ("GET", "/tasks/{task}/comments", None, "viewer"),
    ("GET", "/tasks/{task}/comments/{comment}", None, "viewer"),
    ("GET", "/tasks?project={project}", None, "viewer"),
    ("GET", "/projects/{project}", None, "viewer"),
    ("GET", "/projects/{project}/members", None, "viewer"),
    ("GET", "/projects/{project}/board", None, "viewer"),
    ("GET", "/projects/{project}/board?at=2999-01-01T00:00:00Z", None, "viewer"),
    ("GET", "/projects/{project}/stats", None, "viewer"),
    ("GET", "/projects/{project}/invitations", None, "admin"),
    ("GET", "/projects/{project}/invitations/{invitation}", None, "admin"),
    ("GET", "/projects/{project}/activity", None, "viewer"),
    ("GET", "/events?project={project}", None, "viewer"),
    ("GET", "/events?stream={task}", None, "viewer"),
    ("GET", "/projects/{project}/export", None, "viewer"),
    ("GET", "/users/{owner}", None, "viewer"),
    ("GET", "/views/{view}", None, "viewer"),
    ("GET", "/views?project={project}", None, "viewer"),
]
WRITES: list[tuple[str, str, Any, str]] = [
    ("POST", "/tasks", {"title": "x", "project_id": "{project}"}, "member"),
    ("POST", "/tasks", {"title": "x", "project_id": "{project}", "parent_id": "{task}"}, "member"),
    ("PATCH", "/tasks/{task}", {"title": "y"}, "member"),
    ("POST", "/tasks/{task}/start", None, "member"),
    ("POST", "/tasks/{task}/complete", None, "member"),
    ("POST", "/tasks/{task}/reopen", None, "member"),
    ("POST", "/tasks/{task}/cancel", None, "member"),
    ("POST", "/tasks/{task}/assign", {"user_id": "{owner}"}, "member"),
    ("POST", "/tasks/{task}/comments", {"body": "x"}, "member"),
    ("PATCH", "/tasks/{task}/comments/{comment}", {"body": "y"}, "owner"),  # who wrote it
    ("DELETE", "/tasks/{task}/comments/{comment}", None, "admin"),
    ("POST", "/tasks/{task}/checklist", {"text": "x"}, "member"),
    ("PATCH", "/tasks/{task}/checklist/{item}", {"done": True}, "member"),
    ("DELETE", "/tasks/{task}/checklist/{item}", None, "member"),
    ("PUT", "/tasks/{task}/relations", {"type": "blocks", "task_id": "{other}"}, "member"),
    ("DELETE", "/tasks/{task}/relations/{relation}/{other}", None, "member"),
    ("POST", "/tasks/{task}/move", {"project_id": "{project}"}, "member"),
    ("POST", "/tasks/{task}/rank", {"after": "{task}"}, "member"),
    ("DELETE", "/tasks/{task}", None, "member"),
    ("POST", "/tasks/{task}/restore", None, "member"),
    ("POST", "/tasks/{task}/undo", None, "member"),
    ("POST", "/views", {"name": "x", "query": {}, "project_id": "{project}"}, "member"),
    ("PATCH", "/views/{view}", {"name": "y"}, "member"),
    ("DELETE", "/views/{view}", None, "member"),
    ("PATCH", "/projects/{project}", {"name": "y"}, "admin"),
    ("DELETE", "/projects/{project}", None, "admin"),
    ("POST", "/projects/{project}/unarchive", None, "admin"),
    ("PUT", "/projects/{project}/workflow", WORKFLOW, "admin"),
    ("PUT", "/projects/{project}/labels/{label}", {"colour": "#ff0000"}, "admin"),
    ("DELETE", "/projects/{project}/labels/{label}", None, "admin"),
    ("POST", "/projects/{project}/invitations", {"email": "cyd@example.com", "role": "member"}, "admin"),
    ("POST", "/projects/{project}/invitations", {"email": "cyd@example.com", "role": "admin"}, "owner"),
    ("DELETE", "/projects/{project}/invitations/{invitation}", None, "admin"),
    ("PUT", "/projects/{project}/members/{caller}", {"role": "member"}, "admin"),
    ("PUT", "/projects/{project}/members/{owner}", {"role": "viewer"}, "owner"),
    ("DELETE", "/projects/{project}/members/{owner}", None, "owner"),
]
AT = "2020-01-01T00:00:00Z"
COMMANDS: list[tuple[str, str | None, Any, str]] = [
    ("CreateTask", None, {"title": "x", "project_id": "{project}"}, "member"),
    ("EditTask", "{task}", {"title": "y"}, "member"),
    ("StartTask", "{task}", {}, "member"),
    ("CompleteTask", "{task}", {}, "member"),
    ("ReopenTask", "{task}", {}, "member"),
    ("CancelTask", "{task}", {}, "member"),
    ("AssignTask", "{task}", {"user_id": None}, "member"),
    ("AddComment", "{task}", {"body": "x"}, "member"),
    ("EditComment", "{task}/{comment}", {"body": "y"}, "owner"),
    ("DeleteComment", "{task}/{comment}", {}, "admin"),
    ("AddChecklistItem", "{task}", {"text": "x"}, "member"),
    ("EditChecklistItem", "{task}/{item}", {"done": True}, "member"),
    ("RemoveChecklistItem", "{task}/{item}", {}, "member"),
    ("AddRelation", "{task}", {"type": "blocks", "task_id": "{other}"}, "member"),
    ("RemoveRelation", "{task}/{relation}/{other}", {}, "member"),
    ("MoveTask", "{task}", {"project_id": "{project}"}, "member"),
    ("RankTask", "{task}", {"before": "{task}"}, "member"),
    ("TrashTask", "{task}", {}, "member"),
    ("RestoreTask", "{task}", {}, "member"),
    ("UndoTask", "{task}", {}, "member"),
    ("CreateView", None, {"name": "x", "query": {}, "project_id": "{project}"}, "member"),
    ("EditView", "{view}", {"name": "y"}, "member"),
    ("DeleteView", "{view}", {}, "member"),
    ("EditProject", "{project}", {"name": "y"}, "admin"),
    ("ArchiveProject", "{project}", {}, "admin"),
    ("UnarchiveProject", "{project}", {}, "admin"),
    ("SetWorkflow", "{project}", WORKFLOW, "admin"),
    ("SetLabel", "{project}/{label}", {"colour": "#ff0000"}, "admin"),
    ("RemoveLabel", "{project}/{label}", {}, "admin"),
    ("InviteMember", "{project}", {"email": "cyd@example.com", "role": "member"}, "admin"),
    ("RevokeInvitation", "{project}/{invitation}", {}, "admin"),
    ("SetMember", "{project}/{owner}", {"role": "viewer"}, "owner"),
    ("RemoveMember", "{project}/{owner}", {}, "owner"),
    ("ImportPerson", "{project}", {"source": "s", "key": "bo", "name": "Bo", "at": AT}, "admin"),
    ("ImportTask", "{project}", {"source": "s", "key": "1", "title": "x", "at": AT}, "admin"),
    ("ImportTaskChange", "{project}", {"source": "s", "key": "1", "priority": "low", "at": AT}, "admin"),
    ("ImportProjectSettings", "{project}", {"source": "s", "labels": [{"name": "x"}]}, "admin"),
]

ADMIN_WRITES: list[tuple[str, str, Any]] = [("POST", "/admin/events/{position}/annul", {"reason": "x"})]
"""Of admins of the system only, whatever their role in a project."""
ADMIN_READS: list[tuple[str, str]] = [("GET", "/admin/projections")]
ADMIN_COMMANDS: list[tuple[str, str, Any]] = [("AnnulEvent", "{position}", {"reason": "x"})]


def _fill(template: Any, names: dict[str, str]) -> Any:
    if isinstance(template, dict):
        return {key: _fill(value, names) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, names) for value in template]
    return template.format(**names) if isinstance(template, str) else template


async def _owned(ada: Caller, caller: Caller) -> dict[str, str]:
    project = (await ada.project())["id"]
    task = await ada.task("theirs", project_id=project)
    path = f"/tasks/{task['id']}"
    accepted(await ada.put(f"/projects/{project}/labels/red", {"colour": "#cc0000"}))
    invited = await ada.post(f"/projects/{project}/invitations", {"email": "dora@example.com", "role": "viewer"})
    parts = {
        "relation": "duplicates",
        "other": (await ada.task("another", project_id=project))["id"],
        "comment": accepted(await ada.post(f"{path}/comments", {"body": "said"}), 201)["id"],
        "item": accepted(await ada.post(f"{path}/checklist", {"text": "to do"}), 201)["id"],
        "invitation": accepted(invited, 201)["id"],
        "label": "red",
        "view": accepted(await ada.post("/views", {"name": "V", "query": {}, "project_id": project}), 201)["id"],
    }
    related = accepted(await ada.put(f"{path}/relations", {"type": parts["relation"], "task_id": parts["other"]}))
    # What a view has not heard of is nobody's.
    for shown in (path, f"/views/{parts['view']}"):
        accepted(await ada.read(shown, related["position"]))
    return {"project": project, "task": task["id"], "owner": ada.id, "caller": caller.id} | parts


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {}


@pytest.fixture
async def theirs(made: dict[str, str], http: httpx.AsyncClient, bob: Caller) -> dict[str, str]:
    """What is somebody's, made once: no stranger changes it. `caller` is Bob."""
    if not made:
        made.update(await _owned(await register(http, "Ada Lovelace"), bob))
    return made | {"caller": bob.id}


class TestStrangers:
    @pytest.mark.parametrize(("method", "path", "body", "_"), READS + WRITES)
    async def test_get_404_from_every_route(
        self, theirs: dict[str, str], bob: Caller, method: str, path: str, body: Any, _: str
    ) -> None:
        for headers in ({}, {"If-Match": '"999"'}, {"If-None-Match": "*"}):
            response = await bob.call(method, path.format(**theirs), json=_fill(body, theirs), headers=headers)
            problem = refused(response, 404, "not-found")
            assert "events" not in problem
            assert "etag" not in response.headers

    @pytest.mark.parametrize(("type_", "target", "data", "_"), COMMANDS)
    async def test_get_404_from_every_command(
        self, theirs: dict[str, str], bob: Caller, type_: str, target: str | None, data: Any, _: str
    ) -> None:
        response = await bob.command(type_, _fill(target, theirs), data=_fill(data, theirs), expected_version=999)
        refused(response, 404, "not-found")

    async def test_see_nothing_in_any_list(self, ada: Caller, bob: Caller) -> None:
        names = await _owned(ada, bob)
        for path in ("/tasks", f"/tasks?assignee={ada.id}", f"/tasks?parent={names['task']}", "/projects"):
            listed = accepted(await bob.get(path))["items"]
            assert names["task"] not in {one["id"] for one in listed}
            assert names["project"] not in {one["id"] for one in listed}

    async def test_cannot_hang_a_task_below_somebody_elses(self, ada: Caller, bob: Caller) -> None:
        names = await _owned(ada, bob)
        refused(await bob.post("/tasks", {"title": "x", "parent_id": names["task"]}), 404, "not-found")

    async def test_without_a_token_everything_is_401(self, ada: Caller, bob: Caller) -> None:
        names = await _owned(ada, bob)
        for method, path, body, _ in READS + WRITES:
            filled = _fill(body, names)
            response = await ada.http.request(method, f"/api/v1{path.format(**names)}", json=filled)
            refused(response, 401, "unauthenticated")
        for path in ("/commands", "/commands/batch", "/projects"):
            refused(await ada.http.post(f"/api/v1{path}", json={}), 401, "unauthenticated")
        refused(await ada.http.get("/api/v1/commands/types"), 401, "unauthenticated")


class TestRoles:
    @pytest.mark.parametrize("role", ["viewer", "member", "admin"])
    async def test_too_low_a_role_is_403(self, ada: Caller, bob: Caller, role: str) -> None:
        ranks = ["viewer", "member", "admin", "owner"]
        names: dict[str, str] = {}
        for method, path, body, least in WRITES:
            if not names:
                names = await _owned(ada, bob)
                await ada.add(names["project"], bob, role)
            response = await bob.call(method, path.format(**names), json=_fill(body, names))
            if ranks.index(role) < ranks.index(least):
                refused(response, 403, "forbidden")
            else:
                assert response.status_code in {200, 201, 403}, response.text
                assert (response.status_code == 403) == (role == "admin" and "{caller}" in path)
                names = {}  # it may be in the trash by now, or archived

    async def test_a_viewer_may_read_all_but_what_is_for_admins(self, ada: Caller, bob: Caller) -> None:
        names = await _owned(ada, bob)
        added = await ada.add(names["project"], bob, "viewer")
        for method, path, _, least in READS:
            if least != "viewer":
                for headers in ({}, {"If-None-Match": "*"}):
                    refused(await bob.call(method, path.format(**names), headers=headers), 403, "forbidden")
                continue
            accepted(
                await bob.call(
                    method,
                    path.format(**names),
                    params={"min_position": added["position"]} if "?" not in path else None,
                )
            )
        shown = accepted(await bob.get(f"/projects/{names['project']}"))
        assert shown["role"] == "viewer"

    async def test_whoever_may_is_told_of_a_version_that_is_not_the_streams_by_every_write(
        self, ada: Caller, bob: Caller
    ) -> None:
        names = await _owned(ada, bob)
        for method, path, body, _ in WRITES:
            answer = await ada.call(
                method, path.format(**names), json=_fill(body, names), headers={"If-Match": '"999999999999"'}
            )
            assert refused(answer, 412, "version-conflict")["events"] == [], (method, path)
        for type_, target, data, _ in COMMANDS:
            filled = None if target is None else target.format(**names)
            answer = await ada.command(type_, filled, data=_fill(data, names), expected_version=2**31 - 1)
            assert refused(answer, 412, "version-conflict")["events"] == [], type_

    async def test_an_old_version_tells_a_viewer_nothing(self, ada: Caller, bob: Caller) -> None:
        names = await _owned(ada, bob)
        await ada.add(names["project"], bob, "viewer")
        response = await bob.patch(f"/tasks/{names['task']}", {"title": "x"}, headers={"If-Match": '"7"'})
        refused(response, 403, "forbidden")


class TestSystemRoles:
    async def _position(self, ada: Caller) -> dict[str, str]:
        """Of an event in a project that Ada owns."""
        task = await ada.task("theirs")
        return {"position": str(accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "x"}))["position"])}

    async def test_nobody_else_does_what_admins_do_not_even_an_owner(self, ada: Caller, bob: Caller) -> None:
        names = await self._position(ada)
        for caller in (ada, bob):
            for method, path, body in ADMIN_WRITES:
                for position in (names["position"], "999999999"):
                    response = await caller.call(method, path.format(position=position), json=body)
                    refused(response, 403, "forbidden")
            for type_, target, data in ADMIN_COMMANDS:
                refused(await caller.command(type_, target.format(**names), data=data), 403, "forbidden")

    async def test_only_admins_read_what_is_for_operators(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient, beside: Beside
    ) -> None:
        there = Caller(other_http, bob.id, bob.name, bob.token)
        for method, path in ADMIN_READS:
            refused(await ada.http.request(method, f"/api/v1{path}"), 401, "unauthenticated")
            for roles in ((), ("analyst",)):
                await beside.grant(bob.id, *roles)
                refused(await bob.call(method, path), 403, "forbidden")
            await beside.grant(bob.id, "admin")
            for caller in (bob, there):
                accepted(await caller.call(method, path))
            await beside.grant(bob.id)
            for caller in (bob, there):

                async def out(caller: Caller = caller, method: str = method, path: str = path) -> bool:
                    return (await caller.call(method, path)).status_code == 403

                await until(out, "the role is withdrawn", within_s=5)

    async def test_the_role_is_judged_before_the_body(self, ada: Caller) -> None:
        names = await self._position(ada)
        for method, path, _ in ADMIN_WRITES:
            refused(await ada.call(method, path.format(**names), json={"nonsense": 1}), 403, "forbidden")

    async def test_an_analyst_reads_all_and_writes_nothing(self, ada: Caller, bob: Caller, beside: Beside) -> None:
        names = await self._position(ada)
        await beside.grant(bob.id, "analyst")
        for method, path, body in ADMIN_WRITES:
            refused(await bob.call(method, path.format(**names), json=body), 403, "forbidden")

    async def test_a_role_works_at_once_and_its_end_too_also_for_repeats(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient, beside: Beside
    ) -> None:
        there = Caller(other_http, bob.id, bob.name, bob.token)
        for method, path, body in ADMIN_WRITES:
            names = await self._position(ada)
            request = {"json": body, "headers": {"Idempotency-Key": f"annul {names['position']}"}}
            await beside.grant(bob.id, "admin")
            first = await bob.call(method, path.format(**names), **request)
            assert first.status_code == 201, first.text
            again = await there.call(method, path.format(**names), **request)
            assert (again.status_code, again.content) == (201, first.content)
            await beside.grant(bob.id)
            for caller in (bob, there):
                refused(await caller.call(method, path.format(**names), **request), 403, "forbidden")

    async def test_without_a_token_it_is_401(self, ada: Caller) -> None:
        names = await self._position(ada)
        for method, path, body in ADMIN_WRITES:
            refused(await ada.http.request(method, f"/api/v1{path.format(**names)}", json=body), 401, "unauthenticated")


class TestWithdrawal:
    async def test_who_is_removed_is_refused_at_once_where_it_was_answered(self, ada: Caller, bob: Caller) -> None:
        for _ in range(5):
            names = await _owned(ada, bob)
            await ada.add(names["project"], bob, "member")
            accepted(await bob.get(f"/tasks/{names['task']}"))
            accepted(await ada.delete(f"/projects/{names['project']}/members/{bob.id}"))
            for method, path, body, _ in READS + WRITES:
                response = await bob.call(method, path.format(**names), json=_fill(body, names))
                refused(response, 404, "not-found")

    async def test_and_soon_everywhere_else(self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient) -> None:
        there = Caller(other_http, bob.id, bob.name, bob.token)
        names = await _owned(ada, bob)
        await ada.add(names["project"], bob, "member")
        accepted(await there.get(f"/tasks/{names['task']}"))
        accepted(await ada.delete(f"/projects/{names['project']}/members/{bob.id}"))

        async def gone() -> bool:
            return (await there.get(f"/tasks/{names['task']}")).status_code == 404

        await until(gone, "the other process refuses who was removed", within_s=SOON_S)
        refused(await there.patch(f"/tasks/{names['task']}", {"title": "last word"}), 404, "not-found")

    async def test_a_write_after_the_removal_is_refused_everywhere_at_once(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient
    ) -> None:
        there = Caller(other_http, bob.id, bob.name, bob.token)
        for _ in range(10):
            names = await _owned(ada, bob)
            await ada.add(names["project"], bob, "member")
            accepted(await there.patch(f"/tasks/{names['task']}", {"title": "still in"}))
            accepted(await ada.delete(f"/projects/{names['project']}/members/{bob.id}"))
            refused(await there.patch(f"/tasks/{names['task']}", {"title": "last word"}), 404, "not-found")

    async def test_a_repeat_of_any_write_tells_who_was_removed_nothing(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient
    ) -> None:
        there = Caller(other_http, bob.id, bob.name, bob.token)
        for method, path, body, _ in WRITES:
            if "{comment}" in path or "{caller}" in path:
                continue  # another's to edit; and what would remove him by itself, or him alone
            names = await _owned(ada, bob)
            await ada.add(names["project"], bob, "owner")
            request = {"json": _fill(body, names), "headers": {"Idempotency-Key": f"{names['task']} {path}"}}
            first = await bob.call(method, path.format(**names), **request)
            assert first.status_code in {200, 201}, (method, path, first.text)
            again = await there.call(method, path.format(**names), **request)
            assert (again.status_code, again.content) == (first.status_code, first.content), (method, path)
            left = await bob.delete(f"/projects/{names['project']}/members/{bob.id}")
            if left.status_code == 409:
                continue  # the last owner by now
            for caller in (bob, there):
                refused(await caller.call(method, path.format(**names), **request), 404, "not-found")

    async def test_what_is_granted_works_at_once_everywhere(
        self, ada: Caller, bob: Caller, other_http: httpx.AsyncClient
    ) -> None:
        there = Caller(other_http, bob.id, bob.name, bob.token)
        for _ in range(10):
            names = await _owned(ada, bob)
            await ada.add(names["project"], bob, "member")
            accepted(await there.get(f"/projects/{names['project']}"))
            accepted(await there.get(f"/tasks/{names['task']}/events"))
            accepted(await there.get("/tasks", params={"project": names["project"]}))
            accepted(await there.post("/tasks", {"title": "x", "project_id": names["project"]}), 201)
