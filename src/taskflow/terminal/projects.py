"""`taskflow projects …`: everything but members and invitations."""

from __future__ import annotations

from msgspec import UNSET
from rich.text import Text

from taskflow.client.answers import Project
from taskflow.terminal import short_ids
from taskflow.terminal.command_context import CommandContext, text_of, unset_if_none
from taskflow.terminal.output import clean, lines, short, styled, when
from taskflow.terminal.tasks import DROPPABLE_COLUMNS, row


def list_projects(context: CommandContext) -> None:
    archived = True if context.typed.archived else None
    found, more = context.first(context.client.projects.list(archived=archived, limit=context.page))
    if context.json:
        context.screen.document(found)
        return
    rows = [
        [short(one.id), one.name, one.role or "", when(one.updated_at), "archived" if one.archived_at else ""]
        for one in found
    ]
    context.screen.table(("ID", "NAME", "ROLE", "UPDATED", ""), rows, flexible=("NAME",))
    context.say_more(more=more)


def add(context: CommandContext) -> None:
    report_project(
        context,
        "added",
        context.client.projects.create(context.typed.name, description=text_of(context.typed.description)),
    )


def edit(context: CommandContext) -> None:
    typed, name, description = context.typed, unset_if_none(context.typed.name), text_of(context.typed.description)
    if name is UNSET and description is UNSET:
        raise short_ids.Unclear("nothing to change; name --name or --description")
    project = named(context)
    edited = context.client.projects.edit(project.id, name=name, description=description, expected_version=typed.expect)
    report_project(context, "edited", edited)


def archive(context: CommandContext) -> None:
    report_project(context, "archived", context.client.projects.archive(named(context).id))


def unarchive(context: CommandContext) -> None:
    report_project(context, "unarchived", context.client.projects.unarchive(named(context).id))


def label(context: CommandContext) -> None:
    typed = context.typed
    report_project(
        context,
        f"{typed.name} is {typed.colour}:",
        context.client.projects.set_label(named(context).id, typed.name, typed.colour),
    )


def unlabel(context: CommandContext) -> None:
    name = context.typed.name
    report_project(context, f"{name} has no colour:", context.client.projects.remove_label(named(context).id, name))


def report_project(context: CommandContext, what: str, project: Project) -> None:
    if context.json:
        context.screen.document(project)
    else:
        context.screen.say(what, short(project.id), project.name)


def named(context: CommandContext) -> Project:
    """The project that the command names."""
    return short_ids.project(context.client, context.typed.project)


def show(context: CommandContext) -> None:
    project = named(context)
    if context.json:
        context.screen.document(project)
        return
    context.screen.say(Text(clean(project.name), style="bold"))
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
            context.screen.say(Text(f"  {name:<12}", style="dim"), value)
    for line in lines(project.description) if project.description else []:
        context.screen.say(f"  {line}")
    context.screen.say(" ")
    statuses: list[list[str | Text]] = [[one.key, one.name, styled(one.category)] for one in project.workflow.statuses]
    context.screen.table(("STATUS", "NAME", "CATEGORY"), statuses)


def board(context: CommandContext) -> None:
    project = named(context)
    found = context.client.projects.board(project.id)
    if context.json:
        context.screen.document(found)
        return
    for at, column in enumerate(found.columns):
        if at:
            context.screen.say(" ")
        context.screen.say(Text(f"{clean(column.name)} ({column.count})", style="bold"))
        if column.tasks:
            # As in a list of tasks, without the status, which is the heading.
            rows = [[cell for place, cell in enumerate(row(task)) if place != 1] for task in column.tasks]
            context.screen.table(
                ("ID", "PRIORITY", "DUE", "ASSIGNEE", "TITLE", "LABELS"),
                rows,
                flexible=("TITLE",),
                droppable=DROPPABLE_COLUMNS,
            )
        if column.count > len(column.tasks):
            context.screen.say(f"and {column.count - len(column.tasks)} more")


def stats(context: CommandContext) -> None:
    found = context.client.projects.stats(named(context).id)
    if context.json:
        context.screen.document(found)
        return
    counts = (("overdue", found.overdue), ("unassigned", found.unassigned), ("in the trash", found.trashed))
    context.screen.say(", ".join([f"{found.total} tasks", *[f"{count} {what}" for what, count in counts if count]]))
    context.screen.say(" ")
    statuses: list[list[str | Text]] = [[styled(one.name, one.category), str(one.count)] for one in found.by_status]
    context.screen.table(("STATUS", "TASKS"), statuses)
    if found.by_assignee:
        context.screen.say(" ")
        people = [[one.assignee.name or short(one.assignee.id), str(one.count)] for one in found.by_assignee]
        context.screen.table(("ASSIGNEE", "TASKS"), people, flexible=("ASSIGNEE",))


def export(context: CommandContext) -> None:
    if context.typed.csv and context.json:
        raise short_ids.Unclear("expected --csv or --json, found both")
    for piece in context.client.projects.export(named(context).id, csv=context.typed.csv):
        context.screen.write_raw(piece)
