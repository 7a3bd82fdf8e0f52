"""Parses recurrence rules of RFC 5545, and checks them part by part, so that a stored rule can always be evaluated."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, weekday
from msgspec import Struct

from taskflow.errors import Invalid

PREFIX: Final = "RRULE:"
INTERVAL_MAX: Final = 1_000
COUNT_MAX: Final = 1_000
TIMES_A_DAY_MAX: Final = 24
"""Nobody completes a task more often than hourly."""
POSITIONS_MAX: Final = 5
"""Values of BYSETPOS. Each is searched for in every period, even if no period has that many occurrences."""

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


def readable(text: str, *, days: bool) -> None:
    """Raises Invalid for a rule that does not fit a task that is due on days, or one that is due at moments."""
    parse_rule(text, days=days)


def rule_fault(detail: str) -> Invalid:
    """The refusal of a rule that is not valid."""
    return Invalid("/recurrence", "rule", detail)


def parse_rule(text: str, *, days: bool) -> Rule:
    """Parses a rule in its stored form. `days`: the task is due on days. Raises Invalid."""
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in _NAMES:
            raise rule_fault(f"expected NAME=VALUE parts with names of {', '.join(_NAMES)}, found {part[:50]!r}")
        if name in parts:
            raise rule_fault(f"expected {name} once, found it twice")
        parts[name] = value
    frequency = _FREQUENCIES.get(parts.get("FREQ", ""))
    if frequency is None:
        found = parts["FREQ"][:20] if "FREQ" in parts else "none"
        raise rule_fault(f"expected FREQ to be one of {', '.join(_FREQUENCIES)}, found {found}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise rule_fault("expected COUNT or UNTIL, found both")
    by: dict[str, Any] = {name.lower(): _numbers(name, parts[name]) for name in _NUMBERS if name in parts}
    if "BYDAY" in parts:
        by["byweekday"] = _days(parts["BYDAY"], frequency, by)
    by["wkst"] = _wkst(parts.get("WKST", "MO"))
    _check_combination(frequency, by)
    if days and (times := [name for name in _OF_A_DAY if name in parts]):
        raise rule_fault(f"expected no {times[0]}, because the task is due on a day, not at a time")
    count = _whole("COUNT", parts["COUNT"], COUNT_MAX) if "COUNT" in parts else None
    until = _until(parts["UNTIL"], days=days) if "UNTIL" in parts else None
    return Rule(frequency, _whole("INTERVAL", parts.get("INTERVAL", "1"), INTERVAL_MAX), count, until, by)


def _whole(name: str, value: str, most: int) -> int:
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
        raise rule_fault(f"expected {name} from 1 to {most}, found {value[:20]!r}")
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
        raise rule_fault(f"expected {name} from {least} to {most}{or_back}, found {value[:50]!r}")
    return wanted


def _days(value: str, frequency: int, by: dict[str, Any]) -> tuple[weekday, ...]:
    """Parses BYDAY. A day with a number is the nth of its month, or of its year if the rule names no month."""
    numbered = frequency in {MONTHLY, YEARLY} and "byweekno" not in by
    most = 5 if frequency == MONTHLY or "bymonth" in by else 53
    days: list[weekday] = []
    for text in value.split(","):
        found = _DAY.fullmatch(text)
        if found is None:
            raise rule_fault(f"expected BYDAY of {', '.join(_DAYS)}, found {text[:20]!r}")
        nth = None if found[1] is None else int(found[1])
        if nth is not None and not (numbered and 1 <= abs(nth) <= most):
            raise rule_fault(
                f"expected numbers in BYDAY up to ±{most}, and only with FREQ=MONTHLY or YEARLY, found {text}"
            )
        days.append(weekday(_DAYS.index(found[2]), nth))
    if len({day.n is None for day in days}) > 1:
        raise rule_fault("expected BYDAY with a number before each day or before none")
    return tuple(days)


def _wkst(value: str) -> int:
    if value not in _DAYS:
        raise rule_fault(f"expected WKST to be one of {', '.join(_DAYS)}, found {value[:20]!r}")
    return _DAYS.index(value)


def _until(value: str, *, days: bool) -> datetime:
    try:
        if (_UNTIL_DAY if days else _UNTIL).fullmatch(value):
            return datetime.strptime(value, "%Y%m%d" if days else "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        pass
    if days:
        raise rule_fault(f"expected UNTIL as a day like 20301231, as the task's due is one, found {value[:30]!r}")
    raise rule_fault(f"expected UNTIL as a time in UTC like 20301231T235959Z, found {value[:30]!r}")


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
            raise rule_fault(f"expected {name.upper()} only {where}")
    if len(by.get("bysetpos", ())) > POSITIONS_MAX:
        raise rule_fault(f"expected at most {POSITIONS_MAX} positions in BYSETPOS, found {len(by['bysetpos'])}")
    times = 1
    for name in ("byhour", "byminute", "bysecond"):
        times *= len(by.get(name, (0,)))
    if times > TIMES_A_DAY_MAX:
        raise rule_fault(f"expected at most {TIMES_A_DAY_MAX} times a day, found {times}")
