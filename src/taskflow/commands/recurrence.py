"""Evaluates recurrence rules: computes the next slot in local time of a zone with python-dateutil.

A rule (see `recurrence_rule`) is counted from its start, the task's due at the time when the rule was set; the start
itself is an occurrence only if the rule matches it. A slot is a moment or, for a task that is due on days, a day,
written as its midnight in UTC.

The cost of a rule is bounded: python-dateutil would look for the 30th of February until the year 9999. The slowest rule
that is refused takes about a hundredth of a second; a rule that soon has an occurrence takes well below a millisecond.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule

from taskflow.commands.recurrence_rule import Rule, parse_rule, plain, rule_fault
from taskflow.dates.time_zones import UTC_NAME, to_local, to_moment, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

PERIODS_MAX: Final = {DAILY: 3_000, WEEKLY: 1_050, MONTHLY: 480, YEARLY: 100}
"""Days, weeks, months or years that are searched for the next occurrence: the 29th of February comes within 3,000 days.
A rule with a COUNT is counted from its start, and may go through as many more periods as COUNT says; with FREQ=YEARLY
through at most twice as many in all."""
PERIODS_MIN: Final = 50
"""Periods that are searched at least, however long the interval is."""

_SHIFT_MAX: Final = timedelta(days=1)
"""The most by which a zone's clocks are ever changed at once."""


def checked(text: str, start: datetime, zone: str = UTC_NAME, *, days: bool = False) -> str:
    """The rule in its stored form. Raises Invalid for a rule that cannot be parsed, or has no occurrence from `start`
    on. `days`: the task is due on days, and `start` is a day."""
    text = plain(text)
    rule = parse_rule(text, days=days)
    if _first(rule, start, None, zone_of(UTC_NAME if days else zone)) is None:
        raise rule_fault(
            f"expected a rule with an occurrence within {_periods(rule)} periods of its FREQ from {start.isoformat()} on"
        )
    return text


def next_slot(
    text: str, start: datetime, after: datetime, zone: str = UTC_NAME, *, days: bool = False
) -> datetime | None:
    """The first slot after `after` of a rule that is counted from `start`; None: there is no further slot."""
    return _first(parse_rule(text, days=days), start, after, zone_of(UTC_NAME if days else zone))


def slots(text: str, start: datetime, zone: str = UTC_NAME, *, days: bool = False) -> Iterator[datetime]:
    """All slots from the first on, up to where `next_slot` would give None. Two local times that a change of clocks
    makes one moment give that moment twice."""
    rule, where = parse_rule(text, days=days), zone_of(UTC_NAME if days else zone)
    try:
        for local in _locals(rule, to_local(start, where), None):
            at = to_moment(local, where)
            if rule.until is not None and at > rule.until:
                return
            yield at
    except (_TooManyPeriodsError, ValueError, OverflowError, IndexError):
        return


class _TooManyPeriodsError(Exception):
    """The search has gone through as many periods as a rule may take."""


class _Interval(int):
    """An interval that counts how often it is added, and so bounds the search: python-dateutil adds it once per period,
    with or without an occurrence, and stops only at the end of the calendar."""

    left: int

    @classmethod
    def bounded(cls, interval: int, periods_max: int) -> _Interval:
        bounded = cls(interval)
        bounded.left = periods_max
        return bounded

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _TooManyPeriodsError

    def __radd__(self, other: int) -> int:
        self._step()
        return other + int(self)

    def __mul__(self, other: int) -> int:  # a week is seven days
        self._step()
        return int(self) * other


def _first(rule: Rule, start: datetime, after: datetime | None, zone: ZoneInfo) -> datetime | None:
    found: datetime | None = None
    try:
        for local in _locals(rule, to_local(start, zone), None if after is None else _before(after, zone)):
            at = to_moment(local, zone)
            if (after is not None and at <= after) or (rule.until is not None and at > rule.until):
                if rule.until is not None and at > rule.until + _SHIFT_MAX:
                    break
                continue
            found = at if found is None else min(found, at)
            if to_local(at, zone) == local:
                break
            # A change of clocks skips this local time: it becomes a later moment, and the next slot may be earlier.
    except (_TooManyPeriodsError, ValueError, OverflowError, IndexError):
        # Too few occurrences; or the search left the calendar, where python-dateutil raises various errors.
        return found
    return found


def _before(after: datetime, zone: ZoneInfo) -> datetime:
    """A local time that is before every slot after `after`, even across a change of clocks."""
    local = to_local(after, zone)
    try:
        return local - _SHIFT_MAX
    except OverflowError:
        return local


def _periods(rule: Rule) -> int:
    return max(PERIODS_MIN, PERIODS_MAX[rule.frequency] // rule.interval)


def _counted(rule: Rule) -> int:
    """Additional periods for a rule with a COUNT; bounded for FREQ=YEARLY, where each period is searched day by day."""
    count = rule.count or 0
    return min(count, _periods(rule)) if rule.frequency == YEARLY else count


def _locals(rule: Rule, start: datetime, after: datetime | None) -> Iterator[datetime]:
    """The local times of slots; with `after`, some slots before it are left out. UNTIL is not applied: it is a moment,
    and the caller compares moments."""
    by = dict(rule.by)
    if rule.count is None and after is not None:
        start = _later_start(rule, start, after, by)
    interval = _Interval.bounded(rule.interval, _periods(rule) + (0 if after is None else _counted(rule)))
    return iter(rrule(rule.frequency, dtstart=start, interval=interval, count=rule.count, **by))


def _later_start(rule: Rule, start: datetime, after: datetime, by: dict[str, Any]) -> datetime:
    """A later start that gives the same slots after `after`, a whole number of intervals on, one or more before
    `after`. If this changes the day or the month of the start, `by` gets those of the old start, which the rule
    implies."""
    if after <= start:
        return start
    if rule.frequency in {DAILY, WEEKLY}:
        days = rule.interval * (7 if rule.frequency == WEEKLY else 1)
        return start + timedelta(days=max(0, (after - start).days // days - 1) * days)
    unit = 12 if rule.frequency == YEARLY else 1
    months = (after.year - start.year) * 12 + after.month - start.month
    skipped = max(0, months // (rule.interval * unit) - 1) * rule.interval * unit
    if not skipped:
        return start
    if not by.keys() & {"byweekno", "byyearday", "bymonthday", "byweekday"}:
        by["bymonthday"] = start.day
        if rule.frequency == YEARLY:
            by.setdefault("bymonth", start.month)
    month = start.year * 12 + start.month - 1 + skipped
    return start.replace(year=month // 12, month=month % 12 + 1, day=1)
