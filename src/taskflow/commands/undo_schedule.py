"""Undoes changes of a task's due, zone, rule and series, all at once, so that the resulting schedule is consistent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from taskflow.commands.schedule import end_of
from taskflow.streams.schedule import TaskDueSet, TaskRecurrenceSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskflow.commands.undo import Undoing
    from taskflow.streams import Event
    from taskflow.streams.schedule import Series

SCHEDULE: Final = ("due", "zone", "recurrence", "series")
"""Facets that are set back together, by the `set_back` of the first."""


def set_back_schedule(undoing: Undoing, values: Mapping[Any, Any]) -> list[Event]:
    """The events that restore `values`, given by the name of the facet."""
    task, before = undoing.task, undoing.before
    due_at, due_on = values.get("due", (task.due_at, task.due_on))
    rule = values.get("recurrence", task.recurrence)
    zone = values.get("zone", task.time_zone)
    stands = (due_at, due_on, rule)
    if zone is None and stands not in {(None, None, None), (before.due_at, before.due_on, before.recurrence)}:
        zone = task.time_zone  # a due or rule that another change has set since needs it
    as_before = (due_on, zone) == (before.due_on, before.time_zone)
    series = _series(undoing, rule, values)
    ruled, rezoned = rule != task.recurrence, zone != task.time_zone
    moved = (due_at, due_on) != (task.due_at, task.due_on)
    resumed = series != task.series and not ruled
    events: list[Event] = []
    if moved or rezoned or resumed:
        events.append(
            TaskDueSet(
                due_at=due_at,
                due_on=due_on,
                day_ends_at=before.day_ends_at if as_before else end_of(due_on, zone),
                time_zone=zone if rezoned else UNSET,
                series=series if resumed else UNSET,
            )
        )
    if ruled:
        events.append(TaskRecurrenceSet(recurrence=rule, series=series))
    return events


def _series(undoing: Undoing, rule: str | None, values: Mapping[Any, Any]) -> Series | None:
    """The series from before the change, if its rule is restored. An occurrence that was opened since keeps its
    slot."""
    now, before = undoing.task.series, undoing.before.series
    if rule is None:
        return None
    if before is None or rule != undoing.before.recurrence:
        return now
    if "series" in values:
        return before
    if rule == undoing.task.recurrence or now is None or now.days != before.days:
        return now or before
    return replace(before, slot=now.slot)
