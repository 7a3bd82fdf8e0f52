"""`taskflow projects …`: everything but members and invitations."""

from __future__ import annotations

from msgspec import UNSET
from rich.text import Text

from taskflow.client.answers import Project
from taskflow.terminal import short_ids
from taskflow.terminal.desk import Desk, given, text_of
from taskflow.terminal.shown import clean, lines, short, styled, when
from taskflow.terminal.tasks import SPARE, row


def list_projects(desk: Desk) -> None:
    archived = True if desk.typed.archived else None
    found, more = desk.first(desk.client.projects.list(archived=archived, limit=desk.page))
    if desk.json:
        desk.screen.document(found)
        return
    rows = [
        [short(one.id), one.name, one.role or "", when(one.updated_at), "archived" if one.archived_at else ""]
        for one in found
    ]
    desk.screen.table(("ID", "NAME", "ROLE", "UPDATED", ""), rows, flexible=("NAME",))
    desk.hint(more=more)


def add(desk: Desk) -> None:
    told(desk, "added", desk.client.projects.create(desk.typed.name, description=text_of(desk.typed.description)))


def edit(desk: Desk) -> None:
    typed, name, description = desk.typed, given(desk.typed.name), text_of(desk.typed.description)
    if name is UNSET and description is UNSET:
        raise short_ids.Unclear("nothing to change; name --name or --description")
    project = named(desk)
    edited = desk.client.projects.edit(project.id, name=name, description=description, expected_version=typed.expect)
    told(desk, "edited", edited)


def archive(desk: Desk) -> None:
    told(desk, "archived", desk.client.projects.archive(named(desk).id))


def unarchive(desk: Desk) -> None:
    told(desk, "unarchived", desk.client.projects.unarchive(named(desk).id))


def label(desk: Desk) -> None:
    typed = desk.typed
    told(
        desk,
        f"{typed.name} is {typed.colour}:",
        desk.client.projects.set_label(named(desk).id, typed.name, typed.colour),
    )


def unlabel(desk: Desk) -> None:
    name = desk.typed.name
    told(desk, f"{name} has no colour:", desk.client.projects.remove_label(named(desk).id, name))


def told(desk: Desk, what: str, project: Project) -> None:
    if desk.json:
        desk.screen.document(project)
    else:
        desk.screen.say(what, short(project.id), project.name)


def named(desk: Desk) -> Project:
    """The project that the command names."""
    return short_ids.project(desk.client, desk.typed.project)


def show(desk: Desk) -> None:
    project = named(desk)
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
    project = named(desk)
    found = desk.client.projects.board(project.id)
    if desk.json:
        desk.screen.document(found)
        return
    for at, column in enumerate(found.columns):
        if at:
            desk.screen.say(" ")
        desk.screen.say(Text(f"{clean(column.name)} ({column.count})", style="bold"))
        if column.tasks:
            # As in a list of tasks, without the status, which is the heading.
            rows = [[cell for place, cell in enumerate(row(task)) if place != 1] for task in column.tasks]
            desk.screen.table(
                ("ID", "PRIORITY", "DUE", "ASSIGNEE", "TITLE", "LABELS"), rows, flexible=("TITLE",), spare=SPARE
            )
        if column.count > len(column.tasks):
            desk.screen.say(f"and {column.count - len(column.tasks)} more")


def stats(desk: Desk) -> None:
    found = desk.client.projects.stats(named(desk).id)
    if desk.json:
        desk.screen.document(found)
        return
    counts = (("overdue", found.overdue), ("unassigned", found.unassigned), ("in the trash", found.trashed))
    desk.screen.say(", ".join([f"{found.total} tasks", *[f"{count} {what}" for what, count in counts if count]]))
    desk.screen.say(" ")
    statuses: list[list[str | Text]] = [[styled(one.name, one.category), str(one.count)] for one in found.by_status]
    desk.screen.table(("STATUS", "TASKS"), statuses)
    if found.by_assignee:
        desk.screen.say(" ")
        people = [[one.assignee.name or short(one.assignee.id), str(one.count)] for one in found.by_assignee]
        desk.screen.table(("ASSIGNEE", "TASKS"), people, flexible=("ASSIGNEE",))


def export(desk: Desk) -> None:
    if desk.typed.csv and desk.json:
        raise short_ids.Unclear("expected --csv or --json, found both")
    for piece in desk.client.projects.export(named(desk).id, csv=desk.typed.csv):
        desk.screen.raw(piece)
