"""A workflow: statuses in order, the changes between them that are allowed, and what takes the place of a status
that left."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct

from tests.api.model.refusals import Reason, fault, rule


class Status(Struct, frozen=True):
    key: str
    name: str
    category: str


class Workflow(Struct, frozen=True):
    """`transitions` of None: every change is allowed. `mapped`: statuses that left, and what stands for them."""

    statuses: tuple[Status, ...]
    transitions: tuple[tuple[str, str], ...] | None = None
    mapped: Mapping[str, str] = {}

    def find(self, key: str) -> Status | None:
        return next((status for status in self.statuses if status.key == key), None)

    def today(self, key: str) -> Status | None:
        """What a status that a task once entered is now."""
        return self.find(self.mapped.get(key, key))

    def first(self, category: str) -> Status | None:
        return next((status for status in self.statuses if status.category == category), None)

    @property
    def initial(self) -> Status:
        return self.first("todo") or self.statuses[0]

    def allows(self, from_key: str, to_key: str) -> bool:
        return self.transitions is None or (from_key, to_key) in self.transitions

    def shown(self) -> dict[str, Any]:
        transitions = self.transitions
        return {
            "statuses": [{"key": one.key, "name": one.name, "category": one.category} for one in self.statuses],
            "transitions": None if transitions is None else [{"from": a, "to": b} for a, b in transitions],
        }

    def is_as(self, other: Workflow) -> bool:
        """Whatever once stood for what."""
        return (self.statuses, self.transitions) == (other.statuses, other.transitions)


DEFAULT = Workflow(
    (
        Status("todo", "To do", "todo"),
        Status("in_progress", "In progress", "in_progress"),
        Status("done", "Done", "done"),
        Status("cancelled", "Cancelled", "cancelled"),
    )
)


def sent(body: Mapping[str, Any]) -> Workflow:
    """The workflow of a request."""
    transitions = body.get("transitions")
    return Workflow(
        tuple(Status(one["key"], one["name"], one["category"]) for one in body["statuses"]),
        None if transitions is None else tuple((one["from"], one["to"]) for one in transitions),
    )


def against(old: Workflow, new: Workflow, mapping: Mapping[str, str], entered: Collection[str]) -> Iterator[Reason]:
    """What stands against a workflow that comes after another. `entered`: by tasks of the project, those in the
    trash included, as they last entered them."""
    leaving = {status.key for status in old.statuses if new.find(status.key) is None}
    for key, to in mapping.items():
        if key not in leaving:
            yield fault("stays")
        if new.find(to) is None:
            yield fault("no-such-status")
    for key in leaving - mapping.keys():
        if any(old.mapped.get(one, one) == key for one in entered):
            yield rule("status-in-use")
    for status in new.statuses:
        if status.key in old.mapped and status.key in entered:
            yield rule("status-mapped")


def following(old: Workflow, new: Workflow, mapping: Mapping[str, str]) -> Workflow:
    """The new workflow, with what stands for every status that ever left."""

    def place_of(status: Status) -> str:
        return mapping.get(status.key) or (new.first(status.category) or new.initial).key

    left = {status.key: place_of(status) for status in old.statuses if new.find(status.key) is None}
    earlier = {key: left.get(to, to) for key, to in old.mapped.items()}
    mapped = {key: to for key, to in (earlier | left).items() if new.find(key) is None}
    return Workflow(new.statuses, new.transitions, mapped)
