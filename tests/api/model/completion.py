"""Changes of status; and when a task that recurs is due next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count, islice, takewhile
from typing import Final

from tests.api.model.refusals import Reason, fault, rule
from tests.api.model.task import Draft, status_of
from tests.api.model.times import read, written
from tests.api.model.workflow import Status, Workflow

DAYS_MAX: Final = 4_000
"""Through which an occurrence is looked for."""
DAILY: Final = "FREQ=DAILY"
FORTNIGHTLY: Final = "FREQ=WEEKLY;INTERVAL=2"
TWICE: Final = "FREQ=DAILY;COUNT=2"
UNTIL: Final = "FREQ=DAILY;UNTIL=20310603T000000Z"
LAST_OF_LONG_MONTHS: Final = "FREQ=MONTHLY;BYMONTHDAY=31"
HOURLY: Final = "FREQ=HOURLY"
"""None that there is."""
_UNTIL_AT: Final = read("2031-06-03T00:00:00Z")
_OF_DAYS: Final[dict[str, Callable[[Iterator[datetime]], Iterator[datetime]]]] = {
    DAILY: lambda days: days,
    FORTNIGHTLY: lambda days: islice(days, 0, None, 14),
    TWICE: lambda days: islice(days, 2),
    UNTIL: lambda days: takewhile(lambda day: day <= _UNTIL_AT, days),
    LAST_OF_LONG_MONTHS: lambda days: filter(lambda day: day.day == 31, days),
}
"""Which of the days from the first occurrence on."""


def plain(text: str) -> str:
    """A rule as it is kept."""
    return text.upper().removeprefix("RRULE:")


def occurrences(rule: str, start: datetime) -> Iterator[datetime]:
    """From the first on. There are no fractions of a second in rules."""
    return _OF_DAYS[rule](start.replace(microsecond=0) + timedelta(days=n) for n in count())


def against_rule(text: str, start: str) -> Iterator[Reason]:
    if text not in _OF_DAYS or next(occurrences(text, read(start)), None) is None:
        yield fault("rule")


def due_next(draft: Draft) -> str | None:
    """Once this occurrence is completed: the first after it that has not passed yet."""
    facts = draft.facts
    if facts.recurrence is None or facts.recurs_from is None:
        return None
    after = max(read(draft.at), read(facts.due_at or draft.at))
    found = takewhile(
        lambda at: at < after + timedelta(days=DAYS_MAX), occurrences(facts.recurrence, read(facts.recurs_from))
    )
    following = next((at for at in found if at > after), None)
    return None if following is None else written(following)


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
    due_at = due_next(draft) if completes else None
    if due_at is None:
        draft.enter(status)
    else:
        draft.enter(workflow.initial, due_at=due_at)


def first_of(workflow: Workflow, category: str) -> str | None:
    found: Status | None = workflow.first(category)
    return None if found is None else found.key
