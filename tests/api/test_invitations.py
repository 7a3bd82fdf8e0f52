"""Invitations over HTTP: made, listed, accepted once, revoked; and who learns what."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from taskflow.commands.invitation_tokens import token_of
from taskflow.commands.invitations import InviteMember, invite_member
from taskflow.streams.project import MemberInvited
from tests.api.beside import Beside
from tests.api.stack import Caller, Stack, accepted, refused

FIELDS = {"id", "project_id", "email", "role", "invited_by", "created_at", "expires_at", "version"}
Person = Callable[[str], Awaitable[Caller]]


async def invite(caller: Caller, project: str, email: str = "dora@example.com", role: str = "member") -> dict[str, Any]:
    response = await caller.post(f"/projects/{project}/invitations", {"email": email, "role": role})
    return accepted(response, 201)


async def test_an_invitation_is_made_read_and_accepted(ada: Caller, bob: Caller, other_http: httpx.AsyncClient) -> None:
    project = await ada.project("Engine")
    path = f"/projects/{project['id']}/invitations"
    response = await ada.post(path, {"email": " Dora.Ümläut@Example.com ", "role": "member"})
    made = accepted(response, 201)
    assert set(made) == FIELDS | {"token", "position"}
    assert (made["email"], made["role"], made["version"]) == ("Dora.Ümläut@Example.com", "member", 2)
    assert (made["project_id"], made["invited_by"]) == (project["id"], ada.id)
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", made["token"])
    assert response.headers["location"] == f"/api/v1{path}/{made['id']}"
    assert response.headers["etag"].startswith('"2')
    there = Caller(other_http, ada.id, ada.name, ada.token)
    shown = {name: made[name] for name in FIELDS}
    for caller in (ada, there):
        assert accepted(await caller.get(f"{path}/{made['id']}")) == shown
        assert accepted(await caller.get(path)) == {"items": [shown], "next_cursor": None}
    taken = accepted(await Caller(other_http, bob.id, bob.name, bob.token).post(f"/invitations/{made['token']}/accept"))
    assert (taken["id"], taken["role"], taken["version"]) == (project["id"], "member", 4)
    accepted(await bob.post("/tasks", {"title": "mine too", "project_id": project["id"]}), 201)
    refused(await bob.post(f"/invitations/{made['token']}/accept"), 404, "not-found")
    refused(await ada.get(f"{path}/{made['id']}"), 404, "not-found")
    assert accepted(await ada.get(path))["items"] == []


async def test_a_repeat_of_any_of_it_has_the_same_answer(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    path = f"/projects/{project}/invitations"
    again = {"Idempotency-Key": uuid4().hex}
    body = {"email": "dora@example.com", "role": "member"}
    first = await ada.post(path, body, headers=again)
    second = await ada.post(path, body, headers=again)
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]
    token = first.json()["token"]
    accepting = [await bob.post(f"/invitations/{token}/accept", headers=again) for _ in range(2)]
    assert accepted(accepting[0]) == accepted(accepting[1])
    assert accepting[1].headers["idempotency-replayed"] == "true"
    ended = accepted(await ada.post(path, body, headers=again), 201)
    assert ended == first.json() | {"email": None}, "nobody can read the address any more"
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    refused(await bob.post(f"/invitations/{token}/accept", headers=again), 404, "not-found")


async def test_who_may_no_longer_invite_is_not_told_a_token_again(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob, "admin")
    again = {"Idempotency-Key": uuid4().hex}
    body = {"email": "dora@example.com", "role": "member"}
    accepted(await bob.post(f"/projects/{project}/invitations", body, headers=again), 201)
    await ada.add(project, bob, "member")
    refused(await bob.post(f"/projects/{project}/invitations", body, headers=again), 403, "forbidden")


async def test_a_revoked_one_is_gone(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    made = await invite(ada, project)
    path = f"/projects/{project}/invitations/{made['id']}"
    revoked = accepted(await ada.delete(path))
    assert (revoked["id"], revoked["version"]) == (project, 3)
    refused(await ada.delete(path), 404, "not-found")
    refused(await bob.post(f"/invitations/{made['token']}/accept"), 404, "not-found")
    await invite(ada, project)


@pytest.mark.parametrize("token", ["x", "x" * 86, "x" * 500, "%00", "a.b~c-d_e", "%F0%9F%8E%9F"])
async def test_a_token_that_was_not_made_here_is_404(ada: Caller, token: str) -> None:
    refused(await ada.post(f"/invitations/{token}/accept"), 404, "not-found")


async def test_a_forged_token_is_404_and_by_command_too(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    token = (await invite(ada, project))["token"]
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BA")
    refused(await bob.post(f"/invitations/{forged}/accept"), 404, "not-found")
    refused(await bob.command("AcceptInvitation", forged), 404, "not-found")
    refused(await bob.command("AcceptInvitation", f"{project}/{uuid4()}"), 404, "not-found")
    refused(await bob.command("AcceptInvitation"), 400, "validation")
    done = accepted(await bob.command("AcceptInvitation", token))
    assert [event["type"] for event in done["events"]] == ["MemberAdded", "InvitationAccepted"]
    assert (done["result"]["id"], done["result"]["role"]) == (project, "member")


async def test_by_command_it_is_made_and_revoked(ada: Caller) -> None:
    project = (await ada.project())["id"]
    data = {"email": "dora@example.com", "role": "viewer"}
    made = accepted(await ada.command("InviteMember", project, data=data))
    assert set(made["result"]) == FIELDS | {"token", "position"}
    done = accepted(await ada.command("RevokeInvitation", f"{project}/{made['result']['id']}"))
    assert [event["type"] for event in done["events"]] == ["InvitationRevoked"]


async def test_a_member_who_accepts_keeps_a_higher_role(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob, "admin")
    token = (await invite(ada, project, role="viewer"))["token"]
    assert accepted(await bob.post(f"/invitations/{token}/accept"))["role"] == "admin"
    token = (await invite(ada, project, role="owner"))["token"]
    assert accepted(await bob.post(f"/invitations/{token}/accept"))["role"] == "owner"


async def test_only_owners_invite_admins_and_owners(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob, "admin")
    for role in ("admin", "owner"):
        body = {"email": "dora@example.com", "role": role}
        refused(await bob.post(f"/projects/{project}/invitations", body), 403, "forbidden")
    await invite(bob, project)


async def test_who_is_removed_does_not_come_back_by_an_invitation_of_their_own(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob, "admin")
    token = (await invite(bob, project))["token"]
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    refused(await bob.post(f"/invitations/{token}/accept"), 404, "not-found")


async def test_one_address_has_one_pending_invitation(ada: Caller) -> None:
    project = (await ada.project())["id"]
    await invite(ada, project, "Dora@example.com")
    body = {"email": " dora@EXAMPLE.com", "role": "viewer"}
    refused(await ada.post(f"/projects/{project}/invitations", body), 409, "command-rejected", "already-invited")
    await invite(ada, (await ada.project())["id"], "dora@example.com")


async def test_one_that_ran_out_is_gone(ada: Caller, bob: Caller, stack: Stack, beside: Beside) -> None:
    project = (await ada.project())["id"]
    path = f"/projects/{project}/invitations"
    body = InviteMember(email="dora@example.com", role="viewer")
    week_ago = datetime.now(UTC) - timedelta(days=7)
    made = await beside.command(ada.id, week_ago, invite_member, UUID(project), body)
    (invited,) = made.events
    assert isinstance(invited, MemberInvited)
    old = str(invited.invitation_id)
    assert accepted(await ada.get(path))["items"] == []
    refused(await ada.get(f"{path}/{old}"), 404, "not-found")
    token = token_of(stack.settings.token_secret_bytes, UUID(project), invited.invitation_id)
    refused(await bob.post(f"/invitations/{token}/accept"), 404, "not-found")
    again = await invite(ada, project, "dora@example.com")
    assert [one["id"] for one in accepted(await ada.get(path))["items"]] == [again["id"]]
    refused(await ada.delete(f"{path}/{old}"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/email"),
        ({"email": "dora", "role": "member"}, "/email"),
        ({"email": "d@" + "x" * 253, "role": "member"}, "/email"),
        ({"email": "d@example.com", "role": "king"}, "/role"),
        ({"email": "d@example.com"}, "/role"),
        ({"email": "d@example.com", "role": "member", "name": "Dora"}, "/name"),
    ],
)
async def test_what_is_no_invitation_is_400(ada: Caller, body: Any, pointer: str) -> None:
    project = (await ada.project())["id"]
    problem = refused(await ada.post(f"/projects/{project}/invitations", body), 400, "validation")
    assert pointer in {error["pointer"] for error in problem["errors"]}


async def test_nobody_is_invited_to_an_inbox(ada: Caller) -> None:
    inbox = accepted(await ada.get("/projects"))["items"][0]["id"]
    body = {"email": "dora@example.com", "role": "viewer"}
    refused(await ada.post(f"/projects/{inbox}/invitations", body), 409, "command-rejected", "inbox")


async def test_they_have_pages(ada: Caller) -> None:
    project = (await ada.project())["id"]
    made = [await invite(ada, project, f"p{n}@example.com") for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        body = accepted(await ada.get(f"/projects/{project}/invitations", params=parameters))
        seen += [one["email"] for one in body["items"]]
        assert all("token" not in one for one in body["items"])
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert seen == [one["email"] for one in made]


async def test_the_address_is_in_no_other_answer(ada: Caller, bob: Caller) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob, "viewer")
    made = await invite(ada, project, "unheard.of@example.com")
    for caller in (ada, bob):
        for path in (f"/projects/{project}", "/projects", f"/projects/{project}/members"):
            assert "unheard" not in (await caller.read(path, made["position"])).text


async def test_a_repeated_read_is_304(ada: Caller) -> None:
    project = (await ada.project())["id"]
    made = await invite(ada, project)
    for path in (f"/projects/{project}/invitations", f"/projects/{project}/invitations/{made['id']}"):
        first = await ada.get(path)
        assert int(first.headers["taskflow-position"]) >= made["position"]
        again = await ada.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        refused(await ada.get(path, params={"colour": "red"}), 400, "validation")
