"""Old shapes of stored events, lifted one schema version at a time to today's.

An upcaster takes the decoded JSON of version n and returns that of version n + 1. It may not look
anywhere else: events are never rewritten, so it runs for ever. Golden files in
`tests/unit/golden/` hold each version ever stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def _due_date_to_time(data: dict[str, Any]) -> dict[str, Any]:
    """A task was due on a day (`due`); it is now due at the day's end, UTC."""
    due = data.get("due")
    return {"due_at": None if due is None else f"{due}T23:59:59.999999Z"}


def _settings_become_personal(data: dict[str, Any]) -> dict[str, Any]:
    """The same, in clear: what was stored so stays so, and reads as nothing once its person is erased."""
    return data


def _due_in_utc(data: dict[str, Any]) -> dict[str, Any]:
    """What was due or repeated did so in UTC."""
    return data if data.get("due_at") is None and data.get("recurrence") is None else data | {"time_zone": "UTC"}


def _restarting(data: dict[str, Any]) -> dict[str, Any]:
    """Every new due time began the series anew."""
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
