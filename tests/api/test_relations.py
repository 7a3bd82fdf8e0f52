"""Relations between tasks over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from taskflow.commands.fields import RELATIONS_MAX
from tests.api.stack import Caller, accepted, refused

TYPES = ["blocks", "relates_to", "duplicates"]


async def relate(by: Caller, one: str, other: str, type_: str = "blocks", **more: Any) -> httpx.Response:
    return await by.put(f"/tasks/{one}/relations", {"type": type_, "task_id": other}, **more)


@pytest.mark.parametrize("type_", TYPES)
async def test_a_relation_is_put_once_and_taken_away_once(ada: Caller, type_: str) -> None:
    one, other = await ada.task(), await ada.task()
    response = await relate(ada, one["id"], other["id"], type_)
    related = accepted(response)
    assert (related["id"], related["version"]) == (one["id"], 2)
    assert related["relations"] == [{"type": type_, "task_id": other["id"]}]
    assert "location" not in response.headers
    assert accepted(await relate(ada, one["id"], other["id"], type_)) == related
    path = f"/tasks/{one['id']}/relations/{type_}/{other['id']}"
    parted = accepted(await ada.delete(path))
    assert (parted["version"], parted["relations"]) == (3, [])
    refused(await ada.delete(path), 404, "not-found")
    # The other task has not changed.
    assert accepted(await ada.read(f"/tasks/{other['id']}", parted["position"]))["version"] == 1


async def test_what_cannot_be(ada: Caller) -> None:
    one, other = (await ada.task())["id"], (await ada.task())["id"]
    refused(await relate(ada, one, one), 409, "command-rejected", "cycle")
    for type_ in TYPES[1:]:
        refused(await relate(ada, one, one, type_), 409, "command-rejected", "self-relation")
    accepted(await relate(ada, one, other))
    refused(await relate(ada, other, one), 409, "command-rejected", "cycle")
    for type_ in TYPES[1:]:
        accepted(await relate(ada, one, other, type_))
        accepted(await relate(ada, other, one, type_))


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/type", "/task_id"}),
        ({"type": "likes", "task_id": str(uuid4())}, {"/type"}),
        ({"type": "blocks", "task_id": "x"}, {"/task_id"}),
        ({"type": "blocks", "task_id": None}, {"/task_id"}),
        ({"type": "blocks", "task_id": str(uuid4()), "x": 1}, {"/x"}),
    ],
)
async def test_a_bad_field_is_named(ada: Caller, body: dict[str, Any], pointers: set[str]) -> None:
    task = await ada.task()
    problem = refused(await ada.put(f"/tasks/{task['id']}/relations", body), 400, "validation")
    assert {error["pointer"] for error in problem["errors"]} == pointers


async def test_only_what_the_caller_sees_is_related(ada: Caller, bob: Caller) -> None:
    mine, hers = (await bob.task())["id"], await ada.task()
    for other in (hers["id"], str(uuid4()), bob.id):
        refused(await relate(bob, mine, other), 404, "not-found")
    project = (await ada.project())["id"]
    shared = await ada.task(project_id=project)
    await ada.add(project, bob, "viewer")
    # It is read across projects, and written on the caller's own side alone.
    assert accepted(await relate(bob, mine, shared["id"]))["relations"] == [{"type": "blocks", "task_id": shared["id"]}]
    refused(await relate(bob, shared["id"], mine), 403, "forbidden")
    # Who no longer sees it still has the relation, and may take it away.
    accepted(await ada.delete(f"/projects/{project}/members/{bob.id}"))
    refused(await relate(bob, mine, shared["id"]), 404, "not-found")
    assert accepted(await bob.delete(f"/tasks/{mine}/relations/blocks/{shared['id']}"))["relations"] == []


@pytest.mark.parametrize("path", ["likes/{other}", "blocks/x", "relates_to/{other}", "blocks/{nobody}"])
async def test_no_such_relation_is_404(ada: Caller, path: str) -> None:
    one, other = await ada.task(), await ada.task()
    accepted(await relate(ada, one["id"], other["id"]))
    gone = path.format(other=other["id"], nobody=uuid4())
    refused(await ada.delete(f"/tasks/{one['id']}/relations/{gone}"), 404, "not-found")


async def test_a_task_has_so_many_relations_and_no_more(ada: Caller) -> None:
    task = await ada.task()
    others = [(await ada.task(f"{n}"))["id"] for n in range(RELATIONS_MAX + 1)]
    for other in others[:-1]:
        accepted(await relate(ada, task["id"], other, "relates_to"))
    response = await relate(ada, task["id"], others[-1])
    refused(response, 409, "command-rejected", "too-many-relations")
    assert len(accepted(await relate(ada, task["id"], others[0], "relates_to"))["relations"]) == RELATIONS_MAX


async def test_a_stale_version_is_refused(ada: Caller) -> None:
    one, other = await ada.task(), await ada.task()
    accepted(await relate(ada, one["id"], other["id"]))
    stale = {"If-Match": '"1"'}
    refused(await relate(ada, one["id"], other["id"], "duplicates", headers=stale), 412, "version-conflict")
    response = await ada.delete(f"/tasks/{one['id']}/relations/blocks/{other['id']}", headers=stale)
    refused(response, 412, "version-conflict")


async def test_a_repeat_has_the_old_answer(ada: Caller, other_http: httpx.AsyncClient) -> None:
    one, other = await ada.task(), await ada.task()
    path = f"/tasks/{one['id']}/relations/blocks/{other['id']}"
    put = await relate(ada, one["id"], other["id"], headers={"Idempotency-Key": "put"})
    idle = await relate(ada, one["id"], other["id"], headers={"Idempotency-Key": "idle"})
    delete = await ada.delete(path, headers={"Idempotency-Key": "delete"})
    for door in (ada, Caller(other_http, ada.id, ada.name, ada.token)):
        for was, again in (
            (put, await relate(door, one["id"], other["id"], headers={"Idempotency-Key": "put"})),
            (idle, await relate(door, one["id"], other["id"], headers={"Idempotency-Key": "idle"})),
            (delete, await door.delete(path, headers={"Idempotency-Key": "delete"})),
        ):
            assert (again.status_code, again.content) == (was.status_code, was.content)
            assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("length", [2, 3])
async def test_writers_of_two_processes_close_no_cycle(ada: Caller, other_http: httpx.AsyncClient, length: int) -> None:
    doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
    for _ in range(10):
        ids = [(await ada.task())["id"] for _ in range(length)]
        answers = await asyncio.gather(*[relate(doors[n % 2], one, ids[(n + 1) % length]) for n, one in enumerate(ids)])
        assert sorted(answer.status_code for answer in answers) == [200] * (length - 1) + [409]
        for answer in answers:
            if answer.status_code == 409:
                refused(answer, 409, "command-rejected", "cycle")
