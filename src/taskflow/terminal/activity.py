"""`taskflow activity`: the newest events of one project or of all."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final
from uuid import UUID

from taskflow.client.answers import Event, Project
from taskflow.terminal import short_ids
from taskflow.terminal.desk import PAGE_MAX, Desk
from taskflow.terminal.happened import people, said
from taskflow.terminal.shown import short, when

PROJECTS_MAX: Final = 100
"""The most projects that one command requests the activity of; each takes a request."""


def activity(desk: Desk) -> None:
    projects = _projects(desk)
    each = [_of(desk, project) for project in projects]
    found, more = desk.first(merge(*each, key=lambda one: -one[0].position))
    if desk.json:
        desk.screen.document([event for event, _ in found])
        return
    if not found:
        desk.screen.say("nothing yet")
        return
    names = people(desk.client, [event for event, _ in found])
    titles = _titles(desk, projects)
    rows = [
        [
            when(event.occurred_at),
            names[event.actor],
            event.type,
            short(event.stream_id),
            titles.get(event.stream_id, ""),
            project.name if len(projects) > 1 else "",
            said(event),
        ]
        for event, project in found
    ]
    columns = ("WHEN", "WHO", "WHAT", "ID", "OF", "PROJECT", "HOW")
    desk.screen.table(columns, rows, flexible=("OF",), spare=("WHO", "PROJECT", "HOW"))
    desk.hint(more=more)


def _projects(desk: Desk) -> list[Project]:
    if desk.typed.project is not None:
        return [short_ids.project(desk.client, desk.typed.project)]
    projects = list(islice(desk.client.projects.list(archived=False, limit=PAGE_MAX), PROJECTS_MAX + 1))
    if len(projects) > PROJECTS_MAX:
        raise short_ids.Unclear(f"you are in more than {PROJECTS_MAX} projects; name one")
    return projects


def _of(desk: Desk, project: Project) -> Iterator[tuple[Event, Project]]:
    for event in desk.client.projects.activity(project.id, limit=desk.page):
        yield event, project


def _titles(desk: Desk, projects: list[Project]) -> dict[UUID, str]:
    """Names by id: of the projects, and of the tasks changed last, which are those of the newest events."""
    asked = [project.id for project in projects] if len(projects) == 1 else []
    tasks = islice(desk.client.tasks.list(project=asked, sort="-updated_at", limit=PAGE_MAX), PAGE_MAX)
    return {project.id: project.name for project in projects} | {task.id: task.title for task in tasks}
