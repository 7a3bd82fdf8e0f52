"""A project's board: counts and the first tasks of each status, through Redis.

The entry `board:<id>` holds no names: they are joined at the read, like everywhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from litestar import Response
from msgspec import Struct

from taskflow.api import historical_boards, render
from taskflow.api.concurrency_limits import Work
from taskflow.api.historical_tasks import AT, moment_of
from taskflow.api.project_reads import load_one
from taskflow.api.reads import COMMON, Reading
from taskflow.api.render import BoardBody
from taskflow.api.route import BASE, Call, Route
from taskflow.projections.tasks import board_key
from taskflow.readmodels.queries import BoardColumn
from taskflow.streams.project import Statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.streams.project import ProjectState


class Board(Struct, frozen=True):
    """What Redis keeps: the workflow, by status the number of tasks and the first of them, all of one moment.
    Counts are by what tasks last entered, tasks by what stands for it."""

    statuses: Statuses
    counts: dict[str, int]
    tasks: dict[str, BoardColumn]


_decoder: Final = msgspec.json.Decoder(Board)


async def get_board(call: Call) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = Reading(call)
    moment = moment_of(reading.parameters)
    await reading.begin()
    if moment is not None:
        call.hold(Work.PAST_BOARD)
        return await historical_boards.answer(reading, project_id, moment)
    project = await load_one(reading, project_id)
    board = await _board(reading, project)
    statuses = board.statuses
    shown = [task for column in board.tasks.values() for task in column.tasks]
    people = {task.assignee_id for task in shown if task.assignee_id is not None}
    names = await reading.names(people)
    columns = [
        {
            "status": status.key,
            "name": status.name,
            "category": status.category,
            "count": sum(board.counts.get(raw, 0) for raw in statuses.raw(status.key)),
            "tasks": [render.task(task, statuses, names) for task in board.tasks[status.key].tasks],
            "more": board.tasks[status.key].more,
        }
        for status in statuses.workflow.statuses
    ]
    return reading.unversioned({"columns": columns})


async def _board(reading: Reading, project: ProjectState) -> Board:
    context = reading.context
    key = board_key(project.id)
    await reading.draw("tasks", projects=[project.id])

    async def load(_: Sequence[str]) -> tuple[int, dict[str, bytes]]:
        drawn = ("tasks", "projects")
        stamp = context.freshness.position(drawn)
        # Read again: what is kept must be as new as its stamp, and this project was read before the lease.
        today = (await context.views.projects([project.id])).get(project.id, project)
        counts, tasks = await asyncio.gather(
            context.views.counts(project.id), context.views.board(project.id, today.statuses)
        )
        stamp = await context.freshness.confirmed(stamp, drawn)
        return stamp, {key: render.ENCODER.encode(Board(today.statuses, counts, tasks))}

    entries = await context.cache.get_many(
        [key], at_least=reading.min_position, ttl_s=context.settings.board_cache_ttl_s, load=load
    )
    try:
        board = _decoder.decode(entries[key].body)
    except msgspec.MsgspecError:
        # An entry of another release, whose tasks have another shape.
        stamp, bodies = await load([key])
        reading.drew(stamp)
        return _decoder.decode(bodies[key])
    reading.drew(entries[key].stamp)
    return board


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/projects/{{project_id:str}}/board",
        get_board,
        "A project's board, also as it was",
        answer=BoardBody,
        query=(*AT, *COMMON),
    ),
)
