"""When a task is due, and how that repeats: the events that set it, and the series of its occurrences.

The moment that a day or a rule means in a zone stands in the event: a fold asks no time-zone database.
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
    """Where a rule is counted from, and which of its slots the present occurrence fills. The occurrence may be due
    elsewhere: moving it changes nothing here.

    `days`: the slots are days and not moments. A day stands as its midnight in UTC, whatever the task's zone.
    """

    start: datetime
    slot: datetime
    days: bool = False


# --- events --------------------------------------------------------------------------------------


class TaskDueSet(Event, frozen=True):
    """Due at a moment, on a day, or not; and in which zone the day ends, at `day_ends_at`.

    What is left UNSET stays. `restarts`: a rule begins anew with this due, as it always did until version 2.
    Version 1 held a date, `due`; version 2 knew no zones.
    """

    schema_version = 3
    due_at: datetime | None
    due_on: date | None = None
    day_ends_at: datetime | None = None
    time_zone: str | UnsetType | None = UNSET
    series: Series | UnsetType | None = UNSET
    restarts: bool = False


class TaskRecurrenceSet(Event, frozen=True):
    """An RFC 5545 rule (without its name: `FREQ=WEEKLY;BYDAY=MO`). Where no series is said, one begins with the due
    that stands then. Version 1 knew no zones."""

    schema_version = 2
    recurrence: str | None
    time_zone: str | UnsetType | None = UNSET
    series: Series | UnsetType | None = UNSET


class TaskRecurred(Event, frozen=True):
    """An occurrence was completed and the next one is due, in its slot: the task is open again in the same breath.
    Version 1 knew no days, and left the checklist ticked."""

    schema_version = 2
    occurrence_at: datetime | None
    """When the completed one was due."""
    due_at: datetime | None
    status: str
    category: Category
    occurrence_on: date | None = None
    due_on: date | None = None
    day_ends_at: datetime | None = None
    unticked: tuple[UUID, ...] = ()
    """Items of the checklist that were done for the completed one."""


# --- state ---------------------------------------------------------------------------------------


def begin_series(due_at: datetime | None, due_on: date | None, at: datetime) -> Series:
    """One whose first occurrence is due then; without a due it begins as the rule is set, at `at`."""
    start = midnight(due_on) if due_on is not None else due_at or at
    return Series(start, start, due_on is not None)


def midnight(day: date) -> datetime:
    """A day as a slot."""
    return datetime.combine(day, _MIDNIGHT)


def scheduled(state: TaskState, event: TaskDueSet | TaskRecurrenceSet | TaskRecurred, at: datetime) -> dict[str, Any]:
    """The fields of a task that such an event sets."""
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
