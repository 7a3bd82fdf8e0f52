"""`taskflow activity`: the newest events of one project or of all."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final
from uuid import UUID

from taskflow.client.answers import Event, Project
from taskflow.terminal import short_ids
from taskflow.terminal.command_context import PAGE_MAX, CommandContext
from taskflow.terminal.event_format import describe, people
from taskflow.terminal.output import short, when

PROJECTS_MAX: Final = 100
"""The most projects that one command requests the activity of; each takes a request."""


def activity(context: CommandContext) -> None:
    projects = _projects(context)
    each = [_of(context, project) for project in projects]
    found, more = context.first(merge(*each, key=lambda one: -one[0].position))
    if context.json:
        context.screen.document([event for event, _ in found])
        return
    if not found:
        context.screen.say("nothing yet")
        return
    names = people(context.client, [event for event, _ in found])
    titles = _titles(context, projects)
    rows = [
        [
            when(event.occurred_at),
            names[event.actor],
            event.type,
            short(event.stream_id),
            titles.get(event.stream_id, ""),
            project.name if len(projects) > 1 else "",
            describe(event),
        ]
        for event, project in found
    ]
    columns = ("WHEN", "WHO", "WHAT", "ID", "OF", "PROJECT", "HOW")
    context.screen.table(columns, rows, flexible=("OF",), droppable=("WHO", "PROJECT", "HOW"))
    context.say_more(more=more)


def _projects(context: CommandContext) -> list[Project]:
    if context.typed.project is not None:
        return [short_ids.project(context.client, context.typed.project)]
    projects = list(islice(context.client.projects.list(archived=False, limit=PAGE_MAX), PROJECTS_MAX + 1))
    if len(projects) > PROJECTS_MAX:
        raise short_ids.Unclear(f"you are in more than {PROJECTS_MAX} projects; name one")
    return projects


def _of(context: CommandContext, project: Project) -> Iterator[tuple[Event, Project]]:
    for event in context.client.projects.activity(project.id, limit=context.page):
        yield event, project


def _titles(context: CommandContext, projects: list[Project]) -> dict[UUID, str]:
    """Names by id: of the projects, and of the tasks changed last, which are those of the newest events."""
    asked = [project.id for project in projects] if len(projects) == 1 else []
    tasks = islice(context.client.tasks.list(project=asked, sort="-updated_at", limit=PAGE_MAX), PAGE_MAX)
    return {project.id: project.name for project in projects} | {task.id: task.title for task in tasks}
