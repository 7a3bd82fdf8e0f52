"""A project as a file, from one snapshot of the projection.

The first page is read before the answer begins. If the caller loses access in the middle, the file is cut off.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final
from uuid import UUID

from litestar import Response

from taskflow.api.concurrency_limits import Work
from taskflow.api.export_csv import CSV
from taskflow.api.export_file import Export, csv_pieces, head_of, json_pieces
from taskflow.api.project_reads import load_one
from taskflow.api.reads import COMMON, Source, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.streaming_response import Streamed
from taskflow.errors import Forbidden
from taskflow.streams.task import TaskState

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.readmodels.read_models import ReadModels

JSON: Final = "application/json"


async def export_project(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call)
    form = reading.preferred((JSON, CSV))
    call.hold(Work.EXPORT)
    project = await load_one(reading, project_id)
    context = reading.context
    names = await reading.names(project.members)

    async def begun(models: ReadModels) -> tuple[list[TaskState], AsyncGenerator[list[TaskState], None]]:
        pages = _while_visible(context, call, project_id, models.exported.tasks(project_id))
        return await anext(pages), pages

    first, pages = await reading.read(begun, Source("tasks", projects=[project_id]))
    head = head_of(project, names, reading.position)
    pieces = (csv_pieces if form == CSV else json_pieces)(context, project, head, first, pages)
    suffix = "csv" if form == CSV else "json"
    headers = reading.headers | {"Content-Disposition": f'attachment; filename="project-{project_id}.{suffix}"'}
    return Streamed(lambda _: pieces, media_type=form, headers=headers)


async def _while_visible(
    context: Context, call: RequestContext, project_id: UUID, pages: AsyncGenerator[list[TaskState], None]
) -> AsyncGenerator[list[TaskState], None]:
    """The pages of tasks. Raises Forbidden once the caller may no longer see them."""
    try:
        async for page in pages:
            await context.follower.ready()
            call.still_signed_in()
            if context.follower.known_role(project_id, call.user) is None:
                raise Forbidden("access was withdrawn while the answer was sent")
            yield page
    finally:
        await pages.aclose()


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
