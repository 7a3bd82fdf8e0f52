"""Recurrence rules of RFC 5545: parses them, and computes the next slot in local time of a zone with python-dateutil.

A rule is checked part by part when it is set, so that a stored rule can always be evaluated. It is counted from its
start, the task's due at the time when the rule was set; the start itself is an occurrence only if the rule matches it.
A slot is a moment or, for a task that is due on days, a day, written as its midnight in UTC. The cost of a rule is
bounded: python-dateutil would look for the 30th of February until the year 9999. The slowest rule that is refused takes
about a hundredth of a second; a rule that soon has an occurrence takes well below a millisecond.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday
from msgspec import Struct

from taskflow.errors import Invalid
from taskflow.time_zones import UTC_NAME, to_local, to_moment, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

PREFIX: Final = "RRULE:"
INTERVAL_MAX: Final = 1_000
COUNT_MAX: Final = 1_000
TIMES_A_DAY_MAX: Final = 24
"""Nobody completes a task more often than hourly."""
POSITIONS_MAX: Final = 5
"""Values of BYSETPOS. Each is searched for in every period, even if no period has that many occurrences."""
PERIODS_MAX: Final = {DAILY: 3_000, WEEKLY: 1_050, MONTHLY: 480, YEARLY: 100}
"""Days, weeks, months or years that are searched for the next occurrence: the 29th of February comes within 3,000 days.
A rule with a COUNT is counted from its start, and may go through as many more periods as COUNT says; with FREQ=YEARLY
through at most twice as many in all."""
PERIODS_MIN: Final = 50
"""Periods that are searched at least, however long the interval is."""

_FREQUENCIES: Final = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NUMBERS: Final = {
    # part: (largest value, whether negative values count from the end; 0 is then not allowed)
    "BYSECOND": (59, False),
    "BYMINUTE": (59, False),
    "BYHOUR": (23, False),
    "BYMONTHDAY": (31, True),
    "BYYEARDAY": (366, True),
    "BYWEEKNO": (53, True),
    "BYMONTH": (12, False),
    "BYSETPOS": (366, True),
}
_NAMES: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS)
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}")
_DAY: Final = re.compile(rf"([+-]?[0-9]{{1,2}})?({'|'.join(_DAYS)})")
_UNTIL: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_UNTIL_DAY: Final = re.compile(r"[0-9]{8}")
_OF_A_DAY: Final = ("BYHOUR", "BYMINUTE", "BYSECOND")
_SHIFT_MAX: Final = timedelta(days=1)
"""The most by which a zone's clocks are ever changed at once."""


class Rule(Struct, frozen=True):
    """A parsed rule. `by` holds the other parts, by python-dateutil's names."""

    frequency: int
    interval: int
    count: int | None
    until: datetime | None
    by: dict[str, Any]


def plain(text: str) -> str:
    """A rule in its stored form: in capitals, without the prefix `RRULE:`."""
    return (text.upper() if text.isascii() else text).removeprefix(PREFIX)


def checked(text: str, start: datetime, zone: str = UTC_NAME, *, days: bool = False) -> str:
    """The rule in its stored form. Raises Invalid for a rule that cannot be parsed, or has no occurrence from `start`
    on. `days`: the task is due on days, and `start` is a day."""
    text = plain(text)
    rule = _read(text, days=days)
    if _first(rule, start, None, zone_of(UTC_NAME if days else zone)) is None:
        raise _fault(
            f"expected a rule with an occurrence within {_periods(rule)} periods of its FREQ from {start.isoformat()} on"
        )
    return text


def readable(text: str, *, days: bool) -> None:
    """Raises Invalid for a rule that does not fit a task that is due on days, or one that is due at moments."""
    _read(text, days=days)


def next_slot(
    text: str, start: datetime, after: datetime, zone: str = UTC_NAME, *, days: bool = False
) -> datetime | None:
    """The first slot after `after` of a rule that is counted from `start`; None: there is no further slot."""
    return _first(_read(text, days=days), start, after, zone_of(UTC_NAME if days else zone))


def slots(text: str, start: datetime, zone: str = UTC_NAME, *, days: bool = False) -> Iterator[datetime]:
    """All slots from the first on, up to where `next_slot` would give None. Two local times that a change of clocks
    makes one moment give that moment twice."""
    rule, where = _read(text, days=days), zone_of(UTC_NAME if days else zone)
    try:
        for local in _locals(rule, to_local(start, where), None):
            at = to_moment(local, where)
            if rule.until is not None and at > rule.until:
                return
            yield at
    except (_TooManyPeriodsError, ValueError, OverflowError, IndexError):
        return


# --- reading ------------------------------------------------------------------------------------


def _fault(detail: str) -> Invalid:
    return Invalid("/recurrence", "rule", detail)


def _read(text: str, *, days: bool) -> Rule:
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in _NAMES:
            raise _fault(f"expected NAME=VALUE parts with names of {', '.join(_NAMES)}, found {part[:50]!r}")
        if name in parts:
            raise _fault(f"expected {name} once, found it twice")
        parts[name] = value
    frequency = _FREQUENCIES.get(parts.get("FREQ", ""))
    if frequency is None:
        found = parts["FREQ"][:20] if "FREQ" in parts else "none"
        raise _fault(f"expected FREQ to be one of {', '.join(_FREQUENCIES)}, found {found}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise _fault("expected COUNT or UNTIL, found both")
    by: dict[str, Any] = {name.lower(): _numbers(name, parts[name]) for name in _NUMBERS if name in parts}
    if "BYDAY" in parts:
        by["byweekday"] = _days(parts["BYDAY"], frequency, by)
    by["wkst"] = _wkst(parts.get("WKST", "MO"))
    _check_combination(frequency, by)
    if days and (times := [name for name in _OF_A_DAY if name in parts]):
        raise _fault(f"expected no {times[0]}, because the task is due on a day, not at a time")
    count = _whole("COUNT", parts["COUNT"], COUNT_MAX) if "COUNT" in parts else None
    until = _until(parts["UNTIL"], days=days) if "UNTIL" in parts else None
    return Rule(frequency, _whole("INTERVAL", parts.get("INTERVAL", "1"), INTERVAL_MAX), count, until, by)


def _whole(name: str, value: str, most: int) -> int:
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
        raise _fault(f"expected {name} from 1 to {most}, found {value[:20]!r}")
    return int(value)


def _numbers(name: str, value: str) -> tuple[int, ...]:
    most, signed = _NUMBERS[name]
    least = 1 if signed or name == "BYMONTH" else 0
    numbers = [int(text) if _NUMBER.fullmatch(text) else None for text in value.split(",")]
    wanted = tuple(
        sorted({one for one in numbers if one is not None and least <= (abs(one) if signed else one) <= most})
    )
    if len(wanted) != len(set(numbers)):
        or_back = f" or -{most} to -{least}" if signed else ""
        raise _fault(f"expected {name} from {least} to {most}{or_back}, found {value[:50]!r}")
    return wanted


def _days(value: str, frequency: int, by: dict[str, Any]) -> tuple[weekday, ...]:
    """Parses BYDAY. A day with a number is the nth of its month, or of its year if the rule names no month."""
    numbered = frequency in {MONTHLY, YEARLY} and "byweekno" not in by
    most = 5 if frequency == MONTHLY or "bymonth" in by else 53
    days: list[weekday] = []
    for text in value.split(","):
        found = _DAY.fullmatch(text)
        if found is None:
            raise _fault(f"expected BYDAY of {', '.join(_DAYS)}, found {text[:20]!r}")
        nth = None if found[1] is None else int(found[1])
        if nth is not None and not (numbered and 1 <= abs(nth) <= most):
            raise _fault(f"expected numbers in BYDAY up to ±{most}, and only with FREQ=MONTHLY or YEARLY, found {text}")
        days.append(weekday(_DAYS.index(found[2]), nth))
    if len({day.n is None for day in days}) > 1:
        raise _fault("expected BYDAY with a number before each day or before none")
    return tuple(days)


def _wkst(value: str) -> int:
    if value not in _DAYS:
        raise _fault(f"expected WKST to be one of {', '.join(_DAYS)}, found {value[:20]!r}")
    return _DAYS.index(value)


def _until(value: str, *, days: bool) -> datetime:
    try:
        if (_UNTIL_DAY if days else _UNTIL).fullmatch(value):
            return datetime.strptime(value, "%Y%m%d" if days else "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        pass
    if days:
        raise _fault(f"expected UNTIL as a day like 20301231, as the task's due is one, found {value[:30]!r}")
    raise _fault(f"expected UNTIL as a time in UTC like 20301231T235959Z, found {value[:30]!r}")


def _check_combination(frequency: int, by: dict[str, Any]) -> None:
    """Raises Invalid for combinations of parts that RFC 5545 does not allow, and for too many times a day."""
    outside = {
        "bymonthday": frequency == WEEKLY,
        "byyearday": frequency != YEARLY,
        "byweekno": frequency != YEARLY,
        "bysetpos": not by.keys() - {"bysetpos", "wkst"},
    }
    for name, wrong in outside.items():
        if wrong and name in by:
            where = "beside another BY part" if name == "bysetpos" else "with another FREQ"
            raise _fault(f"expected {name.upper()} only {where}")
    if len(by.get("bysetpos", ())) > POSITIONS_MAX:
        raise _fault(f"expected at most {POSITIONS_MAX} positions in BYSETPOS, found {len(by['bysetpos'])}")
    times = 1
    for name in ("byhour", "byminute", "bysecond"):
        times *= len(by.get(name, (0,)))
    if times > TIMES_A_DAY_MAX:
        raise _fault(f"expected at most {TIMES_A_DAY_MAX} times a day, found {times}")


# --- following -----------------------------------------------------------------------------------


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
