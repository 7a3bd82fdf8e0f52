"""`dry_run` on `POST /commands/batch`: what would come of the commands, and nothing is stored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from tests.api.stack import Caller, accepted, refused, replayed
from tests.api.test_batches import EITHER, command, create, head, history, results, send


async def tried(caller: Caller, *commands: Any, atomic: bool) -> httpx.Response:
    return await caller.post("/commands/batch", {"atomic": atomic, "dry_run": True, "commands": list(commands)})


@EITHER
async def test_a_dry_run_says_what_would_come_of_it_and_stores_nothing(ada: Caller, atomic: bool) -> None:
    task = await ada.task("one")
    first = create("two")
    sent = [
        command("EditTask", task["id"], data={"title": "x"}),
        first,
        command("EditTask", f"${first['id']}", data={"title": "three"}),
        command("ReopenTask", task["id"]),
    ]
    before = await head(ada)
    response = await tried(ada, *sent, atomic=atomic)
    answered = accepted(response)["results"]
    assert [one["id"] for one in answered] == [one["id"] for one in sent]
    assert [one["outcome"] for one in answered] == ["applied", "applied", "applied", "unchanged"]
    assert [one["version"] for one in answered] == [2, 1, 2, 2], "each on what those before it would leave"
    assert [one["result"]["title"] for one in answered] == ["x", "two", "three", "x"]
    assert [one["events"] and one["events"][0]["type"] for one in answered] == [
        "TaskRetitled",
        "TaskCreated",
        "TaskRetitled",
        [],
    ]
    assert {one["position"] for one in answered} | {event["position"] for event in answered[0]["events"]} == {0}
    assert not any(one["replayed"] for one in answered)
    assert "taskflow-position" not in response.headers
    assert "idempotency-replayed" not in response.headers
    assert await head(ada) == before + 1, "nothing was stored"
    assert await history(ada, task["id"]) == ["TaskCreated"]
    refused(await ada.get(f"/tasks/{answered[1]['result']['id']}"), 404, "not-found")
    # No receipt either: the same ids are commands that nobody has sent yet, whatever they say now.
    sent[0]["data"] = {"title": "y"}
    done = await results(ada, *sent, atomic=atomic)
    assert [(one["outcome"], one["replayed"]) for one in done[:3]] == [("applied", False)] * 3
    assert await history(ada, task["id"]) == ["TaskCreated", "TaskRetitled"]
    again = accepted(await tried(ada, *sent, atomic=atomic))["results"]
    assert again == replayed(done), "what was accepted is answered as it was"


async def test_a_dry_run_shows_each_refusal(ada: Caller, bob: Caller) -> None:
    task = await ada.task()
    known = create("known")
    accepted(await ada.post("/commands", known))
    orphan = create(project_id=str(uuid4()))
    sent = [
        command("EditTask", task["id"], data={"title": "lost", "status": "no such"}),
        command("EditTask", (await bob.task())["id"], data={"title": "x"}),
        command("EditTask", task["id"], expected_version=7, data={"title": "x"}),
        known | {"data": {"title": "other"}},
        orphan,
        create("Child", parent_id=f"${orphan['id']}"),
        command("EditTask", task["id"], expected_version=1, data={"title": "kept"}),
    ]
    before = await head(ada)
    response = await tried(ada, *sent, atomic=False)
    answered = accepted(response)["results"]
    assert [one["outcome"] for one in answered] == ["rejected"] * 6 + ["applied"]
    problems = [one["problem"] for one in answered[:6]]
    assert [(one["status"], one.get("code")) for one in problems] == [
        (409, "no-such-status"),
        (404, None),
        (412, None),
        (422, None),
        (404, None),
        (409, "reference"),
    ]
    # A refused command leaves nothing behind for those after it.
    assert (answered[6]["version"], answered[6]["result"]["title"]) == (2, "kept")
    assert await head(ada) == before + 1
    for one, body in zip(await results(ada, *sent[:2], atomic=False), answered, strict=False):
        assert one["problem"] == body["problem"]


async def test_a_dry_run_of_all_or_nothing_is_refused_as_that_would_be(ada: Caller) -> None:
    task = await ada.task()
    bad = command("EditTask", task["id"], data={"status": "no such"})
    sent = [create(), bad, create()]
    before = await head(ada)
    problem = refused(await tried(ada, *sent, atomic=True), 409, "command-rejected")
    assert (problem["command_id"], problem["code"]) == (bad["id"], "no-such-status")
    assert await head(ada) == before + 1
    assert refused(await send(ada, *sent, atomic=True), 409, "command-rejected") == problem
