"""`taskflow projects …`."""

from __future__ import annotations

from itertools import islice

from rich.text import Text

from taskflow.terminal import short_ids
from taskflow.terminal.desk import Desk, text_of
from taskflow.terminal.shown import clean, lines, short, styled, when
from taskflow.terminal.tasks import PAGE_MAX, row


def list_projects(desk: Desk) -> None:
    limit = desk.typed.limit
    found = list(islice(desk.client.projects.list(limit=min(limit, PAGE_MAX)), limit))
    if desk.json:
        desk.screen.document(found)
        return
    rows = [
        [short(one.id), one.name, one.role or "", when(one.updated_at), "archived" if one.archived_at else ""]
        for one in found
    ]
    desk.screen.table(("ID", "NAME", "ROLE", "UPDATED", ""), rows, flexible="NAME")


def add(desk: Desk) -> None:
    project = desk.client.projects.create(desk.typed.name, description=text_of(desk.typed.description))
    if desk.json:
        desk.screen.document(project)
    else:
        desk.screen.say("added", short(project.id), project.name)


def show(desk: Desk) -> None:
    project = short_ids.project(desk.client, desk.typed.project)
    if desk.json:
        desk.screen.document(project)
        return
    desk.screen.say(Text(clean(project.name), style="bold"))
    facts = [
        ("id", str(project.id)),
        ("role", project.role or ""),
        ("labels", ", ".join(label.name for label in project.labels)),
        ("created", when(project.created_at)),
        ("archived", when(project.archived_at)),
        ("version", str(project.version)),
    ]
    for name, value in facts:
        if value:
            desk.screen.say(Text(f"  {name:<12}", style="dim"), value)
    for line in lines(project.description) if project.description else []:
        desk.screen.say(f"  {line}")
    desk.screen.say(" ")
    statuses: list[list[str | Text]] = [[one.key, one.name, styled(one.category)] for one in project.workflow.statuses]
    desk.screen.table(("STATUS", "NAME", "CATEGORY"), statuses)


def board(desk: Desk) -> None:
    project = short_ids.project(desk.client, desk.typed.project)
    found = desk.client.projects.board(project.id)
    if desk.json:
        desk.screen.document(found)
        return
    for at, column in enumerate(found.columns):
        if at:
            desk.screen.say(" ")
        desk.screen.say(Text(f"{clean(column.name)} ({column.count})", style="bold"))
        if column.tasks:
            # The heading says the status; the others as in a list of tasks.
            rows = [[cell for place, cell in enumerate(row(task)) if place != 1] for task in column.tasks]
            desk.screen.table(("ID", "PRIORITY", "DUE", "ASSIGNEE", "TITLE", "LABELS"), rows, flexible="TITLE")
        if column.count > len(column.tasks):
            desk.screen.say(f"and {column.count - len(column.tasks)} more")


def members(desk: Desk) -> None:
    project = short_ids.project(desk.client, desk.typed.project)
    found = list(desk.client.projects.members(project.id, limit=PAGE_MAX))
    if desk.json:
        desk.screen.document(found)
        return
    rows = [[short(one.user.id), one.user.name or "", one.role] for one in found]
    desk.screen.table(("ID", "NAME", "ROLE"), rows, flexible="NAME")
