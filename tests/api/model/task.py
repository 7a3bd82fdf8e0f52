"""A task: what it is after each change, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tests.api.model.workflow import Status, Workflow


class Comment(Struct, frozen=True):
    id: str
    author: str
    body: str
    created_at: str
    edited_at: str | None = None


class Item(Struct, frozen=True):
    """Of the checklist, which is in the order of ranks."""

    id: str
    text: str
    rank: str
    done: bool = False


class Relation(Struct, frozen=True, order=True):
    type: str
    task_id: str


class Series(Struct, frozen=True):
    """From when its rule is counted, and the slot of the present occurrence. A day is its midnight in UTC."""

    start: str
    slot: str
    days: bool = False


class Facts(Struct, frozen=True, kw_only=True):
    """What is so at one version. `status` is the one that was last entered, `category` what it was then."""

    project: str
    title: str
    description: str
    priority: str
    status: str
    category: str
    due_at: str | None
    due_on: str | None
    zone: str | None
    labels: frozenset[str]
    assignee: str | None
    parent: str | None
    rank: str
    recurrence: str | None
    series: Series | None
    created_by: str
    created_at: str
    updated_at: str
    started_at: str | None
    completed_at: str | None
    trashed_at: str | None = None
    comments: tuple[Comment, ...] = ()
    items: tuple[Item, ...] = ()
    relations: frozenset[Relation] = frozenset()
    version: int = 1

    def comment(self, comment_id: str) -> Comment | None:
        return next((one for one in self.comments if one.id == comment_id), None)

    def item(self, item_id: str) -> Item | None:
        return next((one for one in self.items if one.id == item_id), None)


class Change(Struct, frozen=True):
    """What one command did: versions `first` to `last`. `undoes`: the `first` of the change that it is an undo of.
    `along`: the other tasks that it changed, with the `first` of each one's change. `hidden`: no undo sees it, for all
    of it was annulled, or it annuls. `before` and `after` are without what is annulled today."""

    first: int
    last: int
    before: Facts
    after: Facts
    undoes: int | None = None
    along: Mapping[str, int] = {}
    hidden: bool = False


class Task(Struct, frozen=True):
    """`seen`: what it was shown as at a version, by the workflow of that moment."""

    id: str
    now: Facts
    position: int
    changes: tuple[Change, ...] = ()
    seen: Mapping[int, dict[str, Any]] = {}


class Draft:
    """A task while a command changes it: each change is one event."""

    def __init__(self, facts: Facts, at: str) -> None:
        self.facts = facts
        self.at = at

    def set(self, **changed: Any) -> None:
        self.facts = replace(self.facts, version=self.facts.version + 1, updated_at=self.at, **changed)

    def set_due(self, due_at: str | None, due_on: str | None, zone: str | None, *, anew: bool = False) -> None:
        """Moving an occurrence leaves its series as it is, unless it begins `anew`."""
        series = begun(due_at, due_on, self.at) if anew else self.facts.series
        self.set(due_at=due_at, due_on=due_on, zone=zone, series=series)

    def set_recurrence(self, rule: str | None, zone: str | None) -> None:
        series = None if rule is None else begun(self.facts.due_at, self.facts.due_on, self.at)
        self.set(recurrence=rule, zone=zone, series=series)

    def enter(self, status: Status, **more: Any) -> None:
        self.set(**entered(self.facts, status, self.at), **more)

    def set_items(self, items: tuple[Item, ...]) -> None:
        self.set(items=tuple(sorted(items, key=lambda one: (one.rank, one.id))))


def begun(due_at: str | None, due_on: str | None, at: str) -> Series:
    start = f"{due_on}T00:00:00.000000Z" if due_on is not None else due_at or at
    return Series(start, start, due_on is not None)


def entered(facts: Facts, status: Status, at: str) -> dict[str, Any]:
    """When it was first started stays; when it was completed is told for as long as it is done."""
    stays_done = facts.category == status.category == "done"
    done_at = facts.completed_at if stays_done else at
    return {
        "status": status.key,
        "category": status.category,
        "started_at": facts.started_at or (at if status.category == "in_progress" else None),
        "completed_at": done_at if status.category == "done" else None,
    }


def status_of(facts: Facts, workflow: Workflow) -> Status:
    """What it is in today."""
    return workflow.today(facts.status) or Status(facts.status, facts.status, facts.category)


def shown(task_id: str, facts: Facts, workflow: Workflow, names: Mapping[str, str]) -> dict[str, Any]:
    """As the API answers it, but for what has no order there: that is sorted."""
    status = status_of(facts, workflow)
    return {
        "id": task_id,
        "project_id": facts.project,
        "external_id": None,
        "title": facts.title,
        "description": facts.description,
        "priority": facts.priority,
        "due_at": facts.due_at,
        "due_on": facts.due_on,
        "time_zone": facts.zone,
        "labels": sorted(facts.labels),
        "parent_id": facts.parent,
        "rank": facts.rank,
        "recurrence": facts.recurrence,
        "created_by": facts.created_by,
        "created_at": facts.created_at,
        "updated_at": facts.updated_at,
        "started_at": facts.started_at,
        "completed_at": facts.completed_at,
        "comment_count": len(facts.comments),
        "checklist": [{"id": one.id, "text": one.text, "done": one.done} for one in facts.items],
        "relations": [{"type": one.type, "task_id": one.task_id} for one in sorted(facts.relations)],
        "trashed_at": facts.trashed_at,
        "version": facts.version,
        "status": status.key,
        "status_category": status.category,
        "assignee": None if facts.assignee is None else {"id": facts.assignee, "name": names[facts.assignee]},
    }
