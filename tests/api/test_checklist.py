"""Checklists over HTTP: items are added at the end, reworded, checked, moved and removed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from taskflow.commands.fields import ITEM_MAX, ITEMS_MAX
from tests.api.stack import Caller, accepted, refused

UNICODE = "Ünïcödé 日本語 👩‍👩‍👧‍👦 \u202eevil\u202c \x00 \\ \" ' <b>"


async def item(by: Caller, task: str, text: str = "an item", **more: Any) -> dict[str, Any]:
    return accepted(await by.post(f"/tasks/{task}/checklist", {"text": text}, **more), 201)


def texts(task: dict[str, Any]) -> list[str]:
    return [one["text"] for one in task["checklist"]]


async def test_an_item_is_added_changed_and_removed(ada: Caller) -> None:
    task = await ada.task()
    path = f"/tasks/{task['id']}/checklist"
    response = await ada.post(path, {"text": "milk"})
    made = accepted(response, 201)
    assert made == {"id": made["id"], "text": "milk", "done": False, "version": 2, "position": made["position"]}
    one = f"{path}/{made['id']}"
    assert response.headers["location"] == f"/api/v1{one}"
    assert response.headers["taskflow-position"] == str(made["position"])
    assert response.headers["etag"].startswith('"2-')
    changed = accepted(await ada.patch(one, {"text": UNICODE, "done": True}))
    assert (changed["id"], changed["version"]) == (task["id"], 4)
    assert changed["checklist"] == [{"id": made["id"], "text": UNICODE, "done": True}]
    same = await ada.patch(one, {"text": UNICODE, "done": True, "after": None})
    assert accepted(same) == changed
    removed = accepted(await ada.delete(one))
    assert (removed["id"], removed["version"], removed["checklist"]) == (task["id"], 5, [])
    refused(await ada.patch(one, {"done": False}), 404, "not-found")
    refused(await ada.delete(one), 404, "not-found")


async def test_an_item_is_moved_behind_another_or_to_the_front(ada: Caller) -> None:
    task = await ada.task()
    ids = [(await item(ada, task["id"], text))["id"] for text in "abcd"]
    path = f"/tasks/{task['id']}/checklist"
    for moved, after, expected in (
        (ids[3], None, "dabc"),
        (ids[0], ids[2], "dbca"),
        (ids[3], ids[1], "bdca"),
        (ids[2], ids[3], "bdca"),
        (ids[1], ids[0], "dcab"),
    ):
        assert "".join(texts(accepted(await ada.patch(f"{path}/{moved}", {"after": after})))) == expected
    assert accepted(await ada.get(f"/tasks/{task['id']}/events"))["items"][-1]["type"] == "ChecklistItemRanked"
    for after in (ids[1], str(uuid4())):
        response = await ada.patch(f"{path}/{ids[1]}", {"after": after})
        refused(response, 409, "command-rejected", "no-such-item")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/text", "required"),
        ({"text": ""}, "/text", "length"),
        ({"text": " \t"}, "/text", "pattern"),
        ({"text": "x" * (ITEM_MAX + 1)}, "/text", "length"),
        ({"text": None}, "/text", "type"),
        ({"text": "x", "done": True}, "/done", "unknown-field"),
    ],
)
async def test_a_bad_field_of_a_new_item_is_named(ada: Caller, body: dict[str, Any], pointer: str, code: str) -> None:
    task = await ada.task()
    problem = refused(await ada.post(f"/tasks/{task['id']}/checklist", body), 400, "validation")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"text": ""}, "/text"), ({"done": None}, "/done"), ({"done": "yes"}, "/done"), ({"after": "x"}, "/after")],
)
async def test_a_bad_field_of_a_change_is_named(ada: Caller, body: dict[str, Any], pointer: str) -> None:
    task = await ada.task()
    made = await item(ada, task["id"])
    problem = refused(await ada.patch(f"/tasks/{task['id']}/checklist/{made['id']}", body), 400, "validation")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_checklist_has_so_many_items_and_no_more(ada: Caller) -> None:
    task = await ada.task()
    for n in range(0, ITEMS_MAX, 20):
        await asyncio.gather(*[item(ada, task["id"], f"{n + m}") for m in range(20)])
    refused(await ada.post(f"/tasks/{task['id']}/checklist", {"text": "x"}), 409, "command-rejected", "too-many-items")
    found = accepted(await ada.post(f"/tasks/{task['id']}/start"))
    assert len({one["id"] for one in found["checklist"]}) == ITEMS_MAX
    gone = found["checklist"][7]["id"]
    accepted(await ada.delete(f"/tasks/{task['id']}/checklist/{gone}"))
    await item(ada, task["id"], "x")


async def test_an_item_is_found_on_its_own_task_alone(ada: Caller) -> None:
    one, other = await ada.task(), await ada.task()
    made = await item(ada, one["id"])
    for path in (f"/tasks/{other['id']}/checklist/{made['id']}", f"/tasks/{one['id']}/checklist/x"):
        refused(await ada.patch(path, {"done": True}), 404, "not-found")
        refused(await ada.delete(path), 404, "not-found")


async def test_a_stale_version_is_refused(ada: Caller) -> None:
    task = await ada.task()
    made = await item(ada, task["id"])
    path, stale = f"/tasks/{task['id']}/checklist", {"If-Match": '"1"'}
    refused(await ada.post(path, {"text": "x"}, headers=stale), 412, "version-conflict")
    refused(await ada.patch(f"{path}/{made['id']}", {"done": True}, headers=stale), 412, "version-conflict")
    refused(await ada.delete(f"{path}/{made['id']}", headers=stale), 412, "version-conflict")


async def test_a_repeat_has_the_old_answer(ada: Caller, other_http: httpx.AsyncClient) -> None:
    task = await ada.task()
    path = f"/tasks/{task['id']}/checklist"
    first = await ada.post(path, {"text": "one"}, headers={"Idempotency-Key": "add"})
    one = f"{path}/{first.json()['id']}"
    edit = await ada.patch(one, {"done": True}, headers={"Idempotency-Key": "edit"})
    delete = await ada.delete(one, headers={"Idempotency-Key": "delete"})
    for door in (ada, Caller(other_http, ada.id, ada.name, ada.token)):
        for was, again in (
            (first, await door.post(path, {"text": "one"}, headers={"Idempotency-Key": "add"})),
            (edit, await door.patch(one, {"done": True}, headers={"Idempotency-Key": "edit"})),
            (delete, await door.delete(one, headers={"Idempotency-Key": "delete"})),
        ):
            assert (again.status_code, again.content) == (was.status_code, was.content)
            assert again.headers["idempotency-replayed"] == "true"
            for name in ("etag", "location", "taskflow-position"):
                assert again.headers.get(name) == was.headers.get(name)


async def test_items_that_are_added_at_once_all_stand_in_the_order_of_their_versions(
    ada: Caller, other_http: httpx.AsyncClient
) -> None:
    doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
    task = await ada.task()
    made = await asyncio.gather(*[item(doors[n % 2], task["id"], f"{n}") for n in range(20)])
    last = max(made, key=lambda one: one["version"])
    shown = accepted(await ada.read(f"/tasks/{task['id']}", last["position"]))
    assert [one["id"] for one in shown["checklist"]] == [
        one["id"] for one in sorted(made, key=lambda one: one["version"])
    ]


async def test_moves_at_once_lose_no_item(ada: Caller, other_http: httpx.AsyncClient) -> None:
    doors = [ada, Caller(other_http, ada.id, ada.name, ada.token)]
    task = await ada.task()
    ids = [(await item(ada, task["id"], text))["id"] for text in "abcde"]
    moves = [(moved, after) for moved in ids for after in (None, *ids) if moved != after]
    answers = await asyncio.gather(
        *[
            doors[n % 2].patch(f"/tasks/{task['id']}/checklist/{moved}", {"after": after})
            for n, (moved, after) in enumerate(moves)
        ]
    )
    for (moved, after), answer in zip(moves, answers, strict=True):
        order = [one["id"] for one in accepted(answer)["checklist"]]
        assert sorted(order) == sorted(ids)
        assert order.index(moved) == (0 if after is None else order.index(after) + 1)
