"""Projects and members over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.api.stack import Caller, accepted, refused

FIELDS = {
    "id", "name", "description", "role", "workflow", "labels", "archived_at", "created_at", "updated_at", "version",
}  # fmt: skip


async def test_a_new_project_has_its_creator_and_the_default_workflow(ada: Caller) -> None:
    response = await ada.post("/projects", {"name": "Engine", "description": "of *Analysis*"})
    body = accepted(response, 201)
    assert set(body) == FIELDS | {"position"}
    assert (body["role"], body["version"], body["labels"], body["archived_at"]) == ("owner", 1, [], None)
    assert body["workflow"]["transitions"] is None
    assert [(one["key"], one["category"]) for one in body["workflow"]["statuses"]] == [
        ("todo", "todo"),
        ("in_progress", "in_progress"),
        ("done", "done"),
        ("cancelled", "cancelled"),
    ]
    assert response.headers["location"] == f"/api/v1/projects/{body['id']}"
    read = await ada.read(f"/projects/{body['id']}", body["position"])
    assert accepted(read) == {name: body[name] for name in FIELDS}
    assert read.headers["etag"] == response.headers["etag"]


async def test_the_inbox_is_there_at_once_and_in_every_process(ada: Caller, other_http: Any) -> None:
    for http in (ada.http, other_http):
        listed = accepted(await Caller(http, ada.id, ada.name, ada.token).get("/projects"))
        assert [(one["name"], one["role"]) for one in listed["items"]] == [("Inbox", "owner")]
    task = await ada.task()
    assert task["project_id"] == listed["items"][0]["id"]


async def test_a_project_just_made_can_be_read_at_once(ada: Caller) -> None:
    project = await ada.project("Fresh")
    assert accepted(await ada.get(f"/projects/{project['id']}"))["name"] == "Fresh"
    board = accepted(await ada.get(f"/projects/{project['id']}/board"))
    assert [column["count"] for column in board["columns"]] == [0, 0, 0, 0]


async def test_edit_archive_and_unarchive(ada: Caller) -> None:
    project = await ada.project("Old")
    path = f"/projects/{project['id']}"
    edited = accepted(await ada.patch(path, {"name": "New", "description": "d"}))
    assert (edited["name"], edited["description"], edited["version"]) == ("New", "d", 3)
    assert accepted(await ada.patch(path, {"description": None}))["description"] == ""
    archived = accepted(await ada.delete(path))
    assert archived["archived_at"] == archived["updated_at"]
    again = accepted(await ada.delete(path))
    assert (again["version"], again["position"]) == (archived["version"], archived["position"])
    refused(
        await ada.post("/tasks", {"title": "x", "project_id": project["id"]}),
        409, "command-rejected", "project-archived",
    )  # fmt: skip
    assert accepted(await ada.post(f"{path}/unarchive"))["archived_at"] is None
    accepted(await ada.post("/tasks", {"title": "x", "project_id": project["id"]}), 201)


async def test_an_inbox_is_its_owners_alone(ada: Caller, bob: Caller) -> None:
    inbox = accepted(await ada.get("/projects"))["items"][0]["id"]
    refused(await ada.delete(f"/projects/{inbox}"), 409, "command-rejected", "inbox")
    refused(await ada.put(f"/projects/{inbox}/members/{bob.id}", {"role": "viewer"}), 409, "command-rejected", "inbox")


async def test_projects_are_listed_in_pages_with_my_role(ada: Caller, bob: Caller) -> None:
    own = [await ada.project(f"{n}") for n in range(3)]
    theirs = await bob.project("Bob's")
    added = await bob.add(theirs["id"], ada, "viewer")
    seen: list[tuple[str, str]] = []
    cursor = None
    while True:
        parameters: dict[str, Any] = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        body = accepted(await ada.read("/projects", added["position"], **parameters))
        seen += [(one["name"], one["role"]) for one in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
        await ada.project("added meanwhile")
    assert seen[:5] == [
        ("Inbox", "owner"), *[(one["name"], "owner") for one in own], ("Bob's", "viewer"),
    ]  # fmt: skip
    assert len(set(seen)) == len(seen) - seen.count(("added meanwhile", "owner")) + 1


async def test_projects_are_listed_by_whether_they_are_archived(ada: Caller) -> None:
    kept, gone = await ada.project("kept"), await ada.project("gone")
    archived = accepted(await ada.delete(f"/projects/{gone['id']}"))
    for parameters, names in (
        ({}, ["Inbox", "kept", "gone"]),
        ({"archived": "false"}, ["Inbox", "kept"]),
        ({"archived": "true"}, ["gone"]),
    ):
        listed = accepted(await ada.read("/projects", archived["position"], **parameters))["items"]
        assert [one["name"] for one in listed] == names
    first = accepted(await ada.read("/projects", archived["position"], archived="false", limit=1))
    rest = accepted(await ada.get("/projects", params={"archived": "false", "cursor": first["next_cursor"]}))
    assert [one["id"] for one in rest["items"]] == [kept["id"]]
    refused(await ada.get("/projects", params={"archived": "maybe"}), 400, "validation")


class TestMembers:
    async def test_added_changed_and_removed(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        path = f"/projects/{project['id']}"
        added = await ada.add(project["id"], bob, "member")
        assert (added["id"], added["version"], added["role"]) == (project["id"], 4, "member")
        same = await ada.add(project["id"], bob, "member")
        assert (same["version"], same["position"]) == (added["version"], added["position"])
        changed = await ada.add(project["id"], bob, "admin")
        listed = accepted(await bob.read(f"{path}/members", changed["position"]))
        assert {(one["user"]["id"], one["user"]["name"], one["role"]) for one in listed["items"]} == {
            (ada.id, "Ada Lovelace", "owner"),
            (bob.id, "Bob", "admin"),
        }
        accepted(await ada.delete(f"{path}/members/{bob.id}"))
        refused(await bob.get(path), 404, "not-found")

    async def test_who_leaves_gets_the_project_once_more_without_a_role(self, ada: Caller, bob: Caller) -> None:
        project = await ada.project()
        await ada.add(project["id"], bob)
        left = accepted(await bob.delete(f"/projects/{project['id']}/members/{bob.id}"))
        assert (left["id"], left["role"]) == (project["id"], None)
        refused(await bob.get(f"/projects/{project['id']}"), 404, "not-found")

    async def test_the_rules_of_roles(
        self, ada: Caller, bob: Caller, person: Callable[[str], Awaitable[Caller]]
    ) -> None:
        cyd = await person("Cyd")
        project = (await ada.project())["id"]
        members = f"/projects/{project}/members"
        refused(await ada.delete(f"{members}/{ada.id}"), 409, "command-rejected", "last-owner")
        refused(await ada.put(f"{members}/{ada.id}", {"role": "member"}), 409, "command-rejected", "last-owner")
        refused(await ada.put(f"{members}/{uuid4()}", {"role": "member"}), 409, "command-rejected", "must-be-invited")
        refused(await ada.put(f"{members}/{bob.id}", {"role": "king"}), 400, "validation")
        refused(await ada.put(f"{members}/{bob.id}", {}), 400, "validation")
        await ada.add(project, bob, "admin")
        await bob.add(project, cyd, "member")
        refused(await bob.put(f"{members}/{cyd.id}", {"role": "admin"}), 403, "forbidden")
        refused(await bob.delete(f"{members}/{ada.id}"), 403, "forbidden")
        refused(await cyd.put(f"{members}/{bob.id}", {"role": "viewer"}), 403, "forbidden")
        refused(await cyd.patch(f"/projects/{project}", {"name": "mine"}), 403, "forbidden")

    async def test_members_have_pages(self, ada: Caller, person: Callable[[str], Awaitable[Caller]]) -> None:
        project = (await ada.project())["id"]
        position = 0
        for n in range(3):
            position = (await ada.add(project, await person(f"Person {n}")))["position"]
        first = accepted(await ada.read(f"/projects/{project}/members", position, limit=3))
        second = accepted(
            await ada.read(f"/projects/{project}/members", position, limit=3, cursor=first["next_cursor"])
        )
        names = [one["user"]["name"] for one in first["items"] + second["items"]]
        assert sorted(names) == ["Ada Lovelace", "Person 0", "Person 1", "Person 2"]
        assert second["next_cursor"] is None

    async def test_what_people_who_share_a_project_may_read(self, ada: Caller, bob: Caller) -> None:
        refused(await ada.get(f"/users/{bob.id}"), 404, "not-found")
        project = await ada.project()
        await ada.add(project["id"], bob)
        profile = accepted(await ada.get(f"/users/{bob.id}"))
        assert profile == {"id": bob.id, "name": "Bob", "avatar_url": None}
        assert accepted(await ada.get(f"/users/{ada.id}"))["name"] == "Ada Lovelace"
        refused(await ada.get(f"/users/{uuid4()}"), 404, "not-found")

    async def test_who_leaves_stays_named_on_their_tasks(self, ada: Caller, bob: Caller) -> None:
        project = (await ada.project())["id"]
        await ada.add(project, bob)
        task = await ada.task(project_id=project, assignee_id=bob.id)
        left = accepted(await bob.delete(f"/projects/{project}/members/{bob.id}"))
        shown = accepted(await ada.read(f"/tasks/{task['id']}", left["position"]))
        assert shown["assignee"] == {"id": bob.id, "name": "Bob"}
        edited = accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "go on", "assignee_id": bob.id}))
        assert edited["assignee"] == {"id": bob.id, "name": "Bob"}
        accepted(await ada.post(f"/tasks/{task['id']}/assign", {"user_id": None}))
        refused(
            await ada.post(f"/tasks/{task['id']}/assign", {"user_id": bob.id}),
            409, "command-rejected", "not-a-member",
        )  # fmt: skip


class TestArchived:
    async def test_what_still_works(self, ada: Caller, bob: Caller, person: Callable[[str], Awaitable[Caller]]) -> None:
        cyd, dora = await person("Cyd"), await person("Dora")
        project = (await ada.project())["id"]
        path = f"/projects/{project}"
        await ada.add(project, bob)
        accepted(await ada.delete(path))
        await ada.add(project, bob, "viewer")
        await ada.add(project, cyd)
        accepted(await ada.delete(f"{path}/members/{cyd.id}"))
        accepted(await bob.delete(f"{path}/members/{bob.id}"))
        body = {"email": "dora@example.com", "role": "member"}
        invitation = accepted(await ada.post(f"{path}/invitations", body), 201)
        accepted(await dora.post(f"/invitations/{invitation['token']}/accept"))
        other = accepted(await ada.post(f"{path}/invitations", body), 201)
        accepted(await ada.delete(f"{path}/invitations/{other['id']}"))
        for read in ("", "/members", "/board", "/stats", "/invitations"):
            accepted(await ada.get(path + read))
        accepted(await ada.post(f"{path}/unarchive"))

    async def test_what_does_not(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        path = f"/projects/{project}"
        task = await ada.task(project_id=project)
        accepted(await ada.put(f"{path}/labels/bug", {"colour": "#ff0000"}))
        accepted(await ada.delete(path))
        statuses = [{"key": "a", "name": "A", "category": "todo"}]
        for write in (
            ada.patch(path, {"name": "New"}),
            ada.put(f"{path}/workflow", {"statuses": statuses}),
            ada.put(f"{path}/labels/bug", {"colour": "#00ff00"}),
            ada.delete(f"{path}/labels/bug"),
            ada.post("/tasks", {"title": "x", "project_id": project}),
            ada.patch(f"/tasks/{task['id']}", {"title": "x"}),
            ada.delete(f"/tasks/{task['id']}"),
        ):
            refused(await write, 409, "command-rejected", "project-archived")


class TestMe:
    async def test_my_profile_is_there_at_once(self, ada: Caller, other_http: Any) -> None:
        for http in (ada.http, other_http):
            response = await Caller(http, ada.id, ada.name, ada.token).get("/users/me")
            body = accepted(response)
            assert set(body) == {"id", "name", "email", "avatar_url", "settings", "created_at", "version"}
            assert (body["id"], body["name"], body["version"]) == (ada.id, "Ada Lovelace", 1)
            assert response.headers["etag"].startswith('"1')

    async def test_it_is_changed_by_a_merge_patch(self, ada: Caller) -> None:
        changed = {"name": "Ada", "avatar_url": "https://example.com/a.png", "settings": {"theme": "dark", "rows": 50}}
        body = accepted(await ada.patch("/users/me", changed))
        assert {name: body[name] for name in changed} == changed
        assert body["version"] == 4
        cleared = accepted(await ada.patch("/users/me", {"avatar_url": None, "settings": {"theme": None}}))
        assert (cleared["avatar_url"], cleared["settings"]) == (None, {"rows": 50})
        read = await ada.read("/users/me", cleared["position"])
        assert accepted(read) == {name: value for name, value in cleared.items() if name != "position"}
        refused(await ada.patch("/users/me", {"name": "x"}, headers={"If-Match": '"1"'}), 412, "version-conflict")

    async def test_a_state_does_not_grow_without_end(self, ada: Caller) -> None:
        for settings in ({"note": "x" * 100_000}, {"x" * 100_000: 1}, {"n": 10**30}):
            problem = refused(await ada.patch("/users/me", {"settings": settings}), 400, "validation")
            assert [fault["pointer"] for fault in problem["errors"]] == ["/settings"]
        assert accepted(await ada.get("/users/me"))["settings"] == {}

    async def test_nobody_reads_a_password(self, ada: Caller) -> None:
        for path in ("/users/me", f"/users/{ada.id}"):
            assert "argon2" not in (await ada.get(path)).text


class TestBoard:
    async def test_it_counts_and_shows_by_rank(self, ada: Caller, bob: Caller) -> None:
        project = (await ada.project())["id"]
        await ada.add(project, bob)
        first = await ada.task("first", project_id=project, assignee_id=bob.id)
        second = await ada.task("second", project_id=project)
        third = await ada.task("third", project_id=project)
        started = accepted(await ada.post(f"/tasks/{third['id']}/start"))
        await ada.delete(f"/tasks/{(await ada.task('gone', project_id=project))['id']}")
        last = accepted(await ada.patch(f"/tasks/{second['id']}", {"title": "second, renamed"}))
        board = accepted(await bob.read(f"/projects/{project}/board", last["position"]))
        assert [(one["status"], one["name"], one["category"], one["count"]) for one in board["columns"]] == [
            ("todo", "To do", "todo", 2),
            ("in_progress", "In progress", "in_progress", 1),
            ("done", "Done", "done", 0),
            ("cancelled", "Cancelled", "cancelled", 0),
        ]
        assert [task["title"] for task in board["columns"][0]["tasks"]] == ["first", "second, renamed"]
        assert board["columns"][0]["tasks"][0] == {name: value for name, value in first.items() if name != "position"}
        assert board["columns"][1]["tasks"][0]["id"] == started["id"]

    async def test_names_on_it_are_todays(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        task = await ada.task(project_id=project, assignee_id=ada.id)
        path = f"/projects/{project}/board"
        before = await ada.read(path, task["position"])
        assert before.json()["columns"][0]["tasks"][0]["assignee"]["name"] == "Ada Lovelace"
        renamed = accepted(await ada.patch("/users/me", {"name": "Countess"}))
        after = await ada.read(path, renamed["position"])
        assert after.json()["columns"][0]["tasks"][0]["assignee"]["name"] == "Countess"
        assert before.headers["etag"] != after.headers["etag"]

    async def test_a_board_is_never_older_than_asked(self, ada: Caller) -> None:
        project = (await ada.project())["id"]
        for n in range(10):
            task = await ada.task(project_id=project)
            board = accepted(await ada.read(f"/projects/{project}/board", task["position"]))
            assert (board["columns"][0]["count"], len(board["columns"][0]["tasks"])) == (n + 1, n + 1)


@pytest.mark.parametrize(
    "path", ["/projects", "/projects/{}", "/projects/{}/members", "/projects/{}/board", "/users/{user}"]
)
async def test_a_repeated_read_is_304(ada: Caller, path: str) -> None:
    project = await ada.project()
    path = path.format(project["id"], user=ada.id)
    first = await ada.read(path, project["position"])
    again = await ada.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused(await ada.get(path, params={"colour": "red"}), 400, "validation")
