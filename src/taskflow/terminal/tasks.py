"""`taskflow tasks …`: everything but comments, checklists and relations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import UNSET, UnsetType
from rich.text import Text

from taskflow.client.answers import Task
from taskflow.terminal import short_ids
from taskflow.terminal.command_context import PAGE_MAX, CommandContext, text_of, unset_if_none
from taskflow.terminal.event_format import describe, describe_all, people
from taskflow.terminal.output import clean, lines, short, styled, when
from taskflow.terminal.parser_parts import NONE

OPEN: Final = ("todo", "in_progress", "waiting")

T = TypeVar("T")


def list_tasks(context: CommandContext) -> None:
    listed(context, context.client.tasks.list(**task_filters(context), limit=context.page))


def search(context: CommandContext) -> None:
    listed(context, context.client.tasks.list(q=context.typed.text, project=_projects(context), limit=context.page))


def task_filters(context: CommandContext) -> dict[str, Any]:
    """The filters for tasks from the arguments; without one that says otherwise, only open tasks."""
    typed = context.typed
    return {
        "project": _projects(context),
        "status": typed.status,
        "category": typed.category or ([] if typed.all or typed.status or typed.trashed else list(OPEN)),
        "assignee": typed.assignee,
        "label": typed.label,
        "priority": typed.priority,
        "parent": [short_ids.task_id(context.client, text) for text in typed.parent],
        "due_before": typed.due_before,
        "due_after": typed.due_after,
        "q": typed.text,
        "trashed": True if typed.trashed else None,
        "archived": True if typed.archived else None,
        "sort": typed.sort,
    }


def _projects(context: CommandContext) -> list[UUID]:
    return [short_ids.project(context.client, text).id for text in context.typed.project]


def listed(context: CommandContext, found: Iterator[Task]) -> None:
    tasks, more = context.first(found)
    if context.json:
        context.screen.document(tasks)
    elif tasks:
        context.screen.table(COLUMNS, [row(task) for task in tasks], flexible=("TITLE",), droppable=DROPPABLE_COLUMNS)
        context.say_more(more=more)
    else:
        context.screen.say("no tasks")


COLUMNS: Final = ("ID", "STATUS", "PRIORITY", "DUE", "ASSIGNEE", "TITLE", "LABELS")
DROPPABLE_COLUMNS: Final = ("ASSIGNEE", "LABELS")


def row(task: Task) -> list[str | Text]:
    return [
        short(task.id),
        styled(task.status, task.status_category),
        styled(task.priority),
        _due_shown(task),
        _name(task),
        task.title,
        ", ".join(task.labels),
    ]


def _name(task: Task) -> str:
    return "" if task.assignee is None else task.assignee.name or short(task.assignee.id)


def show(context: CommandContext) -> None:
    typed = context.typed
    task = context.client.tasks.get(
        short_ids.task_id(context.client, typed.task), version=typed.version, at_time=typed.at
    )
    if context.json:
        context.screen.document(task)
        return
    context.screen.say(Text(clean(task.title), style="bold"))
    facts: list[tuple[str, str | Text]] = [
        ("id", str(task.id)),
        ("project", str(task.project_id)),
        ("status", styled(task.status, task.status_category)),
        ("priority", styled(task.priority)),
        ("due", _due_shown(task)),
        ("zone", task.time_zone or ""),
        ("assignee", _name(task)),
        ("labels", ", ".join(task.labels)),
        ("parent", str(task.parent_id or "")),
        ("repeats", task.recurrence or ""),
        ("created", when(task.created_at)),
        ("updated", when(task.updated_at)),
        ("completed", when(task.completed_at)),
        ("in the trash", when(task.trashed_at)),
        ("version", str(task.version)),
        *[(relation.type.replace("_", " "), str(relation.task_id)) for relation in task.relations],
    ]
    for name, value in facts:
        text = value if isinstance(value, Text) else Text(clean(value))
        if text.plain:
            context.screen.say(Text(f"  {name:<12}", style="dim"), text)
    show_checklist(context, task)
    if task.description:
        context.screen.say(" ")
        for line in lines(task.description):
            context.screen.say(line or " ")
    if task.comment_count and typed.version is None and typed.at is None:
        for comment in context.client.tasks.comments.list(task.id):
            author = "" if comment.author is None else comment.author.name or short(comment.author.id)
            context.screen.say(" ")
            context.screen.say(Text(clean(f"{author}, {when(comment.created_at)}"), style="dim"))
            for line in lines(comment.body):
                context.screen.say(line or " ")


def show_checklist(context: CommandContext, task: Task) -> None:
    """Writes the checklist with numbers, by which `check` and others refer to items."""
    for number, item in enumerate(task.checklist, 1):
        context.screen.say(f"  {number} [{'x' if item.done else ' '}] {clean(item.text)}")


def history(context: CommandContext) -> None:
    task_id = short_ids.task_id(context.client, context.typed.task)
    events = list(context.client.tasks.events(task_id, limit=PAGE_MAX))
    if context.json:
        context.screen.document(events)
        return
    names = people(context.client, events)
    rows = [
        [str(event.stream_version), when(event.occurred_at), names[event.actor], event.type, describe(event)]
        for event in events
    ]
    context.screen.table(("VERSION", "WHEN", "WHO", "WHAT", "HOW"), rows, flexible=("HOW",), droppable=("WHO",))


def diff(context: CommandContext) -> None:
    typed = context.typed
    task_id = _task(context)
    to_version = typed.to_version or context.client.tasks.get(task_id).version
    found = context.client.tasks.diff(task_id, from_version=typed.from_version, to_version=to_version)
    if context.json:
        context.screen.document(found)
        return
    for change in found.changes:
        context.screen.say(Text(change.field, style="bold"))
        for sign, value, style in (("-", change.from_, "red"), ("+", change.to, "green")):
            for line in lines(describe_all(value)) if value not in (None, "", []) else []:
                context.screen.say(Text(f"{sign} {line}", style=style))


# --- changes


def add(context: CommandContext) -> None:
    typed, client = context.typed, context.client
    project_id = UNSET if typed.project is None else str(short_ids.project(client, typed.project).id)
    task = client.tasks.create(
        typed.title,
        project_id=project_id,
        description=text_of(typed.description),
        status=unset_if_none(typed.status),
        priority=unset_if_none(typed.priority),
        **_due(context),
        labels=_labels(context),
        assignee_id=_assignee(context, lambda: None if project_id is UNSET else project_id),
        parent_id=_parent(context),
        recurrence=_clearable(typed.repeat),
    )
    report_task(context, "added", task)


def edit(context: CommandContext) -> None:
    typed, client = context.typed, context.client
    task_id = short_ids.task_id(client, typed.task)
    changes: dict[str, Any] = {
        "title": unset_if_none(typed.title),
        "description": text_of(typed.description),
        "status": unset_if_none(typed.status),
        "priority": unset_if_none(typed.priority),
        **_due(context),
        "labels": _labels(context),
        "assignee_id": _assignee(context, lambda: str(client.tasks.get(task_id).project_id)),
        "parent_id": _parent(context),
        "recurrence": _clearable(typed.repeat),
    }
    if all(value is UNSET for value in changes.values()):
        raise short_ids.Unclear("nothing to change; see `taskflow tasks edit --help`")
    task = client.tasks.edit(task_id, expected_version=typed.expect, **changes)
    report_task(context, "edited", task)


def _due(context: CommandContext) -> dict[str, Any]:
    """The fields that `--due` and `--zone` set."""
    typed, zone = context.typed.due, context.typed.zone
    set_: dict[str, Any] = {} if zone is None else {"time_zone": zone}
    if typed is None:
        return set_
    if typed == NONE:
        return set_ | {"due_at": None, "due_on": None}
    if not isinstance(typed, datetime):
        return set_ | {"due_on": typed}
    return set_ | {"due_at": typed if typed.tzinfo is not None else _local(context, typed, zone)}


def _local(context: CommandContext, at: datetime, zone: str | None) -> datetime:
    """A local time in the zone of `--zone`, else of the user's settings, else of this machine."""
    name = zone or context.client.users.me().settings.get("time_zone")
    if not isinstance(name, str):
        return at.astimezone()
    try:
        return at.replace(tzinfo=ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise short_ids.Unclear(f"no time zone {name!r}; expected one like Europe/Berlin") from None


def _due_shown(task: Task) -> str:
    """The due as text: a day as it is, a moment in local time."""
    return when(task.due_at) if task.due_on is None else task.due_on.isoformat()


def _clearable(typed: T | None) -> T | UnsetType | None:
    if typed is None:
        return UNSET
    return None if typed == NONE else typed


def _labels(context: CommandContext) -> list[str] | UnsetType:
    labels: list[str] = context.typed.label
    if not labels:
        return UNSET
    return [] if labels == [NONE] else labels


def _assignee(context: CommandContext, project_id: Callable[[], str | None]) -> str | UnsetType | None:
    who = context.typed.assignee
    if who is None:
        return UNSET
    if who == NONE:
        return None
    return _person(context, who, project_id)


def _person(context: CommandContext, who: str, project_id: Callable[[], str | None]) -> str:
    known = None if who == "me" or short_ids.whole(who) else project_id()
    if known is None and who != "me" and not short_ids.whole(who):
        raise short_ids.Unclear(f"only you are in your Inbox: expected me, found {who}; or name a --project")
    return short_ids.person_id(context.client, who, known or "")


def _parent(context: CommandContext) -> str | UnsetType | None:
    parent = context.typed.parent
    if parent is None:
        return UNSET
    return None if parent == NONE else short_ids.task_id(context.client, parent)


def start(context: CommandContext) -> None:
    _change_each(context, "started", context.client.tasks.start)


def done(context: CommandContext) -> None:
    _change_each(context, "done", context.client.tasks.complete)


def reopen(context: CommandContext) -> None:
    _change_each(context, "reopened", context.client.tasks.reopen)


def cancel(context: CommandContext) -> None:
    _change_each(context, "cancelled", context.client.tasks.cancel)


def trash(context: CommandContext) -> None:
    _change_each(context, "in the trash", context.client.tasks.trash)


def restore(context: CommandContext) -> None:
    _change_each(context, "restored", context.client.tasks.restore)


def _change_each(context: CommandContext, what: str, change: Callable[[str], Task]) -> None:
    """Changes several tasks, after all of them were found."""
    ids = dict.fromkeys(short_ids.task_id(context.client, text) for text in context.typed.tasks)
    changed: list[Task] = []
    for task_id in ids:
        changed.append(change(task_id))
        if not context.json:
            report_task(context, what, changed[-1])
    if context.json:
        context.screen.document(changed if len(context.typed.tasks) > 1 else changed[0])


def assign(context: CommandContext) -> None:
    task_id, who = _task(context), context.typed.who
    user = None if who == NONE else _person(context, who, lambda: str(context.client.tasks.get(task_id).project_id))
    task = context.client.tasks.assign(task_id, user)
    report_task(context, f"given to {_name(task)}" if task.assignee else "given to nobody", task)


def move(context: CommandContext) -> None:
    project = short_ids.project(context.client, context.typed.project)
    task = context.client.tasks.move(_task(context), project.id, status=unset_if_none(context.typed.status))
    report_task(context, f"moved to {project.name}", task)


def undo(context: CommandContext) -> None:
    version = UNSET if context.typed.version is None else context.typed.version
    report_task(context, "undone", context.client.tasks.undo(_task(context), version=version))


def rank(context: CommandContext) -> None:
    typed = context.typed
    after, before = (
        UNSET if one is None else short_ids.task_id(context.client, one) for one in (typed.after, typed.before)
    )
    report_task(context, "moved", context.client.tasks.rank(_task(context), after=after, before=before))


def _task(context: CommandContext) -> str:
    return short_ids.task_id(context.client, context.typed.task)


def report_task(context: CommandContext, what: str, task: Task) -> None:
    if context.json:
        context.screen.document(task)
    else:
        context.screen.say(
            what, short(task.id), task.title, Text(f"({task.status}, version {task.version})", style="dim")
        )
