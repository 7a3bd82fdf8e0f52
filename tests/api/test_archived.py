"""Tasks of archived projects: apart from all others, until their project is unarchived."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.stack import Caller, accepted


async def _titles(caller: Caller, position: int, **parameters: Any) -> list[str]:
    body = accepted(await caller.read("/tasks", position, **parameters))
    assert body["next_cursor"] is None
    return [one["title"] for one in body["items"]]


async def test_are_in_lists_where_they_are_asked_for(ada: Caller, other_http: httpx.AsyncClient) -> None:
    there, kept = await ada.project("there"), await ada.project("kept")
    due = {"due_at": "2031-01-01T12:00:00Z", "labels": ["q4"]}
    await ada.task("party elsewhere", project_id=kept["id"], **due)
    await ada.task("party over", project_id=there["id"], **due)
    archived = accepted(await ada.delete(f"/projects/{there['id']}"))
    elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
    for caller in (ada, elsewhere):
        for asked in ({}, {"q": "party"}, {"label": "q4", "sort": "due_at"}, {"category": "todo"}, {"status": "todo"}):
            assert await _titles(caller, archived["position"], **asked) == ["party elsewhere"], asked
            assert await _titles(caller, archived["position"], archived="false", **asked) == ["party elsewhere"]
            assert await _titles(caller, archived["position"], archived="true", **asked) == ["party over"]
            assert await _titles(caller, archived["position"], project=there["id"], **asked) == ["party over"]
        both = {"project": [there["id"], kept["id"]], "sort": "created_at"}
        assert await _titles(caller, archived["position"], **both) == ["party elsewhere", "party over"]
        assert await _titles(caller, archived["position"], **both, archived="true") == ["party over"]
        assert await _titles(caller, archived["position"], **both, archived="false") == ["party elsewhere"]


async def test_come_and_go_with_their_project_at_once(ada: Caller, other_http: httpx.AsyncClient) -> None:
    """A page that is kept in memory holds none of them any more, and has them again."""
    project = await ada.project()
    await ada.task("due", project_id=project["id"], due_at="2031-01-01T12:00:00Z")
    elsewhere = Caller(other_http, ada.id, ada.name, ada.token)
    for _ in range(5):
        archived = accepted(await ada.delete(f"/projects/{project['id']}"))
        for caller in (elsewhere, ada):
            assert await _titles(caller, archived["position"]) == []
        open_again = accepted(await ada.post(f"/projects/{project['id']}/unarchive"))
        for caller in (elsewhere, ada):
            assert await _titles(caller, open_again["position"]) == ["due"]


async def test_a_saved_view_says_whether_it_shows_them(ada: Caller) -> None:
    for value in (True, False, "true"):
        saved = accepted(await ada.post("/views", {"name": "old", "query": {"archived": value}}), 201)
        assert saved["query"] == {"archived": value}
    response = await ada.post("/views", {"name": "old", "query": {"archived": "maybe"}})
    assert response.status_code == 400
    assert [one["pointer"] for one in response.json()["errors"]] == ["/query/archived"]
