"""Todoist's dates: what is understood, what is not, and the days that a rule then means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from taskflow.commands.recurrence import next_slot
from taskflow.importer.todoist_dates import Repeat, due_of, first_due, in_zone, repeat, rule, said_at
from taskflow.streams.schedule import midnight

STOCKHOLM, NEW_YORK, AUCKLAND = "Europe/Stockholm", "America/New_York", "Pacific/Auckland"
NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
"""A Friday; in Auckland a Saturday."""


@pytest.mark.parametrize(
    ("text", "zone", "due"),
    [
        ("2026-12-01", "UTC", date(2026, 12, 1)),
        ("2026-12-01", NEW_YORK, date(2026, 12, 1)),
        ("2026-07-01T10:00", STOCKHOLM, datetime(2026, 7, 1, 8, tzinfo=UTC)),
        ("2026-12-01T10:00", STOCKHOLM, datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("2027-03-28T02:30", STOCKHOLM, datetime(2027, 3, 28, 1, 30, tzinfo=UTC)),
        ("2027-10-31T02:30", STOCKHOLM, datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
        ("2026-07-01T10:00:00Z", STOCKHOLM, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-07-01 10:00:00+05:30", STOCKHOLM, datetime(2026, 7, 1, 4, 30, tzinfo=UTC)),
    ],
)
def test_a_day_is_a_day_and_a_local_time_is_of_the_zone(text: str, zone: str, due: Any) -> None:
    found = in_zone(due_of(text), zone)
    assert (type(found), found) == (type(due), due)


def test_a_day_on_which_something_was_said_counts_as_its_end() -> None:
    assert str(said_at("2026-12-01")) == "2026-12-01 23:59:59.999999+00:00"
    assert str(said_at("2026-12-01T10:00")) == "2026-12-01 10:00:00+00:00"
    assert said_at("lately") is None


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "1 Dec", "2026-02-30", "20261201", "2026", "9999-12-31T23:59", "0001-01-01T00:00", "every day"],
)
def test_anything_else_is_no_date(text: str) -> None:
    assert due_of(text) is None


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


@pytest.mark.parametrize("zone", ["UTC", STOCKHOLM, NEW_YORK, AUCKLAND])
@pytest.mark.parametrize("weekday", range(7))
def test_every_weekday_is_that_day_where_the_list_is(zone: str, weekday: int) -> None:
    again = Repeat("WEEKLY", 1, weekday)
    due = first_due(again, NOW, zone)
    today = date(2026, 11, 28 if zone == AUCKLAND else 27)
    assert due.weekday() == weekday
    assert today <= due < today + timedelta(days=7)
    text = rule(again, due)
    assert text == f"FREQ=WEEKLY;BYDAY={('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')[weekday]}"
    assert next_slot(text, midnight(due), midnight(due), zone, days=True) == midnight(due + timedelta(days=7))


def test_a_time_repeats_in_the_zone() -> None:
    due = datetime(2027, 3, 22, 7, tzinfo=UTC)  # a Monday, 08:00 in Stockholm
    text = rule(Repeat("WEEKLY", 1, 0), due)
    assert text == "FREQ=WEEKLY;BYDAY=MO"
    assert next_slot(text, due, due, STOCKHOLM) == datetime(2027, 3, 29, 6, tzinfo=UTC)
    assert rule(Repeat("DAILY", 3), due) == "FREQ=DAILY;INTERVAL=3"
