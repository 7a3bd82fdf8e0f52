"""`Prefer: return=minimal`: what a write does and says of itself stays; what it wrote is not shown."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.stack import Caller, accepted, refused
from tests.api.test_batches import command, create

MINIMAL = {"Prefer": "return=minimal"}
SAME = ("etag", "taskflow-position", "location")


@pytest.mark.parametrize(
    "prefer", ["return=minimal", 'wait=1, Return="minimal"; x=y', "return=minimal, return=representation"]
)
async def test_a_write_answers_with_three_fields(ada: Caller, prefer: str) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    whole = await ada.post("/tasks", {"title": "T"}, headers=key)
    short = await ada.post("/tasks", {"title": "T"}, headers=key | {"Prefer": prefer})
    assert short.status_code == whole.status_code == 201
    assert accepted(short, 201) == {name: accepted(whole, 201)[name] for name in ("id", "version", "position")}
    assert [short.headers[name] for name in SAME] == [whole.headers[name] for name in SAME]
    assert short.headers["preference-applied"] == "return=minimal"
    assert "preference-applied" not in whole.headers


@pytest.mark.parametrize(
    "prefer", ["return=representation", "respond-async", "return", "xreturn=minimal", "return=minimalist"]
)
async def test_other_preferences_change_nothing(ada: Caller, prefer: str) -> None:
    answer = await ada.post("/tasks", {"title": "T"}, headers={"Prefer": prefer})
    assert accepted(answer, 201)["title"] == "T"
    assert "preference-applied" not in answer.headers


async def test_a_part_is_named_by_its_own_id(ada: Caller) -> None:
    task = await ada.task()
    answer = await ada.post(f"/tasks/{task['id']}/comments", {"body": "B"}, headers=MINIMAL)
    assert accepted(answer, 201)["id"] == answer.headers["location"].rpartition("/")[2] != task["id"]
    calendar = accepted(await ada.post("/users/me/calendar", {}, headers=MINIMAL), 201)
    assert calendar["id"] == ada.id, "what has no id of its own is the stream's"


async def test_a_command_answers_without_its_result(ada: Caller) -> None:
    sent = create("T")
    whole = await ada.post("/commands", sent)
    short = await ada.post("/commands", sent, headers=MINIMAL)
    assert accepted(short) == accepted(whole) | {"result": None, "replayed": True}
    assert short.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize("atomic", [False, True])
async def test_a_batch_answers_without_results(ada: Caller, atomic: bool) -> None:
    first = create("T")
    sent: list[Any] = [first, command("EditTask", f"${first['id']}", data={"title": "New"})]
    body = {"atomic": atomic, "commands": sent}
    short = await ada.post("/commands/batch", body, headers=MINIMAL)
    whole = await ada.post("/commands/batch", body)
    assert accepted(short)["results"] == [
        one | {"result": None, "replayed": False} for one in accepted(whole)["results"]
    ]
    assert short.headers["preference-applied"] == "return=minimal"
    assert short.headers["taskflow-position"] == whole.headers["taskflow-position"]
    assert accepted(whole)["results"][1]["result"]["title"] == "New"


async def test_a_refusal_is_whole(ada: Caller) -> None:
    problem = refused(await ada.post("/tasks", {"title": ""}, headers=MINIMAL), 400, "validation")
    assert problem["errors"]
