"""Due times and recurrence of tasks: the events that set them, and the series of occurrences.

Events store the UTC moments computed from days, rules and time zones, so that a fold needs no time-zone database.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from taskflow.streams.project import Category
from taskflow.streams.stream_type import Event

if TYPE_CHECKING:
    from taskflow.streams.task import TaskState

_MIDNIGHT: Final = time(tzinfo=UTC)


class Series(Struct, frozen=True, omit_defaults=True, gc=False):
    """The start of a recurrence rule, and the slot of the rule that the current occurrence fills.

    Giving the current occurrence another due time does not change the series. `days`: the slots are days, each
    stored as its midnight in UTC whatever the task's time zone is.
    """

    start: datetime
    slot: datetime
    days: bool = False


# --- events --------------------------------------------------------------------------------------


class TaskDueSet(Event, frozen=True):
    """The due time was set: a moment, a day (which ends at `day_ends_at` in the time zone), or none.

    An UNSET field keeps its value. `restarts`: the recurrence rule starts again from this due time, as it always did
    until version 2. Version 1 held a date, `due`; version 2 had no time zones.
    """

    schema_version = 3
    due_at: datetime | None
    due_on: date | None = None
    day_ends_at: datetime | None = None
    time_zone: str | UnsetType | None = UNSET
    series: Series | UnsetType | None = UNSET
    restarts: bool = False


class TaskRecurrenceSet(Event, frozen=True):
    """The recurrence rule was set: an RFC 5545 rule without the property name, such as `FREQ=WEEKLY;BYDAY=MO`.

    Without a `series`, a new series starts at the task's current due time. Version 1 had no time zones.
    """

    schema_version = 2
    recurrence: str | None
    time_zone: str | UnsetType | None = UNSET
    series: Series | UnsetType | None = UNSET


class TaskRecurred(Event, frozen=True):
    """An occurrence was completed: the task is open again, due in the slot of the next occurrence.

    Version 1 had no days, and left the checklist ticked.
    """

    schema_version = 2
    occurrence_at: datetime | None
    """When the completed occurrence was due."""
    due_at: datetime | None
    status: str
    category: Category
    occurrence_on: date | None = None
    due_on: date | None = None
    day_ends_at: datetime | None = None
    unticked: tuple[UUID, ...] = ()
    """Checklist items that were done for the completed occurrence."""


# --- state ---------------------------------------------------------------------------------------


def begin_series(due_at: datetime | None, due_on: date | None, at: datetime) -> Series:
    """Returns a series that starts at the due time or day, or at `at` (when the rule is set) if there is neither."""
    start = midnight(due_on) if due_on is not None else due_at or at
    return Series(start, start, due_on is not None)


def midnight(day: date) -> datetime:
    """Returns the slot of a day: its midnight in UTC."""
    return datetime.combine(day, _MIDNIGHT)


def scheduled(state: TaskState, event: TaskDueSet | TaskRecurrenceSet | TaskRecurred, at: datetime) -> dict[str, Any]:
    """Returns the fields of a task that the event changes."""
    match event:
        case TaskRecurrenceSet(recurrence=recurrence, time_zone=zone):
            series = begin_series(state.due_at, state.due_on, at) if event.series is UNSET else event.series
            changed: dict[str, Any] = {"recurrence": recurrence, "series": None if recurrence is None else series}
        case TaskDueSet(time_zone=zone):
            changed = _due(event)
            if event.restarts and state.recurrence is not None:
                changed["series"] = begin_series(event.due_at, event.due_on, at)
            elif event.series is not UNSET:
                changed["series"] = event.series
        case TaskRecurred():
            zone = UNSET
            changed = _due(event)
            slot = event.due_at if event.due_on is None else midnight(event.due_on)
            if state.series is not None and slot is not None:
                changed["series"] = replace(state.series, slot=slot)
    return changed if zone is UNSET else changed | {"time_zone": zone}


def _due(event: TaskDueSet | TaskRecurred) -> dict[str, Any]:
    return {"due_at": event.due_at, "due_on": event.due_on, "day_ends_at": event.day_ends_at}
