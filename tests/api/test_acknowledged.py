"""What is stored is acknowledged, and acts at once where it was answered, however late this process is with the log.

The readers of one API process are held up on their way from PostgreSQL, its appends are not: so it follows nothing of
what it writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from msgspec import Struct
from msgspec.structs import replace

from tests.api.held import Way, open_held
from tests.api.stack import Caller, Stack, accepted, client, refused, register, until

PATIENCE_S = 120
REFUSED = {404, 503}
"""Somebody who is no member as far as is known, where nobody can be asked whether they are one by now."""


class HeldProcess(Struct):
    """A process that can be held up, and people who registered there: what is asked for first is in its memory."""

    http: httpx.AsyncClient
    way: Way
    ada: Caller
    bob: Caller
    project: str
    """Of both, with Bob as an admin."""


@pytest.fixture
async def here(stack: Stack, tmp_path: Path) -> AsyncIterator[HeldProcess]:
    settings = replace(stack.settings, auth_stale_max_s=PATIENCE_S)
    async with open_held(settings, tmp_path) as (url, way), client(url) as http:
        ada, bob = await register(http, "Ada Lovelace"), await register(http, "Bob")
        project = (await ada.project())["id"]
        await ada.add(project, bob, "admin")
        yield HeldProcess(http, way, ada, bob, project)


async def test_who_signs_out_is_out(here: HeldProcess) -> None:
    here.way.hold()
    done = await here.ada.post("/auth/logout")
    assert done.status_code == 204, done.text
    assert int(done.headers["taskflow-position"]) > 0
    refused(await here.ada.get("/users/me"), 401, "unauthenticated")
    refused(await here.ada.post("/auth/logout"), 401, "unauthenticated")
    assert (await here.bob.task())["id"], "and others are not"


async def test_a_session_that_ended_elsewhere_is_out_here_too(here: HeldProcess, stack: Stack) -> None:
    async with client(stack.urls[0]) as elsewhere:
        there = Caller(elsewhere, here.ada.id, here.ada.name, here.ada.token)

        async def known() -> bool:
            return (await there.get("/users/me")).status_code == 200

        await until(known, "the other process knows her")
        here.way.hold()
        assert (await there.post("/auth/logout")).status_code == 204
    # What this process keeps of the session is older: the append finds that it has moved, and nobody can say more.
    late = await here.ada.post("/auth/logout")
    assert late.status_code in {401, 503}
    here.way.release()

    async def out() -> bool:
        return (await here.ada.get("/users/me")).status_code == 401

    await until(out, "it is known here")


async def test_a_spent_refresh_token_ends_its_family(here: HeldProcess) -> None:
    account = {"email": f"{uuid4().hex}@example.com", "password": f"correct horse {uuid4().hex}", "name": "Eve"}
    path = "/api/v1/auth"
    begun = accepted(await here.http.post(f"{path}/register", json=account), 201)
    here.way.hold()
    tokens = [begun["refresh_token"]]
    for _ in range(2):
        pair = accepted(await here.http.post(f"{path}/refresh", json={"refresh_token": tokens[-1]}))
        tokens.append(pair["refresh_token"])
    refused(await here.http.post(f"{path}/refresh", json={"refresh_token": tokens[0]}), 401, "unauthenticated")
    for access in (begun["access_token"], pair["access_token"]):
        eve = Caller(here.http, begun["user"]["id"], "Eve", access)
        refused(await eve.get("/users/me"), 401, "unauthenticated")


@pytest.mark.parametrize("door", ["route", "command", "batch", "atomic"])
async def test_who_is_removed_sees_and_changes_nothing_more(here: HeldProcess, door: str) -> None:
    task = await here.ada.task("Ours", project_id=here.project)
    accepted(await here.bob.read(f"/tasks/{task['id']}", task["position"]))
    here.way.hold()
    target = {"type": "RemoveMember", "target": f"{here.project}/{here.bob.id}", "id": str(uuid4())}
    match door:
        case "route":
            done = await here.ada.delete(f"/projects/{here.project}/members/{here.bob.id}")
        case "command":
            done = await here.ada.post("/commands", target)
        case _:
            done = await here.ada.post("/commands/batch", {"atomic": door == "atomic", "commands": [target]})
    assert accepted(done)
    for path in (f"/projects/{here.project}", f"/tasks/{task['id']}", f"/projects/{here.project}/members"):
        assert (await here.bob.get(path)).status_code in REFUSED, path
    assert here.project not in {one["id"] for one in accepted(await here.bob.get("/projects"))["items"]}
    assert (await here.bob.patch(f"/tasks/{task['id']}", {"title": "Mine"})).status_code in REFUSED
    listed = await here.bob.get("/tasks")
    assert listed.status_code == 503 or task["id"] not in listed.text
    kept = await here.bob.get("/sync")
    assert kept.status_code == 503 or here.project not in kept.text
    # Once it follows again it says what it said, and lets go of what it kept.
    here.way.release()

    async def gone() -> bool:
        return (await here.bob.get(f"/projects/{here.project}")).status_code == 404

    await until(gone, "the log is followed again")
    accepted(await here.ada.get(f"/projects/{here.project}"))


async def test_who_leaves_and_who_loses_a_role(here: HeldProcess) -> None:
    here.way.hold()
    demoted = await here.ada.put(f"/projects/{here.project}/members/{here.bob.id}", {"role": "viewer"})
    assert accepted(demoted)["role"] == "owner"
    task = {"title": "x", "project_id": here.project}
    assert (await here.bob.post("/tasks", task)).status_code in {403, 503}
    left = await here.bob.delete(f"/projects/{here.project}/members/{here.bob.id}")
    assert accepted(left)["role"] is None
    assert (await here.bob.get(f"/projects/{here.project}")).status_code in REFUSED


async def test_what_is_granted_works_here_at_once(here: HeldProcess) -> None:
    here.way.hold()
    project = await here.bob.project("New")
    path = f"/projects/{project['id']}"
    assert accepted(await here.bob.get(path))["name"] == "New"
    token = (await here.bob.invite(project["id"]))["token"]
    assert accepted(await here.ada.post(f"/invitations/{token}/accept"))["role"] == "member"
    assert accepted(await here.ada.get(path))["role"] == "member"


async def test_whatever_is_written_is_answered_whole(here: HeldProcess) -> None:
    """From what was decided: neither project nor people are read for it."""
    assigned = await here.ada.task("Old", project_id=here.project, assignee_id=here.bob.id)
    accepted(await here.ada.patch("/users/me", {"avatar_url": "https://example.com/a.png"}))  # her key is known here
    here.way.hold()
    path = f"/tasks/{assigned['id']}"
    changed = accepted(await here.ada.patch(path, {"title": "New", "status": "in_progress"}))
    assert (changed["title"], changed["status_category"]) == ("New", "in_progress")
    assert changed["assignee"] == {"id": here.bob.id, "name": "Bob"}
    text = f"for @[{here.bob.id}]"
    comment = accepted(await here.ada.post(f"{path}/comments", {"body": text}), 201)
    assert comment["mentions"] == [{"id": here.bob.id, "name": "Bob"}]
    assert comment["author"]["name"] == "Ada Lovelace"
    item = accepted(await here.ada.post(f"{path}/checklist", {"text": "first"}), 201)
    assert accepted(await here.ada.patch(f"{path}/checklist/{item['id']}", {"done": True}))["checklist"][0]["done"]
    assert accepted(await here.bob.post(f"{path}/complete"))["status_category"] == "done"
    commands: list[dict[str, Any]] = [
        {"id": str(uuid4()), "type": "EditTask", "target": assigned["id"], "data": {"priority": "high"}},
        {"id": str(uuid4()), "type": "CreateTask", "data": {"title": "More", "project_id": here.project}},
        {"id": str(uuid4()), "type": "EditProject", "target": here.project, "data": {"name": "Renamed"}},
    ]
    results = accepted(await here.ada.post("/commands/batch", {"commands": commands}))["results"]
    assert [one["outcome"] for one in results] == ["applied"] * 3
    assert accepted(await here.ada.patch("/users/me", {"avatar_url": None}))["name"] == "Ada Lovelace"
    assert accepted(await here.ada.post("/users/me/calendar"), 201)["secret"]
    assert accepted(await here.ada.delete(path))["trashed_at"] is not None
