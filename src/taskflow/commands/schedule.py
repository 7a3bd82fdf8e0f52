"""Sets when a task is due and how it recurs: chooses the time zone, and computes the moments that result.

A due is a moment, or a day that ends in the task's zone. A rule repeats in local time of that zone. It begins a series
that goes on, whatever is done to one occurrence, until the rule is changed or is sent together with another due.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Struct, UnsetType

from taskflow.commands.recurrence import checked, next_slot
from taskflow.commands.recurrence_rule import plain, readable
from taskflow.dates.time_zones import NAMES, UTC_NAME, day_end, to_local, zone_of
from taskflow.errors import Invalid, Rejected
from taskflow.streams import USER
from taskflow.streams.schedule import TaskDueSet, TaskRecurred, TaskRecurrenceSet, begin_series, midnight

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import Status
    from taskflow.streams.task import TaskState
    from taskflow.streams.user import Settings

SETTING: Final = "time_zone"
"""The name of the user setting with the time zone for tasks that name none."""
_DAY: Final = timedelta(days=1)


class Schedule(Struct, frozen=True, kw_only=True):
    """The fields of a command that concern the schedule; UNSET: the field stays as it is."""

    due_at: datetime | UnsetType | None = UNSET
    due_on: date | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    recurrence: str | UnsetType | None = UNSET

    def takes_a_zone(self, task: TaskState | None) -> bool:
        """Whether the task will have a due or a rule, but no zone for it."""
        if isinstance(self.time_zone, str) or (self.time_zone is UNSET and task is not None and task.time_zone):
            return False
        there = () if task is None else (task.due, task.recurrence)
        return any(one is not UNSET and one is not None for one in (self.due_at, self.due_on, self.recurrence, *there))


class Due(Struct, frozen=True, kw_only=True):
    """A valid schedule: with a due or a rule, it has a zone."""

    at: datetime | None
    on: date | None
    ends_at: datetime | None
    zone: str | None
    recurrence: str | None


# --- decide --------------------------------------------------------------------------------------


def new_schedule(requested: Schedule, at: datetime, zone: str) -> Due:
    """The schedule of a new task; `zone` is used if the command names none. Raises Invalid."""
    due = _due(requested, None, zone)
    if due.recurrence is None:
        return due
    start = begin_series(due.at, due.on, at)
    return _with_rule(due, checked(due.recurrence, start.start, due.zone or UTC_NAME, days=start.days))


def reschedule(task: TaskState, requested: Schedule, at: datetime, zone: str) -> list[TaskDueSet | TaskRecurrenceSet]:
    """One event if the due or its zone differs, and one if the rule differs. Raises Invalid."""
    if requested == Schedule():
        return []
    due = _due(requested, task, zone)
    moved = (due.at, due.on) != (task.due_at, task.due_on)
    rezoned = due.zone != task.time_zone
    ruled = due.recurrence != task.recurrence
    # The same rule, sent together with another due, begins a new series too.
    begins = due.recurrence is not None and requested.recurrence is not UNSET and (ruled or moved)
    if due.recurrence is not None and begins:
        start = begin_series(due.at, due.on, at)
        due = _with_rule(due, checked(due.recurrence, start.start, due.zone or UTC_NAME, days=start.days))
    elif due.recurrence is not None and moved:
        _check_rule_fits(due)
    events: list[TaskDueSet | TaskRecurrenceSet] = []
    if moved or (rezoned and (due.on is not None or not ruled)):
        events.append(
            TaskDueSet(
                due_at=due.at,
                due_on=due.on,
                day_ends_at=due.ends_at,
                time_zone=due.zone if rezoned else UNSET,
                restarts=begins and not ruled,
            )
        )
        rezoned = False
    if ruled:
        events.append(TaskRecurrenceSet(recurrence=due.recurrence, time_zone=due.zone if rezoned else UNSET))
    return events


def _due(requested: Schedule, task: TaskState | None, zone: str) -> Due:
    at, on = (None, None) if task is None else (task.due_at, task.due_on)
    at, on = (
        at if requested.due_at is UNSET else _in_utc(requested.due_at),
        on if requested.due_on is UNSET else requested.due_on,
    )
    if isinstance(requested.due_at, datetime) and isinstance(requested.due_on, date):
        raise Invalid("/due_on", "contradiction", "expected due_at or due_on, found both")
    if isinstance(requested.due_at, datetime):
        on = None
    if isinstance(requested.due_on, date):
        at = None
    rule = None if task is None else task.recurrence
    if requested.recurrence is not UNSET:
        rule = None if requested.recurrence is None else plain(requested.recurrence)
    name = None if task is None else task.time_zone
    if requested.time_zone is not UNSET:
        name = None if requested.time_zone is None else known_zone(requested.time_zone, "/time_zone")
    if name is None and (at is not None or on is not None or rule is not None):
        name = zone
    return Due(at=at, on=on, ends_at=end_of(on, name), zone=name, recurrence=rule)


def _with_rule(due: Due, rule: str) -> Due:
    return Due(at=due.at, on=due.on, ends_at=due.ends_at, zone=due.zone, recurrence=rule)


def _check_rule_fits(due: Due) -> None:
    """Raises Invalid if the rule does not fit the due: one with times, or an UNTIL with a time, does not fit a day, and
    an UNTIL that is a day does not fit a moment."""
    if due.recurrence is None or (due.at is None and due.on is None):
        return
    try:
        readable(due.recurrence, days=due.on is not None)
    except Invalid as fault:
        pointer = "/due_at" if due.on is None else "/due_on"
        raise Invalid(
            pointer, "rule", f"the task's rule does not fit this due date: {fault}; set both together"
        ) from None


def check_schedule(now: TaskState, then: TaskState) -> None:
    """Raises Rejected or Invalid if a schedule that is composed of several changes, and differs from the present one,
    could not have been set as a whole: a due or a rule without a zone, or a rule that does not fit its series or due."""
    if _schedule(then) == _schedule(now):
        return
    if then.time_zone is None and (then.due is not None or then.recurrence is not None):
        raise Rejected("schedule", "the task would have a due or a rule, and no time zone for it")
    if (then.recurrence is None) != (then.series is None):
        raise Rejected("schedule", "the task would have a series without a rule, or a rule without a series")
    due = Due(at=then.due_at, on=then.due_on, ends_at=then.day_ends_at, zone=then.time_zone, recurrence=then.recurrence)
    _check_rule_fits(due)
    if then.recurrence is not None and then.series is not None:
        checked(then.recurrence, then.series.start, then.time_zone or UTC_NAME, days=then.series.days)


def _schedule(task: TaskState) -> tuple[object, ...]:
    return task.due_at, task.due_on, task.day_ends_at, task.time_zone, task.recurrence, task.series


def end_of(day: date | None, zone: str | None) -> datetime | None:
    """The moment at which a day ends in a zone."""
    return None if day is None else day_end(day, zone_of(zone or UTC_NAME))


def known_zone(name: str, pointer: str) -> str:
    """The name, if IANA's database has such a time zone. Raises Invalid otherwise."""
    if name not in NAMES:
        raise Invalid(pointer, "time-zone", f"expected an IANA time zone like Europe/Berlin, found {name[:50]!r}")
    return name


def _in_utc(at: datetime | None) -> datetime | None:
    try:
        return None if at is None else at.astimezone(UTC)
    except OverflowError:
        raise Invalid("/due_at", "out-of-range", "expected a time between the years 1 and 9999 in UTC") from None


def recur(task: TaskState, status: Status, at: datetime) -> TaskRecurred | None:
    """The next occurrence after this one is completed: the first slot after this occurrence's slot and after now; None
    if there is none."""
    if task.recurrence is None or task.series is None:
        return None
    series, zone = task.series, task.time_zone or UTC_NAME
    after = max(series.slot, _day_before(at, zone) if series.days else at)
    slot = next_slot(task.recurrence, series.start, after, zone, days=series.days)
    if slot is None:
        return None
    due_on = slot.date() if series.days else None
    return TaskRecurred(
        occurrence_at=task.due_at,
        occurrence_on=task.due_on,
        due_at=None if series.days else slot,
        due_on=due_on,
        day_ends_at=end_of(due_on, zone),
        status=status.key,
        category=status.category,
        unticked=tuple(item.id for item in task.checklist if item.done),
    )


def _day_before(at: datetime, zone: str) -> datetime:
    """The last day that has ended by a moment, as a slot."""
    try:
        today = to_local(at, zone_of(zone)).date()
        return midnight(today if day_end(today, zone_of(zone)) <= at else today - _DAY)
    except OverflowError:
        return midnight(at.date())


# --- handlers ------------------------------------------------------------------------------------


async def zone_for(unit: UnitOfWork, requested: Schedule, task: TaskState | None = None) -> str:
    """The zone in the sender's settings, if the command needs one. The append then checks the version of the sender's
    stream too."""
    if unit.actor is None or requested == Schedule() or not requested.takes_a_zone(task):
        return UTC_NAME
    user = await unit.read(USER, unit.actor)
    return UTC_NAME if user is None else zone_in(user.settings)


def zone_in(settings: Settings | None) -> str:
    """The zone in a person's settings; UTC if they have none."""
    found = None if settings is None else settings.get(SETTING)
    return found if isinstance(found, str) and found in NAMES else UTC_NAME
