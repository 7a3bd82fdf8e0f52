"""A project's tasks counted every way at once, as MongoDB's query and its answer. Pure.

Statuses are those that tasks last entered: what stands for them today is for whoever asks to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.streams.task import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ASSIGNEES_MAX: Final = 50


class Counts(Struct, frozen=True, kw_only=True):
    """Tasks outside the trash, but for `trashed`. `assignees`: those with the most tasks, most first."""

    statuses: dict[str, int]
    priorities: dict[str, int]
    assignees: tuple[tuple[UUID, int], ...]
    unassigned: int
    overdue: int
    trashed: int

    @property
    def total(self) -> int:
        return sum(self.statuses.values())


def pipeline(project_id: UUID, *, over: Collection[str], at: int) -> list[dict[str, Any]]:
    """`over`: statuses in which nothing is overdue any more. `at`: microseconds since 1970."""
    mine: dict[str, Any] = {"project_id": project_id}
    live = {"$match": {"trashed": False}}
    by_count = {"$sort": {"count": -1, "_id": 1}}
    return [
        {"$match": mine | {"trashed": {"$in": [False, True]}}},
        {"$project": {"_id": 0, "trashed": 1, "status": 1, "priority": 1, "assignee_id": 1, "due_at": 1}},
        {
            "$facet": {
                "statuses": [live, _by("status")],
                "priorities": [live, _by("priority")],
                "assignees": [
                    {"$match": {"trashed": False, "assignee_id": {"$ne": None}}},
                    _by("assignee_id"),
                    by_count,
                    {"$limit": ASSIGNEES_MAX},
                ],
                "unassigned": [{"$match": {"trashed": False, "assignee_id": None}}, {"$count": "count"}],
                "overdue": [
                    {"$match": {"trashed": False, "due_at": {"$lt": at}, "status": {"$nin": sorted(over)}}},
                    {"$count": "count"},
                ],
                "trashed": [{"$match": {"trashed": True}}, {"$count": "count"}],
            }
        },
    ]


def _by(field: str) -> dict[str, Any]:
    return {"$group": {"_id": f"${field}", "count": {"$sum": 1}}}


def counts_of(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Counts:
    """The one document that the pipeline gives."""

    def single(name: str) -> int:
        return sum(int(one["count"]) for one in found[name])

    return Counts(
        statuses={one["_id"]: int(one["count"]) for one in found["statuses"]},
        priorities={PRIORITIES[int(one["_id"])]: int(one["count"]) for one in found["priorities"]},
        assignees=tuple((one["_id"], int(one["count"])) for one in found["assignees"]),
        unassigned=single("unassigned"),
        overdue=single("overdue"),
        trashed=single("trashed"),
    )
