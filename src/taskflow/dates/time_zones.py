"""Time zones by IANA name, only from the tzdata package, so that all machines have the same. Pure: they are data.

Local times are converted as RFC 5545, 3.3.5, says: a time skipped by a clock change uses the offset before the change,
and of a time that occurs twice the first is meant.
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
"""All known names. Other names are never looked up as files."""
NAME_MAX: Final = 64
"""Characters of a name."""
_DAY_END: Final = time(23, 59, 59, 999_999)


@cache
def zone_of(name: str) -> ZoneInfo:
    """Returns the zone of a name. Raises KeyError if there is none."""
    if name not in NAMES:
        raise KeyError(name)
    with _DATA.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def to_moment(local: datetime, zone: ZoneInfo) -> datetime:
    """Converts a local time without a zone to a moment in UTC. Raises OverflowError outside the years 1 to 9999."""
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def to_local(at: datetime, zone: ZoneInfo) -> datetime:
    """Converts a moment to a local time without a zone. Raises OverflowError outside the years 1 to 9999."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """Returns the moment at which a day ends: 23:59:59.999999 in the zone, or `datetime.max` if that is later."""
    try:
        return to_moment(datetime.combine(day, _DAY_END), zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
