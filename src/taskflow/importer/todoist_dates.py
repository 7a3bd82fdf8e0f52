"""Todoist's dates: a day, a time, or English for what repeats; what is simple there becomes a rule of RFC 5545.

A day alone is due at its end. Rules here are followed in UTC: the weekday of one is that of the due time there.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from taskflow.commands.recurrence import INTERVAL_MAX, checked
from taskflow.errors import Invalid

DAY_END: Final = time(23, 59, 59, 999_999)
"""As a task is due on that was given a day alone."""
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


def zone_of(name: str) -> ZoneInfo | None:
    """None where there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def due_time(text: str, zone: ZoneInfo) -> datetime | None:
    """Of an ISO date, its end in the zone; of an ISO time, that. None for anything else."""
    try:
        if len(text) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text), DAY_END, zone).astimezone(UTC)
        at = datetime.fromisoformat(text) if len(text) > len("2026-01-31") else None
        return None if at is None else (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


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


def in_words(again: Repeat) -> str:
    """As Todoist would say it."""
    what = (
        {unit: name for name, unit in _UNITS.items()}[again.unit] if again.weekday is None else _WEEKDAYS[again.weekday]
    )
    return f"every {what}" if again.interval == 1 else f"every {again.interval} {what}s"


def first_due(again: Repeat, now: datetime, zone: ZoneInfo) -> datetime:
    """Of what repeats and says no day: the end of today, or of the next such weekday."""
    today = now.astimezone(zone).date()
    if again.weekday is not None:
        today += timedelta(days=(again.weekday - today.weekday()) % 7)
    return datetime.combine(today, DAY_END, zone).astimezone(UTC)


def rule(again: Repeat, due_at: datetime, zone: ZoneInfo) -> str | None:
    """The rule, for a task that is due then. None where that could not be followed."""
    parts = [f"FREQ={again.unit}"]
    if again.interval > 1:
        parts.append(f"INTERVAL={again.interval}")
    if again.weekday is not None:
        later: timedelta = due_at.date() - due_at.astimezone(zone).date()
        parts.append(f"BYDAY={_CODES[(again.weekday + later.days) % 7]}")
    try:
        return checked(";".join(parts), due_at)
    except (Invalid, OverflowError):
        return None
