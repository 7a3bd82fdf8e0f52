"""A client that applies what `/sync` answers has what lists show, whatever happened in between."""

from __future__ import annotations

import asyncio
import random
import re
from typing import Any
from uuid import UUID

import httpx
import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from taskflow.api.sync_tokens import Build, SyncToken, write_token
from tests.api.beside import Beside
from tests.api.stack import Caller, Stack, accepted, refused

Items = dict[str, dict[str, Any]]
WORKFLOWS = {
    "todo": "todo", "in_progress": "in_progress", "done": "done", "cancelled": "cancelled",
}, {"todo": "todo", "doing": "waiting"}, {"todo": "todo", "shut": "done"}  # fmt: skip
"""Status by status the category; `todo` is in all."""


class Copy(Struct):
    """What a client keeps: it knows nothing but the answers."""

    caller: Caller
    token: str | None = None
    projects: Items = field(default_factory=dict)
    tasks: Items = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    async def sync(self, position: int = 0) -> list[dict[str, Any]]:
        """One round; its answers."""
        answers = []
        while True:
            parameters: dict[str, Any] = {"min_position": position, "wait_ms": 10_000}
            if self.token is not None:
                parameters["token"] = self.token
            answer = accepted(await self.caller.get("/sync", params=parameters))
            assert answer.keys() == {"token", "projects", "tasks", "removed", "more"}
            assert re.fullmatch(r"[A-Za-z0-9_.~-]+", answer["token"])
            self._apply(answer)
            answers.append(answer)
            if not answer["more"]:
                return answers

    def _apply(self, answer: dict[str, Any]) -> None:
        named = [one["id"] for part in ("projects", "tasks", "removed") for one in answer[part]]
        assert len(named) == len(set(named)) <= 500
        self.token = answer["token"]
        for one in answer["removed"]:
            if one["kind"] == "project":
                self.projects.pop(one["id"], None)
                self.tasks = {key: task for key, task in self.tasks.items() if task["project_id"] != one["id"]}
            else:
                self.tasks.pop(one["id"], None)
        self.projects |= {one["id"]: one for one in answer["projects"]}
        self.tasks |= {one["id"]: one for one in answer["tasks"]}


async def listed(caller: Caller, path: str, position: int, **parameters: str) -> Items:
    items: Items = {}
    cursor: dict[str, str] = {}
    while True:
        page = accepted(await caller.read(path, position, limit=200, **parameters, **cursor))
        items |= {one["id"]: one for one in page["items"]}
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def assert_same(copy: Copy, position: int) -> None:
    await copy.sync(position)
    assert copy.projects == await listed(copy.caller, "/projects", position)
    kept = await listed(copy.caller, "/tasks", position, archived="true")  # a copy has those too
    assert copy.tasks == kept | await listed(copy.caller, "/tasks", position)


class Story:
    """Ada's projects and what happens in them, at random; Bob comes and goes."""

    def __init__(self, ada: Caller, bob: Caller, beside: Beside, seed: int) -> None:
        self.ada = ada
        self.bob = bob
        self.beside = beside
        self.dice = random.Random(seed)
        self.projects: list[str] = []
        self.workflows: dict[str, dict[str, str]] = {}
        self.members: set[str] = set()
        self.tasks: dict[str, str] = {}
        self.trashed: set[str] = set()
        self.position = 0

    async def step(self) -> str:
        kinds = ["task"] * 3 + ["edit"] * 4 + ["move"] * 3 + ["trash"] * 2 + ["restore"] * 2 + ["join"] * 2
        kinds += ["leave", "role", "archive", "unarchive", "project", "purge", "workflow", "rename", "person"]
        while True:
            kind = self.dice.choice(kinds)
            position = await getattr(self, f"_{kind}")()
            if position is not None:
                self.position = max(self.position, position)
                return kind

    def _pick(self, among: Any) -> Any:
        found = sorted(among)
        return self.dice.choice(found) if found else None

    async def _done(self, response: httpx.Response) -> int | None:
        """None for what a rule forbids: the project is archived, say."""
        if response.status_code == 409:
            return None
        assert response.status_code in {200, 201}, response.text
        position: int = response.json()["position"]
        return position

    async def _project(self) -> int | None:
        if len(self.projects) >= 4:
            return None
        made = await self.ada.project(f"P{len(self.projects)}")
        self.projects.append(made["id"])
        self.workflows[made["id"]] = WORKFLOWS[0]
        position: int = made["position"]
        return position

    async def _task(self) -> int | None:
        project = self._pick(self.projects)
        if project is None:
            return None
        response = await self.ada.post("/tasks", {"title": "T", "project_id": project, "assignee_id": self.ada.id})
        position = await self._done(response)
        if position is not None:
            self.tasks[response.json()["id"]] = project
        return position

    async def _edit(self) -> int | None:
        task = self._pick(self.tasks.keys() - self.trashed)
        if task is None:
            return None
        body = {"title": f"{self.dice.random()}", "status": self.dice.choice(["todo", "done"])}
        return await self._done(await self.ada.patch(f"/tasks/{task}", body))

    async def _move(self) -> int | None:
        task, project = self._pick(self.tasks), self._pick(self.projects)
        if task is None or project == self.tasks[task]:
            return None
        position = await self._done(await self.ada.post(f"/tasks/{task}/move", {"project_id": project}))
        if position is not None:
            self.tasks[task] = project
        return position

    async def _trash(self) -> int | None:
        task = self._pick(self.tasks.keys() - self.trashed)
        if task is None:
            return None
        position = await self._done(await self.ada.delete(f"/tasks/{task}"))
        if position is not None:
            self.trashed.add(task)
        return position

    async def _restore(self) -> int | None:
        task = self._pick(self.trashed)
        if task is None:
            return None
        position = await self._done(await self.ada.post(f"/tasks/{task}/restore"))
        if position is not None:
            self.trashed.discard(task)
        return position

    async def _purge(self) -> int | None:
        task = self._pick(self.trashed)
        if task is None:
            return None
        self.trashed.discard(task)
        del self.tasks[task]
        return await self.beside.purge(task)

    async def _join(self) -> int | None:
        project = self._pick(set(self.projects) - self.members)
        if project is None:
            return None
        self.members.add(project)
        position: int = (await self.ada.add(project, self.bob, "viewer"))["position"]
        return position

    async def _leave(self) -> int | None:
        project = self._pick(self.members)
        if project is None:
            return None
        self.members.discard(project)
        return await self._done(await self.ada.delete(f"/projects/{project}/members/{self.bob.id}"))

    async def _role(self) -> int | None:
        project = self._pick(self.members)
        if project is None:
            return None
        role = self.dice.choice(["viewer", "member", "admin"])
        position: int = (await self.ada.add(project, self.bob, role))["position"]
        return position

    async def _archive(self) -> int | None:
        project = self._pick(self.projects)
        return None if project is None else await self._done(await self.ada.delete(f"/projects/{project}"))

    async def _unarchive(self) -> int | None:
        project = self._pick(self.projects)
        return None if project is None else await self._done(await self.ada.post(f"/projects/{project}/unarchive"))

    async def _rename(self) -> int | None:
        project = self._pick(self.projects)
        if project is None:
            return None
        return await self._done(await self.ada.patch(f"/projects/{project}", {"name": f"{self.dice.random()}"}))

    async def _person(self) -> int | None:
        return await self._done(await self.ada.patch("/users/me", {"name": f"Ada {self.dice.random()}"}))

    async def _workflow(self) -> int | None:
        project = self._pick(self.projects)
        if project is None:
            return None
        workflow = self.dice.choice(WORKFLOWS)
        body = {
            "statuses": [{"key": key, "name": key, "category": category} for key, category in workflow.items()],
            "mapping": dict.fromkeys(self.workflows[project].keys() - workflow.keys(), "todo"),
        }
        position = await self._done(await self.ada.put(f"/projects/{project}/workflow", body))
        if position is not None:
            self.workflows[project] = workflow
        return position


@pytest.mark.parametrize("seed", range(6))
async def test_a_copy_is_what_lists_show(
    ada: Caller, bob: Caller, other_http: httpx.AsyncClient, beside: Beside, seed: int
) -> None:
    story = Story(ada, bob, beside, seed)
    # One in each process, one that is seldom told, and one who sees everything.
    copies = [Copy(bob), Copy(replace(bob, http=other_http)), Copy(bob), Copy(ada)]
    for turn in range(40):
        told = [await story.step() for _ in range(story.dice.randrange(1, 5))]
        for copy in copies if turn % 8 == 7 else [copies[turn % 2], copies[3]]:
            try:
                await assert_same(copy, story.position)
            except AssertionError as error:
                raise AssertionError(f"after {told} in turn {turn}") from error


async def test_a_copy_that_is_made_while_things_move_is_right_in_the_end(
    ada: Caller, bob: Caller, beside: Beside
) -> None:
    story = Story(ada, bob, beside, 99)
    copy = Copy(bob)
    over = asyncio.Event()

    async def follow() -> None:
        while not over.is_set():
            await copy.sync()

    following = asyncio.create_task(follow())
    for _ in range(120):
        await story.step()
    over.set()
    await following
    await assert_same(copy, story.position)


async def test_only_what_changed_comes(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    tasks = [await ada.task(f"{number}", project_id=project) for number in range(5)]
    added = await ada.add(project, bob, "viewer")
    copy = Copy(bob)
    first = (await copy.sync(added["position"]))[0]
    assert {one["id"] for one in first["tasks"]} == {one["id"] for one in tasks}
    assert first["removed"] == []
    assert [one["role"] for one in first["projects"] if one["id"] == project] == ["viewer"]
    nothing = (await copy.sync(added["position"]))[0]
    assert (nothing["projects"], nothing["tasks"], nothing["removed"]) == ([], [], [])
    edited = accepted(await ada.patch(f"/tasks/{tasks[0]['id']}", {"title": "new"}))
    trashed = accepted(await ada.delete(f"/tasks/{tasks[1]['id']}"))
    changed = (await copy.sync(trashed["position"]))[0]
    assert [one["title"] for one in changed["tasks"]] == ["new"]
    assert changed["tasks"] == [accepted(await bob.read(f"/tasks/{tasks[0]['id']}", edited["position"]))]
    assert changed["removed"] == [{"kind": "task", "id": tasks[1]["id"]}]
    assert changed["projects"] == []
    removed = accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    after = await ada.task("unseen", project_id=project)
    gone = (await copy.sync(after["position"]))[0]
    assert gone["removed"] == [{"kind": "project", "id": project}]
    assert (gone["projects"], gone["tasks"]) == ([], [])
    assert removed["position"] < after["position"]
    # Who never had it is told nothing of it.
    fresh = Copy(bob)
    assert (await fresh.sync(after["position"]))[0]["removed"] == []


async def test_tasks_come_anew_with_the_new_name_of_whoever_they_are_assigned_to(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    added = await ada.add(project, bob, "member")
    tasks = [await ada.task(f"{n}", project_id=project, assignee_id=bob.id) for n in range(3)]
    tasks.append(await ada.task("of nobody", project_id=project))
    trashed = accepted(await ada.delete(f"/tasks/{tasks[2]['id']}"))
    copy = Copy(ada)
    await copy.sync(max(added["position"], trashed["position"]))
    renamed = accepted(await bob.patch("/users/me", {"name": "Bob 雲"}))
    (answer,) = await copy.sync(renamed["position"])
    assert {one["id"]: one["assignee"] for one in answer["tasks"]} == {
        task["id"]: {"id": bob.id, "name": "Bob 雲"} for task in tasks[:2]
    }
    assert (answer["projects"], answer["removed"]) == ([], [])
    # What is no name sends nothing, and nothing comes twice.
    settled = accepted(await bob.patch("/users/me", {"settings": {"theme": "dark"}}))
    (answer,) = await copy.sync(settled["position"])
    assert answer["tasks"] == []
    await assert_same(copy, settled["position"])


async def test_what_moved_out_of_sight_is_removed(ada: Caller, bob: Caller) -> None:
    shared, secret = (await ada.project())["id"], (await ada.project())["id"]
    added = await ada.add(shared, bob, "viewer")
    task = await ada.task(project_id=shared)
    copy = Copy(bob)
    await copy.sync(max(task["position"], added["position"]))
    assert task["id"] in copy.tasks
    away = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": secret}))
    answer = (await copy.sync(away["position"]))[0]
    assert answer["removed"] == [{"kind": "task", "id": task["id"]}]
    assert answer["tasks"] == []
    back = accepted(await ada.post(f"/tasks/{task['id']}/move", {"project_id": shared}))
    await copy.sync(back["position"])
    assert copy.tasks[task["id"]]["project_id"] == shared


async def test_a_large_copy_comes_in_pages(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    made = await asyncio.gather(*[ada.task(f"{number}", project_id=project) for number in range(620)])
    added = await ada.add(project, bob, "viewer")
    copy = Copy(bob)
    answers = await copy.sync(added["position"])
    assert [len(one["tasks"]) > 0 for one in answers] == [True, True]
    assert [one["more"] for one in answers] == [True, False]
    assert copy.tasks.keys() == {one["id"] for one in made}
    # In the middle of a round something moves.
    copy = Copy(bob)
    first = accepted(await bob.read("/sync", added["position"]))
    copy._apply(first)
    shown = first["tasks"][0]["id"]
    unseen = next(one["id"] for one in made if one["id"] not in copy.tasks)
    accepted(await ada.delete(f"/tasks/{shown}"))
    last = accepted(await ada.patch(f"/tasks/{unseen}", {"title": "moved"}))
    await assert_same(copy, last["position"])
    assert copy.tasks[unseen]["title"] == "moved"
    assert shown not in copy.tasks


async def test_a_token_is_its_owners_and_no_other_text(ada: Caller, bob: Caller) -> None:
    token = accepted(await ada.get("/sync"))["token"]
    accepted(await ada.get("/sync", params={"token": token}))
    for bad in ("", "x", token[:-1], token + "A", "A" + token[1:], "ä", token * 2):
        problem = refused(await ada.get("/sync", params={"token": bad}), 400, "validation")
        assert problem["errors"][0]["pointer"] == "token"
    refused(await bob.get("/sync", params={"token": token}), 400, "validation")
    refused(await ada.get("/sync", params={"since": token}), 400, "validation")
    refused(await ada.http.get("/api/v1/sync"), 401, "unauthenticated")


async def test_a_token_of_another_epoch_or_build_begins_anew(ada: Caller, stack: Stack) -> None:
    for build in (Build(2, "0" * 16), Build(1, "0" * 16)):
        token = write_token(stack.settings, UUID(ada.id), SyncToken(build, 1, 1))
        problem = refused(await ada.get("/sync", params={"token": token}), 410, "gone")
        assert "start again" in problem["detail"]


async def test_a_position_is_waited_for(ada: Caller, stack: Stack) -> None:
    copy = Copy(ada)
    await copy.sync()
    stack.projector.pause()
    try:
        task = await ada.task()
        late = await ada.get("/sync", params={"token": copy.token, "min_position": task["position"], "wait_ms": 50})
        refused(late, 503, "projection-behind")
        # Without one it answers with what there is.
        assert (await copy.sync())[0]["tasks"] == []
    finally:
        stack.projector.resume()
    await copy.sync(task["position"])
    assert task["id"] in copy.tasks
