"""Todoist's dates: what is understood, what is not, and the days that a rule then means."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from taskflow.commands.recurrence import next_occurrence
from taskflow.importer.todoist_dates import Repeat, due_time, first_due, repeat, rule, zone_of

STOCKHOLM, NEW_YORK, AUCKLAND = ZoneInfo("Europe/Stockholm"), ZoneInfo("America/New_York"), ZoneInfo("Pacific/Auckland")
NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
"""A Friday."""


@pytest.mark.parametrize(
    ("text", "zone", "due"),
    [
        ("2026-12-01", ZoneInfo("UTC"), "2026-12-01 23:59:59.999999+00:00"),
        ("2026-12-01", STOCKHOLM, "2026-12-01 22:59:59.999999+00:00"),
        ("2026-12-01", NEW_YORK, "2026-12-02 04:59:59.999999+00:00"),
        ("2026-07-01T10:00", STOCKHOLM, "2026-07-01 08:00:00+00:00"),
        ("2026-07-01T10:00:00Z", STOCKHOLM, "2026-07-01 10:00:00+00:00"),
        ("2026-07-01 10:00:00+05:30", STOCKHOLM, "2026-07-01 04:30:00+00:00"),
    ],
)
def test_a_day_is_due_at_its_end_and_a_time_then(text: str, zone: ZoneInfo, due: str) -> None:
    assert str(due_time(text, zone)) == due


@pytest.mark.parametrize("text", ["", "tomorrow", "1 Dec", "2026-02-30", "20261201", "2026", "9999-12-31", "every day"])
def test_anything_else_is_no_date(text: str) -> None:
    assert due_time(text, NEW_YORK) is None


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("every day", Repeat("DAILY")),
        ("Every  Week", Repeat("WEEKLY")),
        ("every monday", Repeat("WEEKLY", 1, 0)),
        ("every 2 weeks", Repeat("WEEKLY", 2)),
        ("every other sunday", Repeat("WEEKLY", 2, 6)),
        ("every month", Repeat("MONTHLY")),
        ("every 3 years", Repeat("YEARLY", 3)),
    ],
)
def test_simple_english_repeats(text: str, again: Repeat) -> None:
    assert repeat(text) == again


@pytest.mark.parametrize(
    "text",
    ["", "every", "every! day", "every 0 days", "every 1001 days", "every weekday", "every day at 9", "jeden Tag",
     "every monday, friday", "everyday", "every first monday", "every day starting tomorrow"],
)  # fmt: skip
def test_what_is_not_simple_is_not_guessed(text: str) -> None:
    assert repeat(text) is None


@pytest.mark.parametrize("zone", [ZoneInfo("UTC"), STOCKHOLM, NEW_YORK, AUCKLAND])
@pytest.mark.parametrize("weekday", range(7))
def test_every_weekday_is_that_day_where_the_list_is(zone: ZoneInfo, weekday: int) -> None:
    again = Repeat("WEEKLY", 1, weekday)
    due = first_due(again, NOW, zone)
    assert due >= NOW
    assert due.astimezone(zone).weekday() == weekday
    text = rule(again, due, zone)
    assert text is not None
    following = next_occurrence(text, due, due)
    assert following is not None
    assert (following.date() - due.date()).days == 7


def test_in_utc_a_rule_reads_as_people_expect() -> None:
    due = due_time("2026-11-30", ZoneInfo("UTC"))
    assert due is not None
    assert rule(Repeat("WEEKLY", 1, 0), due, ZoneInfo("UTC")) == "FREQ=WEEKLY;BYDAY=MO"
    assert rule(Repeat("DAILY", 3), due, ZoneInfo("UTC")) == "FREQ=DAILY;INTERVAL=3"


@pytest.mark.parametrize("name", ["Nowhere/At all", "../etc/passwd", "", "\0"])
def test_a_zone_that_there_is_not_is_none(name: str) -> None:
    assert zone_of(name) is None
