"""Changes of status; and when a task that recurs is due next, in local time of its zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count, islice, takewhile
from typing import Final

from tests.api.model.refusals import Reason, fault, rule
from tests.api.model.task import Draft, Item, Series, status_of
from tests.api.model.times import day_end, moment, on_the_wall, read, written
from tests.api.model.workflow import Status, Workflow

DAYS_MAX: Final = 4_000
"""Through which an occurrence is looked for."""
DAILY: Final = "FREQ=DAILY"
FORTNIGHTLY: Final = "FREQ=WEEKLY;INTERVAL=2"
TWICE: Final = "FREQ=DAILY;COUNT=2"
UNTIL: Final = "FREQ=DAILY;UNTIL=20310603T000000Z"
UNTIL_DAY: Final = "FREQ=DAILY;UNTIL=20310603"
AT_NIGHT: Final = "FREQ=DAILY;BYHOUR=2"
"""When clocks change."""
LAST_OF_LONG_MONTHS: Final = "FREQ=MONTHLY;BYMONTHDAY=31"
HOURLY: Final = "FREQ=HOURLY"
"""None that there is."""
_UNTIL_AT: Final = read("2031-06-03T00:00:00Z")
_OF_TIMES: Final = (UNTIL, AT_NIGHT)
"""Rules that a task cannot have that is due on a day; and the other way round."""
_OF_ALL_DAY: Final = (UNTIL_DAY,)
_OF_DAYS: Final[dict[str, Callable[[Iterator[datetime]], Iterator[datetime]]]] = {
    DAILY: lambda days: days,
    FORTNIGHTLY: lambda days: islice(days, 0, None, 14),
    TWICE: lambda days: islice(days, 2),
    UNTIL: lambda days: days,
    UNTIL_DAY: lambda days: days,
    AT_NIGHT: lambda days: (day.replace(hour=2) for day in days),
    LAST_OF_LONG_MONTHS: lambda days: filter(lambda day: day.day == 31, days),
}
"""Which of the days from the first occurrence on."""


def plain(text: str) -> str:
    """A rule as it is kept."""
    return text.upper().removeprefix("RRULE:")


def slots(rule: str, series: Series, zone: str) -> Iterator[datetime]:
    """From the first on. There are no fractions of a second in rules."""
    where = "UTC" if series.days else zone
    start = on_the_wall(series.start, where)
    days = _OF_DAYS[rule](start.replace(microsecond=0) + timedelta(days=n) for n in count())
    found = (moment(day, where) for day in days if day >= start.replace(microsecond=0))
    return takewhile(lambda at: at <= _UNTIL_AT, found) if rule in {UNTIL, UNTIL_DAY} else found


def against_rule(text: str, series: Series, zone: str) -> Iterator[Reason]:
    if text not in _OF_DAYS or not fits(text, days=series.days) or next(slots(text, series, zone), None) is None:
        yield fault("rule")


def fits(rule: str, *, days: bool) -> bool:
    return rule not in (_OF_TIMES if days else _OF_ALL_DAY)


def due_next(draft: Draft) -> Series | None:
    """Once this occurrence is completed: at the first slot after its own that has not passed yet."""
    facts = draft.facts
    if facts.recurrence is None or facts.series is None:
        return None
    series, zone = facts.series, facts.zone or "UTC"

    def is_later(slot: datetime) -> bool:
        passed = day_end(written(slot)[:10], zone) if series.days else slot
        return slot > read(series.slot) and passed > read(draft.at)

    latest = max(read(draft.at), read(series.slot)) + timedelta(days=DAYS_MAX)
    found = takewhile(lambda at: at < latest, slots(facts.recurrence, series, zone))
    following = next(filter(is_later, found), None)
    return None if following is None else Series(series.start, written(following), series.days)


def change(draft: Draft, workflow: Workflow, to: str | None) -> Iterator[Reason]:
    """Puts a task into a status, and tells what stands against that. None: there is no such status. One that is
    due again is open again at once."""
    status = None if to is None else workflow.find(to)
    if status is None:
        yield rule("no-such-status")
        return
    today = status_of(draft.facts, workflow)
    if status.key == today.key:
        return
    if not workflow.allows(today.key, status.key):
        yield rule("transition")
    completes = status.category == "done" and today.category != "done"
    series = due_next(draft) if completes else None
    if series is None:
        draft.enter(status)
        return
    due_at, due_on = (None, series.slot[:10]) if series.days else (series.slot, None)
    unticked = tuple(Item(one.id, one.text, one.rank) for one in draft.facts.items)
    draft.enter(workflow.initial, due_at=due_at, due_on=due_on, series=series, items=unticked)


def first_of(workflow: Workflow, category: str) -> str | None:
    found: Status | None = workflow.first(category)
    return None if found is None else found.key
