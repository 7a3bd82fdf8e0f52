"""A due and its rule as a calendar's lines; and the clocks of a zone, read by a parser that is not ours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from io import StringIO
from itertools import islice
from typing import Any

import msgspec
import pytest
from dateutil.rrule import rrulestr
from dateutil.tz import tzical
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Event
from tests.unit.test_schedule import Story, utc

from taskflow.api.calendar_due import COUNTED_MAX, add_due, clocks_of
from taskflow.dates.time_zones import zone_of
from taskflow.projections.declarations.tasks import TaskFacts, facts

BERLIN, AUCKLAND = "Europe/Berlin", "Pacific/Auckland"


def lines(story: Story) -> list[str]:
    event = Event()
    add_due(event, msgspec.json.decode(facts(story.state), type=TaskFacts), story.state.series)
    return [line for line in event.to_ical().decode().split("\r\n") if line and "VEVENT" not in line]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"due_on": date(2027, 1, 15), "time_zone": BERLIN}, ["DTSTART;VALUE=DATE:20270115"]),
        ({"due_at": utc("2027-01-15T07:00:00.5")}, ["DTSTART:20270115T070000Z", "DTEND:20270115T073000Z"]),
        (
            {"due_at": utc("2027-01-15T07:00"), "time_zone": BERLIN},
            ["DTSTART;TZID=Europe/Berlin:20270115T080000", "DURATION:PT30M"],
        ),
        # The second of two times that the clocks show alike can only be said in UTC.
        (
            {"due_at": utc("2027-10-31T00:30"), "time_zone": BERLIN},
            ["DTSTART;TZID=Europe/Berlin:20271031T023000", "DURATION:PT30M"],
        ),
        ({"due_at": utc("2027-10-31T01:30"), "time_zone": BERLIN}, ["DTSTART:20271031T013000Z", "DTEND:20271031T020000Z"]),
        # What the clocks will do then nobody writes out.
        ({"due_at": utc("2400-01-15T07:00"), "time_zone": BERLIN}, ["DTSTART:24000115T070000Z", "DTEND:24000115T073000Z"]),
        (
            {"due_on": date(2027, 1, 18), "time_zone": AUCKLAND, "recurrence": "FREQ=WEEKLY;BYDAY=MO;UNTIL=20310101"},
            ["DTSTART;VALUE=DATE:20270118", "RRULE:FREQ=WEEKLY;UNTIL=20310101;BYDAY=MO"],
        ),
        (
            {"due_at": utc("2027-01-15T07:00"), "time_zone": BERLIN, "recurrence": "FREQ=DAILY;COUNT=3"},
            ["DTSTART;TZID=Europe/Berlin:20270115T080000", "DURATION:PT30M", "RRULE:FREQ=DAILY;COUNT=3"],
        ),
        (
            {"due_at": utc("2027-01-15T07:00"), "recurrence": "FREQ=DAILY"},
            ["DTSTART:20270115T070000Z", "DTEND:20270115T073000Z", "RRULE:FREQ=DAILY"],
        ),
        # A Friday is no slot of Mondays: the rule would be counted from it all the same.
        (
            {"due_on": date(2027, 1, 15), "recurrence": "FREQ=WEEKLY;BYDAY=MO"},
            ["DTSTART;VALUE=DATE:20270115"],
        ),
        (
            {"due_on": date(2027, 1, 15), "recurrence": f"FREQ=DAILY;COUNT={COUNTED_MAX + 1}"},
            ["DTSTART;VALUE=DATE:20270115"],
        ),
    ],
)  # fmt: skip
def test_a_due_is_said_as_what_it_is(body: dict[str, Any], expected: list[str]) -> None:
    assert lines(Story(**body)) == expected


def test_a_count_is_of_those_that_are_left() -> None:
    story = Story(due_on=date(2027, 1, 15), recurrence="FREQ=DAILY;COUNT=3")
    story.complete()
    assert lines(story) == ["DTSTART;VALUE=DATE:20270116", "RRULE:FREQ=DAILY;COUNT=2"]
    story.complete()
    assert lines(story) == ["DTSTART;VALUE=DATE:20270117", "RRULE:FREQ=DAILY;COUNT=1"]


def test_an_occurrence_that_was_moved_is_said_alone() -> None:
    story = Story(due_at=utc("2027-01-15T07:00"), time_zone=BERLIN, recurrence="FREQ=DAILY")
    story.edit(due_at=utc("2027-01-15T09:00"))
    assert lines(story) == ["DTSTART;TZID=Europe/Berlin:20270115T100000", "DURATION:PT30M"]
    story.complete()
    assert lines(story)[-1] == "RRULE:FREQ=DAILY"


def test_one_that_the_clocks_moved_too() -> None:
    """Counted from 03:30, what follows would be at 03:30."""
    story = Story(due_at=utc("2027-03-27T01:30"), time_zone=BERLIN, recurrence="FREQ=DAILY")
    assert lines(story)[-1] == "RRULE:FREQ=DAILY"
    story.complete()
    assert lines(story) == ["DTSTART;TZID=Europe/Berlin:20270328T033000", "DURATION:PT30M"]
    story.complete()
    assert lines(story)[-1] == "RRULE:FREQ=DAILY"


@given(
    st.sampled_from(["FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", "FREQ=MONTHLY", "FREQ=YEARLY"]),
    st.none() | st.integers(1, 20),
    st.datetimes(datetime(2027, 1, 1), datetime(2028, 12, 31)),  # noqa: DTZ001 - a local time
    st.integers(0, 6),
)  # fmt: skip
def test_what_a_calendar_makes_of_it_are_the_slots_that_follow(
    rule: str, count: int | None, local: datetime, completed: int
) -> None:
    rule += "" if count is None else f";COUNT={count}"
    due_at = local.replace(microsecond=0, hour=12, tzinfo=zone_of(BERLIN))
    story = Story(at=utc("2026-12-01"), due_at=due_at, time_zone=BERLIN, recurrence=rule)
    for _ in range(completed):
        if story.complete() == "done":
            return
    *_, last = lines(story)
    if not last.startswith("RRULE"):
        return
    start = story.state.due_at.astimezone(zone_of(BERLIN)).replace(tzinfo=None)
    expected = [at.replace(tzinfo=zone_of(BERLIN)) for at in islice(rrulestr(last, dtstart=start), 5)]
    found = [story.state.due_at]
    while len(found) < 5 and (at := story.complete()) != "done":
        found.append(at)
    assert found == expected


@pytest.mark.parametrize(
    "name",
    [BERLIN, AUCKLAND, "Australia/Lord_Howe", "America/New_York", "Asia/Kolkata", "Asia/Gaza", "Africa/Casablanca"],
)
def test_the_clocks_of_a_zone_are_those_that_everybody_knows(name: str) -> None:
    told = tzical(StringIO(clocks_of(name, 2026, 2030).to_ical().decode())).get()
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    while at.year < 2031:
        there = at.astimezone(zone_of(name))
        twice = there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset()
        assert twice or at.astimezone(told).utcoffset() == there.utcoffset(), at
        at += timedelta(hours=7)
