"""Todoist's dates: a day, a time, or English for what repeats; what is simple there becomes a rule of RFC 5545.

A day alone is a day here too. A local time is of the zone that the file names, else of that of whoever imports.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct

from taskflow.dates.time_zones import UTC_NAME, day_end, to_local, to_moment, zone_of
from taskflow.importer.contract import INTERVAL_MAX

Due = datetime | date
"""A day; a moment; or, without a zone, a local time."""
_YEARS: Final = (1, 9999)
"""Between which a local time is a moment in any zone."""
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CODES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_UNITS: Final = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
_EVERY: Final = re.compile(
    rf"every (?:(?P<count>[1-9][0-9]{{0,3}}|other) )?(?P<what>{'|'.join((*_UNITS, *_WEEKDAYS))})s?", re.IGNORECASE
)


class Repeat(Struct, frozen=True):
    """Every so many days, weeks, months or years; `weekday`: on that one, Monday 0."""

    unit: str
    interval: int = 1
    weekday: int | None = None


def due_of(text: str) -> Due | None:
    """An ISO date is a day, an ISO time a moment, or a local time where it says no offset. None for anything else."""
    try:
        if len(text) == len("2026-01-31"):
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text) if len(text) > len("2026-01-31") else None
    except ValueError:
        return None
    if at is None or not _YEARS[0] < at.year < _YEARS[1]:
        return None
    return at.astimezone(UTC) if at.tzinfo else at


def in_zone(due: Due | None, zone: str) -> datetime | date | None:
    """A local time as the moment that it is there."""
    return to_moment(due, zone_of(zone)) if isinstance(due, datetime) and due.tzinfo is None else due


def said_at(text: str) -> datetime | None:
    """When something was said: a day alone is its end, UTC."""
    at = in_zone(due_of(text), UTC_NAME)
    return at if at is None or isinstance(at, datetime) else day_end(at, zone_of(UTC_NAME))


def repeat(text: str) -> Repeat | None:
    """None for what is not simple."""
    found = _EVERY.fullmatch(" ".join(text.split()))
    if found is None:
        return None
    count, what = found["count"], found["what"].lower()
    interval = 2 if count and count.lower() == "other" else int(count or 1)
    if interval > INTERVAL_MAX:
        return None
    return Repeat(_UNITS[what], interval) if what in _UNITS else Repeat("WEEKLY", interval, _WEEKDAYS.index(what))


def describe(again: Repeat) -> str:
    """As Todoist would say it."""
    what = (
        {unit: name for name, unit in _UNITS.items()}[again.unit] if again.weekday is None else _WEEKDAYS[again.weekday]
    )
    return f"every {what}" if again.interval == 1 else f"every {again.interval} {what}s"


def first_due(again: Repeat, now: datetime, zone: str) -> date:
    """Of what repeats and says no day: today, or the next such weekday."""
    today = to_local(now, zone_of(zone)).date()
    return today if again.weekday is None else today + timedelta(days=(again.weekday - today.weekday()) % 7)


def rule(again: Repeat, due: datetime | date) -> str | None:
    """The rule, for a task that is due then. None where the calendar ends before it could be followed."""
    if due.year >= _YEARS[1]:
        return None
    parts = [f"FREQ={again.unit}"]
    if again.interval > 1:
        parts.append(f"INTERVAL={again.interval}")
    if again.weekday is not None:
        parts.append(f"BYDAY={_CODES[again.weekday]}")
    return ";".join(parts)
