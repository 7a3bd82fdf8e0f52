"""Nobody is put into a stranger's project; and whose personal fields are in clear is decided by consent alone."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.beside import Beside
from tests.api.stack import Caller, accepted, refused
from tests.api.test_events import CSV, NDJSON, every, file, lines


async def put(by: Caller, project: str, user: str, role: str = "member") -> httpx.Response:
    return await by.put(f"/projects/{project}/members/{user}", {"role": role})


async def command(by: Caller, project: str, user: str, role: str = "member") -> httpx.Response:
    return await by.command("SetMember", f"{project}/{user}", data={"role": role})


async def in_a_batch(by: Caller, project: str, user: str, role: str = "member") -> httpx.Response:
    """All or nothing, so that a refusal is the whole answer."""
    one = {"id": str(uuid4()), "type": "SetMember", "target": f"{project}/{user}", "data": {"role": role}}
    return await by.post("/commands/batch", {"atomic": True, "commands": [one]})


DOORS = {"route": put, "command": command, "batch": in_a_batch}
every_door = pytest.mark.parametrize("add", DOORS.values(), ids=DOORS)


async def shared(ada: Caller, bob: Caller) -> str:
    """A project that both are in by their own consent."""
    project: str = (await ada.project("Shared"))["id"]
    token = (await ada.invite(project))["token"]
    accepted(await bob.post(f"/invitations/{token}/accept"))
    return project


async def leave(who: Caller, project: str) -> None:
    accepted(await who.delete(f"/projects/{project}/members/{who.id}"))


async def remove(by: Caller, project: str, who: Caller) -> None:
    accepted(await by.delete(f"/projects/{project}/members/{who.id}"))


def must_be_invited(response: httpx.Response) -> dict[str, Any]:
    return refused(response, 409, "command-rejected", "must-be-invited")


# --- who becomes a member


@every_door
async def test_a_stranger_is_not_put_into_a_project(ada: Caller, bob: Caller, add: Any) -> None:
    project = await ada.project()
    for role in ("viewer", "member", "admin", "owner"):
        must_be_invited(await add(ada, project["id"], bob.id, role))
    task = await ada.task("Not his", project_id=project["id"], due_at="2031-01-01T00:00:00Z")
    kept = accepted(await bob.read("/sync", task["position"]))
    assert project["id"] not in {one["id"] for one in kept["projects"]}
    refused(await bob.get(f"/projects/{project['id']}"), 404, "not-found")
    assert accepted(await ada.get(f"/projects/{project['id']}"))["version"] == 1, "nothing was written"


@every_door
async def test_nobody_learns_by_it_who_is_there(ada: Caller, bob: Caller, add: Any) -> None:
    project = (await ada.project())["id"]
    problems = [must_be_invited(await add(ada, project, one)) for one in (bob.id, str(uuid4()), project)]
    for problem in problems:
        for name in ("instance", "command_id"):
            problem.pop(name, None)
        problem["detail"] = problem["detail"].rpartition(": ")[2]  # what comes before names the command
    assert problems[0] == problems[1] == problems[2]


@every_door
async def test_whom_one_shares_a_project_with_is_added_at_once_in_every_process(
    ada: Caller, bob: Caller, other_http: httpx.AsyncClient, add: Any
) -> None:
    there = Caller(other_http, ada.id, ada.name, ada.token)
    for by in (ada, there):
        await shared(ada, bob)
        project = (await by.project())["id"]
        accepted(await add(by, project, bob.id, "admin"))
        assert accepted(await bob.get(f"/projects/{project}"))["role"] == "admin"
        await leave(bob, project)


async def test_being_added_is_no_consent(ada: Caller, bob: Caller, person: Any) -> None:
    """So it is no way to a third person either."""
    carol = await person("Carol")
    await shared(ada, bob)
    await shared(ada, carol)
    project = (await ada.project())["id"]
    await ada.add(project, bob, "admin")
    await ada.add(project, carol)
    assert {one["user"]["id"] for one in await members(ada, project)} == {ada.id, bob.id, carol.id}
    own = (await bob.project())["id"]
    must_be_invited(await put(bob, own, carol.id))
    # Not even with one who consented where the other did not.
    token = (await ada.invite(project))["token"]
    assert accepted(await carol.post(f"/invitations/{token}/accept"))["role"] == "member"
    must_be_invited(await put(bob, own, carol.id))
    token = (await ada.invite(project))["token"]
    accepted(await bob.post(f"/invitations/{token}/accept"))
    accepted(await put(bob, own, carol.id))


async def members(caller: Caller, project: str) -> list[dict[str, Any]]:
    position = accepted(await caller.get(f"/events?project={project}"))["position"]
    items: list[dict[str, Any]] = accepted(await caller.read(f"/projects/{project}/members", position))["items"]
    return items


async def test_who_left_is_asked_before_they_come_back(ada: Caller, bob: Caller) -> None:
    await shared(ada, bob)
    project = (await ada.project())["id"]
    accepted(await put(ada, project, bob.id))
    await leave(bob, project)
    for add in DOORS.values():
        must_be_invited(await add(ada, project, bob.id))
    token = (await ada.invite(project))["token"]
    accepted(await bob.post(f"/invitations/{token}/accept"))
    await remove(ada, project, bob)
    accepted(await put(ada, project, bob.id))


async def test_whom_an_admin_removed_may_be_added_again(ada: Caller, bob: Caller) -> None:
    await shared(ada, bob)
    project = (await ada.project())["id"]
    accepted(await put(ada, project, bob.id))
    await remove(ada, project, bob)
    accepted(await put(ada, project, bob.id, "viewer"))
    await remove(ada, project, bob)


@pytest.mark.parametrize("ends", [leave, None], ids=["left", "removed"])
async def test_a_project_that_is_shared_no_more_counts_no_more(ada: Caller, bob: Caller, ends: Any) -> None:
    project, own = await shared(ada, bob), (await ada.project())["id"]
    await (ends(bob, project) if ends else remove(ada, project, bob))
    must_be_invited(await put(ada, own, bob.id))
    must_be_invited(await put(bob, (await bob.project())["id"], ada.id))


async def test_an_inbox_is_nobody_elses(ada: Caller, bob: Caller) -> None:
    await shared(ada, bob)
    inbox = next(one["id"] for one in accepted(await ada.get("/projects"))["items"] if one["name"] == "Inbox")
    refused(await put(ada, inbox, bob.id), 409, "command-rejected", "inbox")


async def test_a_member_has_a_role_however_they_came(ada: Caller, bob: Caller) -> None:
    await shared(ada, bob)
    project = (await ada.project())["id"]
    accepted(await put(ada, project, bob.id))
    accepted(await put(ada, project, bob.id, "viewer"))
    assert accepted(await put(ada, project, bob.id, "viewer"))["role"] == "owner"


async def test_of_an_addition_and_an_end_of_what_is_shared_one_comes_first(
    ada: Caller, bob: Caller, other_http: httpx.AsyncClient
) -> None:
    """The shared project is a guard: in the log, nobody is added after it was shared no more."""
    there = Caller(other_http, bob.id, bob.name, bob.token)
    for _ in range(8):
        project, own = await shared(ada, bob), (await ada.project())["id"]
        added, left = await asyncio.gather(put(ada, own, bob.id), there.delete(f"/projects/{project}/members/{bob.id}"))
        assert accepted(left)["role"] is None
        if added.status_code == 200:
            assert added.json()["position"] < left.json()["position"]
            await leave(bob, own)
        else:
            must_be_invited(added)


# --- whose personal fields are in clear


async def changes_seen_by(caller: Caller, user: Caller) -> dict[str, set[Any]]:
    """Every value that the log shows the caller of a person's fields, in pages and in files."""
    whole = await every(caller, actor=user.id)
    assert lines(await file(caller, NDJSON, actor=user.id)) == whole
    table = (await file(caller, CSV, actor=user.id)).text
    found: dict[str, set[Any]] = {"name": set(), "email": set(), "address": set(), "agent": set()}
    for event in whole:
        if event["stream_id"] == user.id or event["data"].get("user_id") == user.id:
            for name in found:
                found[name] |= {event["data"][name]} if name in event["data"] else set()
    for values in found.values():
        for value in values - {None}:
            assert json.dumps(value)[1:-1] in table
    return found


HIDDEN: dict[str, set[Any]] = {"name": {None}, "email": {None}, "address": {None}, "agent": {None}}


@pytest.mark.parametrize("role", ["analyst", "admin"])
async def test_no_role_opens_what_consent_has_not(
    ada: Caller, bob: Caller, person: Any, beside: Beside, role: str
) -> None:
    carol = await person("Carol")
    await beside.grant(ada.id, role)
    must_be_invited(await put(ada, (await ada.project())["id"], bob.id))
    assert await changes_seen_by(ada, bob) == HIDDEN
    # By way of somebody whom both know, they come into one project; he was not asked.
    await shared(carol, ada)
    await shared(carol, bob)
    project = (await carol.project())["id"]
    accepted(await put(carol, project, bob.id))
    accepted(await put(carol, project, ada.id))
    assert {one["user"]["name"] for one in await members(ada, project)} == {"Ada Lovelace", "Bob", "Carol"}
    assert accepted(await ada.get(f"/users/{bob.id}"))["name"] == "Bob", "fellow members know each other by name"
    assert await changes_seen_by(ada, bob) == HIDDEN
    assert (await changes_seen_by(ada, carol))["name"] == {"Carol"}
    for one in (ada, bob):
        token = (await carol.invite(project))["token"]
        accepted(await one.post(f"/invitations/{token}/accept"))
    open_ = await changes_seen_by(ada, bob)
    assert open_["name"] == {"Bob"}
    assert None not in open_["address"] | open_["email"]
    await leave(bob, project)
    assert await changes_seen_by(ada, bob) == HIDDEN
    mine = await changes_seen_by(ada, ada)
    assert (mine["name"], None in mine["email"]) == ({"Ada Lovelace"}, False), "everybody sees themselves"


async def test_who_was_added_before_there_was_a_rule_stays_and_has_not_consented(
    ada: Caller, bob: Caller, beside: Beside
) -> None:
    project = (await ada.project())["id"]
    position = await beside.add_without_asking(ada.id, project, bob.id, "member")
    assert accepted(await bob.read(f"/projects/{project}", position))["role"] == "member"
    await beside.grant(ada.id, "analyst")
    assert await changes_seen_by(ada, bob) == HIDDEN
    must_be_invited(await put(ada, (await ada.project())["id"], bob.id))
    token = (await ada.invite(project, "viewer"))["token"]
    assert accepted(await bob.post(f"/invitations/{token}/accept"))["role"] == "member"
    assert (await changes_seen_by(ada, bob))["name"] == {"Bob"}
    accepted(await put(ada, (await ada.project())["id"], bob.id))
