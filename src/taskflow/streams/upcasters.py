"""Upcasters: convert stored events of older schema versions to the current one, one version at a time.

An upcaster takes the decoded JSON of version n and returns the JSON of version n + 1. An upcaster is a pure function
and is never removed, because stored events are never rewritten. Golden files in `tests/unit/golden/` hold every
version ever stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def _due_date_to_time(data: dict[str, Any]) -> dict[str, Any]:
    """Converts the due day (`due`) to a due time: the end of that day in UTC."""
    due = data.get("due")
    return {"due_at": None if due is None else f"{due}T23:59:59.999999Z"}


def _settings_become_personal(data: dict[str, Any]) -> dict[str, Any]:
    """Returns the data unchanged: settings stored in clear stay in clear, and read as None after the person's
    erasure."""
    return data


def _due_in_utc(data: dict[str, Any]) -> dict[str, Any]:
    """Adds the time zone UTC if the task was due or recurred."""
    return data if data.get("due_at") is None and data.get("recurrence") is None else data | {"time_zone": "UTC"}


def _restarting(data: dict[str, Any]) -> dict[str, Any]:
    """Adds `restarts`: in version 2 every new due time restarted the series."""
    return _due_in_utc(data) | {"restarts": True}


def _same(data: dict[str, Any]) -> dict[str, Any]:
    return data


UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {
    ("TaskCreated", 1): _due_in_utc,
    ("TaskDueSet", 1): _due_date_to_time,
    ("TaskDueSet", 2): _restarting,
    ("TaskRecurred", 1): _same,
    ("TaskRecurrenceSet", 1): _due_in_utc,
    ("UserSettingsChanged", 1): _settings_become_personal,
}
