"""Time zones by their IANA names, from the tzdata package alone: every machine knows the same. Pure: they are data.

Local times become moments as RFC 5545, 3.3.5, says: one that a change of clocks leaves out is taken with the offset
before the change, one that it brings twice is the first.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

UTC_NAME: Final = "UTC"
_DATA: Final = files("tzdata")
NAMES: Final = frozenset(_DATA.joinpath("zones").read_text(encoding="utf-8").split())
"""All that there are. A name that is none of them is never looked for as a file."""
NAME_MAX: Final = 64
"""Characters of a name."""
_DAY_END: Final = time(23, 59, 59, 999_999)


@cache
def zone_of(name: str) -> ZoneInfo:
    """Raises KeyError where there is no such zone."""
    if name not in NAMES:
        raise KeyError(name)
    with _DATA.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def to_moment(local: datetime, zone: ZoneInfo) -> datetime:
    """A local time, without a zone, as a moment in UTC. Raises OverflowError outside the years 1 to 9999."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def to_local(at: datetime, zone: ZoneInfo) -> datetime:
    """A moment as a local time, without a zone. Raises OverflowError outside the years 1 to 9999."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """The moment as which a day counts: its 23:59:59.999999. The calendar's last day ends with the calendar."""
    try:
        return to_moment(datetime.combine(day, _DAY_END), zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
