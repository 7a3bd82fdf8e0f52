"""Writes a task's due and recurrence rule in iCalendar (RFC 5545): a day, a local time with its zone, or a time in UTC.

The rule is written only if the due is at a slot of the rule, from which calendars then count. An occurrence that was
moved by a person or by a change of clocks is written alone.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard, vRecur

from taskflow.commands.recurrence import next_slot, slots
from taskflow.dates.time_zones import UTC_NAME, to_local, to_moment, zone_of
from taskflow.streams.schedule import midnight

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from icalendar import Event

    from taskflow.projections.declarations.tasks import TaskFacts
    from taskflow.streams.schedule import Series

ENTRY_LENGTH: Final = timedelta(minutes=30)
"""Length of a calendar entry: a due time is a moment, and calendars show only entries with a length."""
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC, microsecond=0)
"""The last moment of the calendar, where every entry ends at the latest."""
COUNTED_MAX: Final = 100
"""Occurrences that are counted for one rule; a rule with a greater COUNT is not written."""
YEARS: Final = range(1970, 2100)
"""Years in which a local time is written with its zone: the zone's changes of clocks have to be written out."""
YEARS_AHEAD: Final = 10
"""Years after the last due for which changes of clocks are written out, for tasks that recur."""
ZONES_KEPT_MAX: Final = 256
_STEP: Final = timedelta(days=4)
"""Shorter than the time between any two changes of a zone's clocks."""
_COUNT: Final = re.compile(r";COUNT=([0-9]+)")
_UTC: Final = frozenset((UTC_NAME, "Etc/UTC", "UCT", "Etc/UCT", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal"))


def add_due(event: Event, task: TaskFacts, series: Series | None) -> str | None:
    """Adds the due and the rule to an event; returns the zone that the calendar has to define for it, if any."""
    zone: str | None = None
    if task.due_on is not None:
        event.add("dtstart", task.due_on)
        slot = midnight(task.due_on)
    else:
        slot = moment(task.due_at or "")
        zone = _local_zone(slot, task.time_zone)
        event.add("dtstart", slot if zone is None else slot.astimezone(zone_of(zone)))
        if zone is None:
            event.add("dtend", slot + min(ENTRY_LENGTH, LAST_MOMENT - slot))
        else:
            event.add("duration", ENTRY_LENGTH)
    if zone is not None or task.due_on is not None or task.time_zone in _UTC:
        rule = _rule(task, series, slot)
        if rule is not None:
            event.add("rrule", vRecur.from_ical(rule))
    return zone


def moment(text: str) -> datetime:
    """A time without fractions of a second, which calendars do not have."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)


def _local_zone(at: datetime, name: str | None) -> str | None:
    """The zone, if the moment can be written as local time in it; None otherwise, as for the second of two moments with
    the same local time."""
    if name is None or name in _UTC or at.year not in YEARS:
        return None
    zone = zone_of(name)
    return name if to_moment(to_local(at, zone), zone) == at else None


def _rule(task: TaskFacts, series: Series | None, slot: datetime) -> str | None:
    """The rule, with a COUNT that starts at this slot. None: the due is not at a slot of the rule, counting from it
    would give other occurrences, or there are too many to count."""
    zone, rule = task.time_zone, task.recurrence
    if rule is None or zone is None or series is None or slot != series.slot.replace(microsecond=0):
        return None
    days = task.due_on is not None
    if series.days != days:
        return None
    endless = _COUNT.sub("", rule)
    start, before = series.start, slot - timedelta(seconds=1)
    for origin in (start, slot):
        if next_slot(endless, origin, before, zone, days=days) != slot:
            return None
    if next_slot(endless, slot, slot, zone, days=days) != next_slot(endless, start, slot, zone, days=days):
        return None
    counted = _COUNT.search(rule)
    if counted is None:
        return rule
    if int(counted[1]) > COUNTED_MAX:
        return None
    left = sum(at >= slot for at in slots(rule, start, zone, days=days))
    return f"{endless};COUNT={left}"


# --- zones ---------------------------------------------------------------------------------------


@lru_cache(maxsize=ZONES_KEPT_MAX)
def clocks_of(name: str, first_year: int, last_year: int) -> Timezone:
    """The definition of a zone (VTIMEZONE): its offsets from one year to the end of another."""
    zone = zone_of(name)
    begins = datetime(first_year, 1, 1, tzinfo=UTC)
    ends = datetime(last_year + 1, 1, 1, tzinfo=UTC)
    component = Timezone()
    component.add("tzid", name)
    onsets: dict[tuple[timedelta, timedelta, str, bool], list[datetime]] = {}
    for at, before, after in [(begins, _offset(begins, zone), _offset(begins, zone)), *_changes(zone, begins, ends)]:
        there = at.astimezone(zone)
        key = (before, after, there.tzname() or "", bool(there.dst()))
        onsets.setdefault(key, []).append(at.replace(tzinfo=None) + before)
    for (before, after, label, summer), locals_ in onsets.items():
        part = TimezoneDaylight() if summer else TimezoneStandard()
        part.add("dtstart", locals_[0])
        if locals_[1:]:
            part.add("rdate", locals_[1:])
        part.add("tzname", label)
        part.add("tzoffsetfrom", before)
        part.add("tzoffsetto", after)
        component.add_component(part)
    return component


def _changes(zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """Each change of clocks: its moment, and the offsets before and after it."""
    at = begins
    while at < ends:
        later = at + _STEP
        before, after = _offset(at, zone), _offset(later, zone)
        if before != after:
            yield _change(zone, at), before, after
        at = later


def _change(zone: ZoneInfo, begins: datetime) -> datetime:
    """The first second of a step at which the zone's offset differs from that at the step's start."""
    was = _offset(begins, zone)
    seconds = range(int(_STEP.total_seconds()))
    found = bisect_left(seconds, 1, key=lambda s: _offset(begins + timedelta(seconds=s), zone) != was)
    return begins + timedelta(seconds=found)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def years_of(days: list[date]) -> tuple[int, int]:
    """The first and the last year for which the zone is defined, for tasks that are due on these days."""
    return min(days).year - 1, max(days).year + YEARS_AHEAD
