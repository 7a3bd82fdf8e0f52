"""When a task is due and how that repeats, as somebody sets it: at a moment or on a day, in a zone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.api.model.completion import against_rule, fits, plain
from tests.api.model.refusals import Reason, fault
from tests.api.model.task import Draft, Facts, Series, begun
from tests.api.model.times import normal

ZONES = ("UTC", "Europe/Berlin", "Pacific/Auckland")
"""Those that there are here."""


class Schedule:
    """What `data` says of it, with what it leaves as it was; `home` is the zone of whoever says so."""

    def __init__(self, data: Mapping[str, Any], now: Facts | None, home: str) -> None:
        self.data, self.now = data, now
        self.due_at, self.due_on = (None, None) if now is None else (now.due_at, now.due_on)
        if "due_at" in data:
            self.due_at = normal(data["due_at"])
            self.due_on = self.due_on if self.due_at is None else None
        if "due_on" in data:
            self.due_on = data["due_on"]
            self.due_at = self.due_at if self.due_on is None else None
        self.rule = None if now is None else now.recurrence
        if "recurrence" in data:
            self.rule = None if data["recurrence"] is None else plain(data["recurrence"])
        self.zone: str | None = data.get("time_zone", None if now is None else now.zone)
        touched = {"due_at", "due_on", "recurrence", "time_zone"} & data.keys()
        if touched and self.zone is None and (self.due_at, self.due_on, self.rule) != (None, None, None):
            self.zone = home

    @property
    def moved(self) -> bool:
        return self.now is None or (self.due_at, self.due_on) != (self.now.due_at, self.now.due_on)

    @property
    def begins(self) -> bool:
        """A rule that is named begins anew, unless all is as it was."""
        return self.rule is not None and "recurrence" in self.data and (self.moved or self.rule != self.before)

    @property
    def before(self) -> str | None:
        return None if self.now is None else self.now.recurrence

    def series(self, at: str) -> Series | None:
        return None if self.rule is None else begun(self.due_at, self.due_on, at)

    def against(self, at: str) -> Iterator[Reason]:
        if self.data.get("due_at") is not None and self.data.get("due_on") is not None:
            yield fault("contradiction")
        if self.data.get("time_zone") not in {None, *ZONES}:
            yield fault("time-zone")
            return
        if self.begins:
            yield from against_rule(self.rule or "", begun(self.due_at, self.due_on, at), self.zone or "UTC")
            return
        moved_to = self.moved and (self.due_at, self.due_on) != (None, None)
        if moved_to and self.rule is not None and not fits(self.rule, days=self.due_on is not None):
            yield fault("rule")

    def set_on(self, draft: Draft) -> None:
        """An event for the due and its zone, and one for the rule, which brings the zone where no day ends in it."""
        ruled = self.rule != draft.facts.recurrence
        rezoned = self.zone != draft.facts.zone
        if self.moved or (rezoned and (not ruled or self.due_on is not None)):
            draft.set_due(self.due_at, self.due_on, self.zone, anew=self.begins and not ruled)
        if ruled:
            draft.set_recurrence(self.rule, self.zone)
