"""Statistics of a project's tasks: the MongoDB pipeline, and the decoding of its result. Pure.

Statuses are the stored ones; callers resolve them to the statuses of the current workflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.projections.declarations.task_fields import ASSIGNEE_ID, DUE_AT, PRIORITY, PROJECT_ID, STATUS, TRASHED
from taskflow.streams.task import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ASSIGNEES_MAX: Final = 50


class Counts(Struct, frozen=True, kw_only=True):
    """Numbers of tasks outside the trash, except `trashed`. `assignees`: the users with the most tasks, most first."""

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
    """Returns the pipeline. `over`: stored statuses in which no task is overdue. `at`: the current time in
    microseconds since 1970."""
    mine: dict[str, Any] = {PROJECT_ID: project_id}
    live = {"$match": {TRASHED: False}}
    by_count = {"$sort": {"count": -1, "_id": 1}}
    return [
        {"$match": mine | {TRASHED: {"$in": [False, True]}}},
        {"$project": {"_id": 0, TRASHED: 1, STATUS: 1, PRIORITY: 1, ASSIGNEE_ID: 1, DUE_AT: 1}},
        {
            "$facet": {
                "statuses": [live, _by(STATUS)],
                "priorities": [live, _by(PRIORITY)],
                "assignees": [
                    {"$match": {TRASHED: False, ASSIGNEE_ID: {"$ne": None}}},
                    _by(ASSIGNEE_ID),
                    by_count,
                    {"$limit": ASSIGNEES_MAX},
                ],
                "unassigned": [{"$match": {TRASHED: False, ASSIGNEE_ID: None}}, {"$count": "count"}],
                "overdue": [
                    {"$match": {TRASHED: False, DUE_AT: {"$lt": at}, STATUS: {"$nin": sorted(over)}}},
                    {"$count": "count"},
                ],
                "trashed": [{"$match": {TRASHED: True}}, {"$count": "count"}],
            }
        },
    ]


def _by(field: str) -> dict[str, Any]:
    return {"$group": {"_id": f"${field}", "count": {"$sum": 1}}}


def counts_of(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Counts:
    """Decodes the one document that the pipeline returns."""

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
