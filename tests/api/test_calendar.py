"""A feed of due tasks, read by a parser of calendars that is not ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from icalendar import Calendar

from taskflow.api.calendar_file import TEXT_BYTES_MAX, TRUNCATION_NOTICE
from tests.api.stack import Caller, accepted, refused, until

DUE = datetime(2031, 3, 1, 12, 30, 15, tzinfo=UTC)


async def _opened(caller: Caller) -> dict[str, Any]:
    return accepted(await caller.post("/users/me/calendar"), 201)


async def _events(http: httpx.AsyncClient, calendar: dict[str, Any]) -> list[Any]:
    response = await http.get(f"/api/v1/calendar/{calendar['secret']}.ics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/calendar; charset=utf-8"
    return [part for part in Calendar.from_ical(response.content).walk() if part.name == "VEVENT"]


async def _titles(http: httpx.AsyncClient, calendar: dict[str, Any]) -> list[str]:
    return [str(event["summary"]) for event in await _events(http, calendar)]


async def test_due_tasks_are_in_it_in_order_and_others_are_not(ada: Caller, http: httpx.AsyncClient) -> None:
    text = "Ünïcode; with, marks\\ and\na second line"
    task = await ada.task("later", due_at=(DUE + timedelta(days=1)).isoformat(), description=text, labels=["x", "y"])
    await ada.task("sooner ✓ " + "long " * 60, due_at=DUE.isoformat())
    await ada.task("without a date")
    done = await ada.task("done", due_at=DUE.isoformat())
    await ada.post(f"/tasks/{done['id']}/complete")
    gone = await ada.task("trashed", due_at=DUE.isoformat())
    position = accepted(await ada.delete(f"/tasks/{gone['id']}"))["position"]
    await ada.read("/tasks", position)
    calendar = await _opened(ada)

    async def all_there() -> bool:
        return len(await _events(http, calendar)) == 2

    await until(all_there, "both due tasks are in the feed, and no other")
    sooner, later = await _events(http, calendar)
    assert sooner["summary"].strip() == ("sooner ✓ " + "long " * 60).strip()
    assert sooner["dtstart"].dt == DUE
    assert (later["summary"], later["description"]) == ("later", text)
    assert later["uid"] == f"{task['id']}@taskflow"
    assert [str(one) for one in later["categories"].cats] == ["x", "y"]


async def test_a_new_secret_ends_the_one_before(
    ada: Caller, http: httpx.AsyncClient, other_http: httpx.AsyncClient
) -> None:
    first, second = await _opened(ada), await _opened(ada)
    assert first["secret"] != second["secret"]
    refused(await http.get(f"/api/v1/calendar/{first['secret']}.ics"), 404, "not-found")
    assert await _events(other_http, second) == []


async def test_a_repeat_has_the_same_secret(ada: Caller) -> None:
    key = {"Idempotency-Key": "calendar"}
    first = await ada.post("/users/me/calendar", headers=key)
    again = await ada.post("/users/me/calendar", headers=key)
    assert accepted(again, 201) == accepted(first, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert first.headers["location"] == f"/api/v1/calendar/{first.json()['secret']}.ics"


async def test_what_was_not_made_here_is_no_feed(ada: Caller, http: httpx.AsyncClient) -> None:
    secret = (await _opened(ada))["secret"]
    for forged in ("x", secret[:-2] + "AA", "A" * len(secret), "%00", "é"):
        refused(await http.get(f"/api/v1/calendar/{forged}.ics"), 404, "not-found")
    refused(await http.get(f"/api/v1/calendar/{secret}"), 404, "not-found")


async def test_an_archived_project_is_not_in_it(ada: Caller, http: httpx.AsyncClient) -> None:
    project = await ada.project()
    await ada.task("in the archive", due_at=DUE.isoformat(), project_id=project["id"])
    await ada.task("at hand", due_at=DUE.isoformat())
    calendar = await _opened(ada)

    async def shows(*titles: str) -> None:
        async def there() -> bool:
            return await _titles(http, calendar) == [*titles]

        await until(there, f"the feed has {titles}")

    await shows("in the archive", "at hand")
    accepted(await ada.delete(f"/projects/{project['id']}"))
    await shows("at hand")
    accepted(await ada.post(f"/projects/{project['id']}/unarchive"))
    await shows("in the archive", "at hand")


async def test_a_project_that_was_left_is_no_longer_in_it(ada: Caller, bob: Caller, http: httpx.AsyncClient) -> None:
    project = (await ada.project())["id"]
    await ada.add(project, bob)
    await ada.task("shared", project_id=project, due_at=DUE.isoformat())
    calendar = await _opened(bob)

    async def there() -> bool:
        return await _titles(http, calendar) == ["shared"]

    await until(there, "the shared task is in the feed")
    accepted(await bob.delete(f"/projects/{project}/members/{bob.id}"))
    assert await _titles(http, calendar) == []


async def test_nothing_changed_is_not_sent_again(ada: Caller, http: httpx.AsyncClient) -> None:
    path = f"/api/v1/calendar/{(await _opened(ada))['secret']}.ics"
    first = await http.get(path)
    assert (await http.get(path, headers={"If-None-Match": first.headers["etag"]})).status_code == 304


async def test_what_is_due_at_the_end_of_the_calendar_is_in_it(ada: Caller, http: httpx.AsyncClient) -> None:
    await ada.task("far", due_at="9999-12-31T23:59:59.999999Z")
    await ada.task("almost", due_at="9999-12-31T23:45:00Z")
    await ada.task("long ago", due_at="0001-01-01T00:00:00Z")
    position = (await ada.task("sooner", due_at=DUE.isoformat()))["position"]
    await ada.read("/tasks", position)
    calendar = await _opened(ada)

    async def all_there() -> bool:
        return await _titles(http, calendar) == ["long ago", "sooner", "almost", "far"]

    await until(all_there, "all of them are in the feed")
    ends = [event["dtend"].dt for event in await _events(http, calendar)]
    assert ends[-2:] == [datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)] * 2


async def test_no_text_makes_lines_of_its_own(ada: Caller, http: httpx.AsyncClient) -> None:
    evil = "a\rEND:VEVENT\r\nBEGIN:VEVENT\x00\x0b\x7f\nb"
    accepted(await ada.patch("/users/me", {"name": evil}))
    task = await ada.task(evil, description=evil, labels=[evil], due_at=DUE.isoformat())
    await ada.read("/tasks", task["position"])
    calendar = await _opened(ada)

    async def there() -> bool:
        return len(await _events(http, calendar)) == 1

    await until(there, "the task is in the feed")
    body = (await http.get(f"/api/v1/calendar/{calendar['secret']}.ics")).content
    assert not set(body.replace(b"\r\n", b"")) & {*range(32), 127}
    (event,) = await _events(http, calendar)
    assert event["summary"] == event["description"] == "a\nEND:VEVENT\nBEGIN:VEVENT\nb"


async def test_long_texts_are_cut_and_say_so(ada: Caller, http: httpx.AsyncClient) -> None:
    short, long = "ü" * (TEXT_BYTES_MAX // 2), "ü" * 50_000
    await ada.task("short", description=short, due_at=DUE.isoformat())
    labels = [f"{index} " + "ü" * 90 for index in range(50)]
    task = await ada.task("long", description=long, labels=labels, due_at=(DUE + timedelta(days=1)).isoformat())
    await ada.read("/tasks", task["position"])
    calendar = await _opened(ada)

    async def both_there() -> bool:
        return await _titles(http, calendar) == ["short", "long"]

    await until(both_there, "both tasks are in the feed")
    whole, cut = await _events(http, calendar)
    assert whole["description"] == short
    assert TEXT_BYTES_MAX - 2 <= len(cut["description"].encode()) <= TEXT_BYTES_MAX
    assert cut["description"].endswith(TRUNCATION_NOTICE)
    assert long.startswith(cut["description"].removesuffix(TRUNCATION_NOTICE))
    shown = [str(one) for one in cut["categories"].cats]
    assert shown == labels[: len(shown)]
    assert 0 < len(shown) < len(labels)


async def test_a_change_is_in_the_feed_at_the_next_look(ada: Caller, http: httpx.AsyncClient) -> None:
    task = await ada.task("before", due_at=DUE.isoformat())
    calendar = await _opened(ada)
    await ada.read("/tasks", task["position"])

    async def titled(title: str) -> None:
        async def shows_it() -> bool:
            return await _titles(http, calendar) == [title]

        await until(shows_it, f"the feed says {title}")

    await titled("before")
    path = f"/api/v1/calendar/{calendar['secret']}.ics"
    etag = (await http.get(path)).headers["etag"]
    position = accepted(await ada.patch(f"/tasks/{task['id']}", {"title": "after"}))["position"]
    await ada.read("/tasks", position)
    await titled("after")
    assert (await http.get(path)).headers["etag"] != etag
