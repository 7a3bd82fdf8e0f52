"""A project as a file, JSON or CSV, from which `taskflow import --format taskflow` makes the same project again.

pages of tasks ─▶ names joined ─▶ pieces of the answer, as rows by `export_csv`. Only the current page is in memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from msgspec import Raw, Struct

from taskflow.api import encoding, render
from taskflow.api.export_csv import header, line, project_line
from taskflow.dates.timestamps import Timestamp, timestamp, timestamp_or_none
from taskflow.off_loop import on_thread
from taskflow.projections.declarations.tasks import shown
from taskflow.streams.project import Label, Role, Workflow
from taskflow.streams.task import TaskState

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.streams.project import ProjectState

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
    """The start from which the rule is counted, and the slot of the present occurrence; `days`: both are days, each
    written as its midnight in UTC."""

    start: Timestamp
    slot: Timestamp
    days: bool


class ExportedTask(render.TaskBody, frozen=True, kw_only=True):
    """A task as `GET` shows it, with its comments and its series. Used for the OpenAPI document only, see `_task`."""

    comments: tuple[ExportedComment, ...]
    series: ExportedSeries | None


class Export(Struct, frozen=True, kw_only=True):
    """The whole file. `people`: those who are named in the tasks and are not members."""

    format: Literal["taskflow"]
    version: int
    position: int
    project: ExportedProject
    members: list[ExportedMember]
    tasks: list[ExportedTask]
    people: list[render.Person]


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
    """The names of all people in these tasks."""
    ids = {task.assignee_id for task in tasks} | {task.created_by for task in tasks}
    ids |= {comment.author_id for task in tasks for comment in task.comments}
    names, _ = await context.user_directory.names([one for one in ids if one is not None])
    return names


async def json_pieces(
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
    yield b'\n],"people":%b}\n' % encoding.ENCODER.encode([render.Person(one, name) for one, name in met.items()])


async def csv_pieces(
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
    """The rows of tasks. Runs in a thread, since writing long texts as CSV takes time."""
    return b"".join([line(_task(project, task, names), _author(task, names)) for task in tasks])


def _author(task: TaskState, names: dict[UUID, str | None]) -> str | None:
    return None if task.created_by is None else names.get(task.created_by)


def head_of(project: ProjectState, members: dict[UUID, str | None], position: int) -> bytes:
    """The JSON of an Export without its tasks and people."""
    encode = encoding.ENCODER.encode
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
    return Raw(b'%b,"comments":%b,"series":%b}' % (body[:-1], *map(encoding.ENCODER.encode, (comments, series))))
