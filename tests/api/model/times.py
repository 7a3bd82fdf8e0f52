"""Times as the API writes them: in UTC, with `Z` and six digits."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def normal(text: str | None) -> str | None:
    """A time as it comes back."""
    return None if text is None else written(read(text))


def on_the_wall(at: str, zone: str) -> datetime:
    """What the clocks of a zone show then."""
    return read(at).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def moment(wall: datetime, zone: str) -> datetime:
    return wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def day_end(day: str, zone: str) -> datetime:
    return moment(datetime.fromisoformat(f"{day}T23:59:59.999999"), zone)
