"""Full text over HTTP: by words however they are written, beside every other filter, in the caller's projects alone."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.stack import Caller, accepted, refused


async def found(caller: Caller, position: int, **parameters: Any) -> list[str]:
    body = accepted(await caller.read("/tasks", position, **parameters))
    return [one["title"] for one in body["items"]]


async def test_words_of_the_title_and_the_description_find_a_task(ada: Caller) -> None:
    await ada.task("Write the quarterly report", description="for **Zoë** in Łódź, 日本語も")
    last = await ada.task("Call Zoe", description="about report 7")
    for q in ("rep", "REPORT quart", "report write", "lodz", "日本", "語", "zoë łódź"):
        assert await found(ada, last["position"], q=q) == ["Write the quarterly report"] or q == "rep", q
    assert len(await found(ada, last["position"], q="rep")) == 2
    assert len(await found(ada, last["position"], q="zoe")) == 2
    assert await found(ada, last["position"], q="report 7") == ["Call Zoe"]
    for q in ("port", "report 8", "本日", "nothing"):
        assert await found(ada, last["position"], q=q) == [], q


async def test_what_is_said_anew_is_found_anew(ada: Caller) -> None:
    task = await ada.task("before", description="kept")
    patched = accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "after"}))
    assert await found(ada, patched["position"], q="before") == []
    assert await found(ada, patched["position"], q="after kept") == ["after"]
    trashed = accepted(await ada.delete(f"/tasks/{task['id']}"))
    assert await found(ada, trashed["position"], q="after") == []
    assert await found(ada, trashed["position"], q="after", trashed="true") == ["after"]


async def test_it_goes_with_every_other_filter_order_and_cursor(ada: Caller) -> None:
    project = await ada.project()
    where = {"project_id": project["id"]}
    position = 0
    for n in range(5):
        position = (await ada.task(f"report {n}", priority="high" if n % 2 else "low", labels=["a"], **where))[
            "position"
        ]
        await ada.task("other", labels=["a"], **where)
        await ada.task("report elsewhere", labels=["a"])
    wanted = {"q": "report", "project": project["id"], "label": "a", "limit": 2, "sort": "-created_at"}
    titles, cursor = [], None
    while True:
        body = accepted(await ada.read("/tasks", position, **wanted, **({"cursor": cursor} if cursor else {})))
        titles += [one["title"] for one in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert titles == [f"report {n}" for n in (4, 3, 2, 1, 0)]
    assert await found(ada, position, **wanted | {"priority": "high"}) == ["report 3", "report 1"]
    assert await found(ada, position, **wanted | {"assignee": "me"}) == []
    assert await found(ada, position, **wanted | {"assignee": "none"}) == ["report 4", "report 3"]
    assert await found(ada, position, **wanted | {"category": "done"}) == []


@pytest.mark.parametrize(
    "q", ["🎉", "", " ", "\u3000", "…?!", "-", "\x00", "\u0301", "\u200b", "👩‍👩‍👧‍👦 🎉", "🎉" * 200]
)
async def test_nothing_to_look_for_finds_nothing(ada: Caller, q: str) -> None:
    """Whoever types has typed this before the first letter; what is pasted may be no word at all."""
    task = await ada.task(f"party {q}".strip())
    view = accepted(await ada.post("/views", {"name": "party", "query": {"q": q}}), 201)
    assert view["query"] == {"q": q}
    for more in ({}, {"sort": "-due_at", "limit": 1}, {"project": task["project_id"], "status": "todo"}):
        body = accepted(await ada.read("/tasks", view["position"], q=q, **more))
        assert body == {"items": [], "next_cursor": None}
    assert await found(ada, task["position"], q=f"{q} part"[-200:]) == [task["title"]]


@pytest.mark.parametrize("raw", ["%ED%A0%80", "a%ED%B0%80", "%F0%9F%8E", "%ff", "%C0%80"])
async def test_what_is_no_text_is_refused(ada: Caller, raw: str) -> None:
    """Half of a surrogate pair, half of a character, and what UTF-8 never holds."""
    refused(await ada.get(f"/tasks?q={raw}"), 400, "validation")


async def test_strangers_find_nothing(ada: Caller, bob: Caller) -> None:
    word = uuid4().hex
    task = await ada.task(word)
    assert await found(ada, task["position"], q=word) == [word]
    assert await found(bob, task["position"], q=word) == []
    refused(await bob.get("/tasks", params={"q": word, "project": task["project_id"]}), 404, "not-found")


@pytest.mark.parametrize("q", ["$where", '{"$gt": ""}', ".*", "^a", "a|b", "(", "[a", "a\\", "\x00a", "' or 1=1 --"])
async def test_a_query_is_words_and_nothing_else(ada: Caller, q: str, other_http: httpx.AsyncClient) -> None:
    task = await ada.task("zebra")
    elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
    for caller in (ada, elsewhere):
        response = await caller.read("/tasks", task["position"], q=q)
        if response.status_code != 400:
            assert accepted(response)["items"] == []


async def test_a_large_text_is_found_by_its_words(ada: Caller) -> None:
    text = " ".join(f"word{n}" for n in range(9_000))
    task = await ada.task("long", description=text)
    assert await found(ada, task["position"], q="word7 word1200") == ["long"]
    again = accepted(await ada.patch(f"/tasks/{task['id']}", {"description": "日" * 30_000}))
    assert await found(ada, again["position"], q="日日日") == ["long"]
