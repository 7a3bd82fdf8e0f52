"""Statistics of a project's tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from taskflow.api.project_reads import load_one
from taskflow.api.reads import COMMON, Source, begin
from taskflow.api.render import Person
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.dates.timestamps import micros
from taskflow.streams.project import CATEGORIES, CLOSED, Category
from taskflow.streams.task import PRIORITIES, Priority

if TYPE_CHECKING:
    from litestar import Response

    from taskflow.readmodels.stats import Counts
    from taskflow.streams.project import Statuses


class StatusCount(Struct, frozen=True, kw_only=True):
    status: str
    name: str
    category: Category
    count: int


class AssigneeCount(Struct, frozen=True):
    assignee: Person
    count: int


class StatsBody(Struct, frozen=True, kw_only=True):
    """Tasks outside the trash, but for `trashed`. `by_assignee`: those with the most tasks, at most 50.
    `overdue`: due before now, and in no status of `done` or `cancelled`."""

    total: int
    trashed: int
    unassigned: int
    overdue: int
    by_status: list[StatusCount]
    by_category: dict[Category, int]
    by_priority: dict[Priority, int]
    by_assignee: list[AssigneeCount]


async def get_stats(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call)
    statuses = (await load_one(reading, project_id)).statuses
    over = [
        raw
        for status in statuses.workflow.statuses
        if status.category in CLOSED
        for raw in statuses.aliases_of(status.key)
    ]
    counts = await reading.read(
        lambda models: models.views.stats(project_id, over=over, at=micros(datetime.now(UTC)) or 0),
        Source("tasks", projects=[project_id]),
    )
    names = await reading.names([assignee for assignee, _ in counts.assignees])
    return reading.unversioned(_body(counts, statuses, [Person(one, names.get(one)) for one, _ in counts.assignees]))


def _body(counts: Counts, statuses: Statuses, assignees: list[Person]) -> StatsBody:
    by_status = [
        StatusCount(
            status=status.key,
            name=status.name,
            category=status.category,
            count=sum(counts.statuses.get(raw, 0) for raw in statuses.aliases_of(status.key)),
        )
        for status in statuses.workflow.statuses
    ]
    return StatsBody(
        total=counts.total,
        trashed=counts.trashed,
        unassigned=counts.unassigned,
        overdue=counts.overdue,
        by_status=by_status,
        by_category={
            category: sum(one.count for one in by_status if one.category == category) for category in CATEGORIES
        },
        by_priority={priority: counts.priorities.get(priority, 0) for priority in PRIORITIES},
        by_assignee=[
            AssigneeCount(person, count) for person, (_, count) in zip(assignees, counts.assignees, strict=True)
        ],
    )


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/projects/{{project_id:str}}/stats",
        get_stats,
        "A project's tasks in numbers",
        answer=StatsBody,
        query=COMMON,
    ),
)
