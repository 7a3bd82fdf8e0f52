"""Tasks over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from litestar import Response
from msgspec import Struct

from taskflow.api import encoding, historical_tasks, render
from taskflow.api.committed_state import committed
from taskflow.api.joins import joins
from taskflow.api.project_reads import of_projects
from taskflow.api.reads import COMMON, PAGED, Source, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.errors import NotFound, Unavailable
from taskflow.projections.declarations.tasks import shown
from taskflow.query.task_query import FILTERS, TaskQuery, parse_task_query
from taskflow.readmodels.pages import KeptTask, PageKey
from taskflow.readmodels.queries import Page, TaskFilter, all_pairs, status_pairs
from taskflow.streams import TASK

if TYPE_CHECKING:
    from taskflow.api.reads import Reading
    from taskflow.readmodels.read_models import ReadModels


async def list_tasks(call: RequestContext) -> Response[bytes]:
    asked = parse_task_query(call.parameters)
    reading = await begin(call, paged=True)
    for project_id in asked.projects or ():
        await reading.require_member(project_id, "project", project_id)
    projects = frozenset(reading.known_projects()) if asked.projects is None else asked.projects
    pairs = None
    if asked.statuses is not None or asked.categories is not None:
        pairs = await _pairs(reading, projects, asked.statuses, asked.categories)

    async def one_page(models: ReadModels) -> Page:
        # Computed again, after the wait for the projection.
        mine = projects.intersection(reading.known_projects()) if asked.projects is None else projects
        wanted = TaskFilter.of(
            asked,
            projects=_by_archived(reading, mine, asked),
            pairs=pairs,
            assignees=_people(asked.assignees, reading.caller),
        )
        return await models.pages.get(PageKey(wanted, asked.sort, reading.limit, reading.cursor))

    page = await reading.read(one_page, Source("tasks", projects=projects))
    known = await joins(reading, page.projects, page.assignees)
    if page.rendered is None or page.rendered[0] != known:
        page.rendered = (known, encoding.listing([known.render(task) for task in page.tasks], page.next_cursor))
    return reading.listing(page.rendered[1])


def _by_archived(reading: Reading, projects: frozenset[UUID], asked: TaskQuery) -> frozenset[UUID]:
    """The projects that match `archived`, as of the follower's position. Called after the wait for the projection, when
    the follower is at least as fresh as the projection has to be."""
    if asked.archived is None and asked.projects is not None:
        return projects
    archived = reading.context.follower.archived()
    return projects & archived if asked.archived else projects - archived


def _people(assignees: frozenset[UUID | Literal["me"] | None] | None, caller: UUID) -> frozenset[UUID | None] | None:
    return None if assignees is None else frozenset(caller if one == "me" else one for one in assignees)


async def _pairs(
    reading: Reading, projects: frozenset[UUID], keys: frozenset[str] | None, categories: frozenset[str] | None
) -> frozenset[tuple[UUID, str]]:
    """The pairs of project and status that tasks may last have entered, and that now resolve to one of the statuses or
    categories."""
    found = await of_projects(reading, projects, lambda project: status_pairs([project], keys, categories))
    return all_pairs(found.values())


async def get_task(call: RequestContext) -> Response[bytes]:
    task_id = call.id("task_id", "task")
    then = historical_tasks.requested_point(call.parameters)
    reading = await begin(call)
    if then is not None:
        return await historical_tasks.answer(reading, task_id, then)
    try:
        kept = await reading.read(lambda models: models.pages.task(task_id), Source("tasks", [task_id]))
    except Unavailable:
        kept = await _stored(reading, task_id)
    if kept is None:
        raise NotFound("task", task_id)
    task = kept.task
    await reading.require_member(task.project_id, "task", task_id)
    known = await joins(reading, {task.project_id}, set() if task.assignee_id is None else {task.assignee_id})
    if kept.rendered is None or kept.rendered[0] != known:
        body = bytes(known.render(task))
        kept.rendered = (known, body, encoding.resource_etag(task.version, body))
    return reading.encoded(*kept.rendered[1:])


async def _stored(reading: Reading, task_id: UUID) -> KeptTask | None:
    """The task from the event store, as the projection would show it; used while MongoDB is down."""
    reading.answer_from_log()
    task = await committed(reading.context.store, TASK, task_id)
    return None if task is None or task.purged else KeptTask(shown(task))


class TaskPage(Struct, frozen=True):
    items: list[render.TaskBody]
    next_cursor: str | None


ALL: Final = f"{BASE}/tasks"
ONE: Final = f"{ALL}/{{task_id:str}}"
ROUTES: Final = (
    Route("GET", ALL, list_tasks, "Tasks", answer=TaskPage, query=(*FILTERS, *PAGED)),
    Route(
        "GET",
        ONE,
        get_task,
        "A task, also as it was",
        answer=render.TaskBody,
        query=("version", *historical_tasks.POINT_IN_TIME, *COMMON),
    ),
)
