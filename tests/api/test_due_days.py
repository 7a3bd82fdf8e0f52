"""Days and zones over HTTP: as they are set, listed, fed to calendars, undone, and exported and imported again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from icalendar import Calendar

from tests.api.stack import Caller, Stack, accepted, refused, until
from tests.api.test_export import imported

BERLIN, AUCKLAND = "Europe/Berlin", "Pacific/Auckland"
SHOWN = ("due_at", "due_on", "time_zone", "recurrence")


def of(body: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(body[name] for name in SHOWN)


async def test_a_day_is_of_the_writers_zone_unless_one_is_named(ada: Caller) -> None:
    accepted(await ada.patch("/users/me", {"settings": {"time_zone": AUCKLAND}}))
    assert of(await ada.task()) == (None, None, None, None)
    task = await ada.task(due_on="2031-01-15")
    assert of(task) == (None, "2031-01-15", AUCKLAND, None)
    body = accepted(await ada.patch(f"/tasks/{task['id']}", {"due_at": "2031-01-16T09:00:00Z"}))
    assert (of(body), body["version"]) == (("2031-01-16T09:00:00.000000Z", None, AUCKLAND, None), 2)
    body = accepted(await ada.post(f"/tasks/{task['id']}/undo"))
    assert (of(body), body["version"]) == ((None, "2031-01-15", AUCKLAND, None), 3)
    assert of(await ada.task(due_on="2031-01-15", time_zone=BERLIN)) == (None, "2031-01-15", BERLIN, None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"due_at": "2031-01-15T00:00:00Z", "due_on": "2031-01-15"}, "/due_on"),
        ({"due_on": "2031-02-30"}, "/due_on"),
        ({"due_on": "2031-01-15T00:00:00Z"}, "/due_on"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"due_on": "2031-01-15", "recurrence": "FREQ=DAILY;BYHOUR=9"}, "/recurrence"),
        ({"due_on": "2031-01-15", "recurrence": "FREQ=DAILY;UNTIL=20310201T000000Z"}, "/recurrence"),
    ],
)
async def test_what_is_none_is_400_and_says_where(ada: Caller, body: dict[str, Any], pointer: str) -> None:
    task = await ada.task()
    for response in (await ada.post("/tasks", {"title": "x"} | body), await ada.patch(f"/tasks/{task['id']}", body)):
        assert [fault["pointer"] for fault in refused(response, 400, "validation")["errors"]] == [pointer]
    refused(await ada.patch("/users/me", {"settings": {"time_zone": "Berlin"}}), 400, "validation")


async def test_a_day_counts_and_sorts_as_its_end(ada: Caller) -> None:
    project = (await ada.project())["id"]
    where = {"project_id": project}
    await ada.task("west", due_on="2031-01-15", time_zone="America/New_York", **where)
    await ada.task("noon", due_at="2031-01-15T12:00:00Z", **where)
    await ada.task("none", **where)
    east = await ada.task("east", due_on="2031-01-15", time_zone=AUCKLAND, **where)

    async def titles(**asked: Any) -> list[str]:
        found = accepted(await ada.read("/tasks", east["position"], project=project, sort="due_at", **asked))
        return [one["title"] for one in found["items"]]

    assert await titles() == ["east", "noon", "west", "none"]
    end = "2031-01-15T10:59:59.999999Z"  # in Auckland
    assert await titles(due_before=end) == []
    assert await titles(due_after=end, due_before="2031-01-15T12:00:00Z") == ["east"]
    assert await titles(due_after="2031-01-16T04:59:59.999999Z") == ["west"]


async def test_a_feed_has_days_and_local_times(ada: Caller, http: httpx.AsyncClient) -> None:
    calendar = accepted(await ada.post("/users/me/calendar"), 201)
    await ada.task("day", due_on="2031-01-13", time_zone=AUCKLAND, recurrence="FREQ=WEEKLY;BYDAY=MO")
    await ada.task("time", due_at="2031-01-15T07:00:00Z", time_zone=BERLIN, recurrence="FREQ=DAILY;COUNT=3")
    path = f"/api/v1/calendar/{calendar['secret']}.ics"

    async def both_there() -> bool:
        return (await http.get(path)).text.count("BEGIN:VEVENT") == 2

    await until(both_there, "both tasks are in the feed")
    text = (await http.get(path)).text.replace("\r\n", "\n")
    for line in (
        "DTSTART;VALUE=DATE:20310113",
        "RRULE:FREQ=WEEKLY;BYDAY=MO",
        "DTSTART;TZID=Europe/Berlin:20310115T080000",
        "RRULE:FREQ=DAILY;COUNT=3",
    ):
        assert f"\n{line}\n" in text
    zones = [part for part in Calendar.from_ical(text).walk() if part.name == "VTIMEZONE"]
    assert [str(zone["tzid"]) for zone in zones] == [BERLIN]


async def test_a_series_goes_on_where_its_export_is_imported(stack: Stack, ada: Caller, tmp_path: Path) -> None:
    project = (await ada.project())["id"]
    task = await ada.task(
        project_id=project, due_at="2031-03-28T07:00:00Z", time_zone=BERLIN, recurrence="FREQ=DAILY;COUNT=3"
    )
    accepted(await ada.post(f"/tasks/{task['id']}/complete"))
    moved = accepted(await ada.patch(f"/tasks/{task['id']}", {"due_on": "2031-03-30"}))
    for accept, name in (("application/json", "export.json"), ("text/csv", "export.csv")):
        parameters = {"min_position": moved["position"], "wait_ms": 10_000}
        path = f"/projects/{project}/export"
        response = await ada.get(path, params=parameters, headers={"Accept": accept})
        file = tmp_path / name
        file.write_bytes(response.content)
        made = await imported(ada, file)
        (there,) = accepted(await ada.read("/tasks", made.position, project=str(made.project_id)))["items"]
        assert of(there) == of(moved) == (None, "2031-03-30", BERLIN, "FREQ=DAILY;COUNT=3")
    # 08:00 in Berlin, which has summer time by then; and the second of three was completed before.
    body = accepted(await ada.post(f"/tasks/{there['id']}/complete"))
    assert of(body)[:2] == ("2031-03-30T06:00:00.000000Z", None)
    assert accepted(await ada.post(f"/tasks/{there['id']}/complete"))["status"] == "done"
