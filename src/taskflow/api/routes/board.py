"""A project's board: counts and the first tasks of each status, now or at a point in time."""

from __future__ import annotations

from typing import Final

from litestar import Response

from taskflow.api import historical_boards, render
from taskflow.api.concurrency_limits import Work
from taskflow.api.historical_tasks import POINT_IN_TIME, moment_of
from taskflow.api.project_reads import load_one
from taskflow.api.reads import COMMON, Source, begin
from taskflow.api.render import BoardBody
from taskflow.api.route import BASE, RequestContext, Route


async def get_board(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    moment = moment_of(call.parameters)
    reading = await begin(call)
    if moment is not None:
        call.hold(Work.PAST_BOARD)
        return await historical_boards.answer(reading, project_id, moment)
    project = await load_one(reading, project_id)
    board = await reading.read_cached(
        lambda models: models.boards.get(project, at_least=reading.min_position),
        Source("tasks", projects=[project_id]),
    )
    statuses = board.statuses
    shown = [task for column in board.tasks.values() for task in column.tasks]
    people = {task.assignee_id for task in shown if task.assignee_id is not None}
    names = await reading.names(people)
    columns = [
        {
            "status": status.key,
            "name": status.name,
            "category": status.category,
            "count": sum(board.counts.get(raw, 0) for raw in statuses.aliases_of(status.key)),
            "tasks": [render.task(task, statuses, names) for task in board.tasks[status.key].tasks],
            "more": board.tasks[status.key].more,
        }
        for status in statuses.workflow.statuses
    ]
    return reading.unversioned({"columns": columns})


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/projects/{{project_id:str}}/board",
        get_board,
        "A project's board, also as it was",
        answer=BoardBody,
        query=(*POINT_IN_TIME, *COMMON),
    ),
)
