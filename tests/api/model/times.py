"""Times as the API writes them: in UTC, with `Z` and six digits."""

from __future__ import annotations

from datetime import UTC, datetime


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def normal(text: str | None) -> str | None:
    """A time as it comes back."""
    return None if text is None else written(read(text))
