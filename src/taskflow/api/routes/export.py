"""A project as a file, JSON or CSV: what `taskflow import --format taskflow` makes the same project of again.

one look at the view ─▶ pages of tasks ─▶ names joined ─▶ pieces of the answer; `export_csv` makes rows of them
The first page is read before anything is answered; after that nothing is held but the page at hand. Whom access is
withdrawn from in the middle gets no more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from litestar import Response
from msgspec import Raw, Struct

from taskflow.api import render
from taskflow.api.concurrency_limits import Work
from taskflow.api.export_csv import CSV, header, line, project_line
from taskflow.api.project_reads import load_one
from taskflow.api.reads import COMMON, Source, begin
from taskflow.api.route import BASE, Call, Route
from taskflow.api.streamed import Streamed
from taskflow.errors import Forbidden
from taskflow.off_loop import on_thread
from taskflow.projections.tasks import shown
from taskflow.streams.project import Label, Role, Workflow
from taskflow.streams.task import TaskState
from taskflow.timestamps import Timestamp, timestamp, timestamp_or_none

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.readmodels.read_models import ReadModels
    from taskflow.streams.project import ProjectState

JSON: Final = "application/json"
FORMAT_VERSION: Final = 1


class ExportedProject(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    description: str
    workflow: Workflow
    labels: tuple[Label, ...]
    archived_at: Timestamp | None
    created_at: Timestamp


class ExportedMember(Struct, frozen=True):
    id: UUID
    name: str | None
    role: Role


class ExportedComment(Struct, frozen=True):
    id: UUID
    author: render.Person | None
    body: str
    created_at: Timestamp
    edited_at: Timestamp | None


class ExportedSeries(Struct, frozen=True):
    """Where the rule is counted from, and which of its slots the present occurrence fills; `days`: each is a day,
    and stands as its midnight in UTC."""

    start: Timestamp
    slot: Timestamp
    days: bool


class ExportedTask(render.TaskBody, frozen=True, kw_only=True):
    """A task as it is read, with its comments and its series; only the document is made from it, see `_task`."""

    comments: tuple[ExportedComment, ...]
    series: ExportedSeries | None


class Export(Struct, frozen=True, kw_only=True):
    """The whole file. `people`: whoever is named in the tasks and is no member."""

    format: Literal["taskflow"]
    version: int
    position: int
    project: ExportedProject
    members: list[ExportedMember]
    tasks: list[ExportedTask]
    people: list[render.Person]


async def export_project(call: Call) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call)
    form = reading.preferred((JSON, CSV))
    call.hold(Work.EXPORT)
    project = await load_one(reading, project_id)
    context = reading.context
    names = await reading.names(project.members)

    async def begun(models: ReadModels) -> tuple[list[TaskState], AsyncGenerator[list[TaskState], None]]:
        pages = _seen(context, call, project_id, models.exported.tasks(project_id))
        return await anext(pages), pages

    first, pages = await reading.read(begun, Source("tasks", projects=[project_id]))
    head = _head(project, names, reading.position)
    pieces = (_csv if form == CSV else _json)(context, project, head, first, pages)
    suffix = "csv" if form == CSV else "json"
    headers = reading.headers | {"Content-Disposition": f'attachment; filename="project-{project_id}.{suffix}"'}
    return Streamed(lambda _: pieces, media_type=form, headers=headers)


async def _seen(
    context: Context, call: Call, project_id: UUID, pages: AsyncGenerator[list[TaskState], None]
) -> AsyncGenerator[list[TaskState], None]:
    """Pages of tasks, for as long as the caller may see them. Raises Forbidden."""
    try:
        async for page in pages:
            await context.follower.ready()
            call.still_signed_in()
            if context.follower.known_role(project_id, call.user) is None:
                raise Forbidden("access was withdrawn while this was sent")
            yield page
    finally:
        await pages.aclose()


async def _all(
    first: list[TaskState], pages: AsyncGenerator[list[TaskState], None]
) -> AsyncGenerator[list[TaskState], None]:
    try:
        yield first
        async for page in pages:
            yield page
    finally:
        await pages.aclose()


async def _names(context: Context, tasks: list[TaskState]) -> dict[UUID, str | None]:
    """Of everybody who is named in these tasks."""
    ids = {task.assignee_id for task in tasks} | {task.created_by for task in tasks}
    ids |= {comment.author_id for task in tasks for comment in task.comments}
    names, _ = await context.people.names([one for one in ids if one is not None])
    return names


async def _json(
    context: Context,
    project: ProjectState,
    head: bytes,
    first: list[TaskState],
    pages: AsyncGenerator[list[TaskState], None],
) -> AsyncGenerator[bytes, None]:
    yield head[:-1] + b',"tasks":['
    met: dict[UUID, str | None] = {}
    between = b"\n"
    async for page in _all(first, pages):
        async with context.slots.page_turn:
            names = await _names(context, page)
            met |= {one: name for one, name in names.items() if one not in project.members}
            tasks = [bytes(_task(project, task, names)) for task in page]
        for task in tasks:
            yield between + task
            between = b",\n"
    yield b'\n],"people":%b}\n' % render.ENCODER.encode([render.Person(one, name) for one, name in met.items()])


async def _csv(
    context: Context,
    project: ProjectState,
    head: bytes,
    first: list[TaskState],
    pages: AsyncGenerator[list[TaskState], None],
) -> AsyncGenerator[bytes, None]:
    yield header() + project_line(head)
    async for page in _all(first, pages):
        async with context.slots.page_turn:
            names = await _names(context, page)
            lines = await on_thread(_lines, project, page, names)
        if lines:
            yield lines


def _lines(project: ProjectState, tasks: list[TaskState], names: dict[UUID, str | None]) -> bytes:
    """On a thread: writing CSV takes long where texts are."""
    return b"".join([line(_task(project, task, names), _author(task, names)) for task in tasks])


def _author(task: TaskState, names: dict[UUID, str | None]) -> str | None:
    return None if task.created_by is None else names.get(task.created_by)


def _head(project: ProjectState, members: dict[UUID, str | None], position: int) -> bytes:
    """The JSON of an Export without its tasks and people."""
    encode = render.ENCODER.encode
    roles = [ExportedMember(user_id, members.get(user_id), role) for user_id, role in project.members.items()]
    return b'{"format":"taskflow","version":%d,"position":%d,"project":%b,"members":%b}' % (
        FORMAT_VERSION,
        position,
        encode(_project(project)),
        encode(roles),
    )


def _project(project: ProjectState) -> ExportedProject:
    return ExportedProject(
        id=project.id,
        name=project.name,
        description=project.description,
        workflow=project.workflow,
        labels=project.labels,
        archived_at=timestamp_or_none(project.archived_at),
        created_at=timestamp(project.created_at),
    )


def _task(project: ProjectState, task: TaskState, names: dict[UUID, str | None]) -> Raw:
    """The JSON of an ExportedTask."""
    comments = [
        ExportedComment(
            comment.id,
            render.person(comment.author_id, names),
            comment.body,
            timestamp(comment.created_at),
            timestamp_or_none(comment.edited_at),
        )
        for comment in task.comments
    ]
    body = bytes(render.task(shown(task), project.statuses, names))
    series = (
        None
        if task.series is None
        else ExportedSeries(timestamp(task.series.start), timestamp(task.series.slot), task.series.days)
    )
    return Raw(b'%b,"comments":%b,"series":%b}' % (body[:-1], *map(render.ENCODER.encode, (comments, series))))


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/projects/{{project_id:str}}/export",
        export_project,
        "A project as a file",
        answer=Export,
        query=COMMON,
        also=(CSV,),
    ),
)
