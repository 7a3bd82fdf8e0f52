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
from taskflow.terminal.desk import PAGE_MAX, Desk, given, text_of
from taskflow.terminal.happened import in_words, people, said
from taskflow.terminal.parser_parts import NONE
from taskflow.terminal.shown import clean, lines, short, styled, when

OPEN: Final = ("todo", "in_progress", "waiting")

T = TypeVar("T")


def list_tasks(desk: Desk) -> None:
    listed(desk, desk.client.tasks.list(**asked(desk), limit=desk.page))


def search(desk: Desk) -> None:
    listed(desk, desk.client.tasks.list(q=desk.typed.text, project=_projects(desk), limit=desk.page))


def asked(desk: Desk) -> dict[str, Any]:
    """The filters for tasks from the arguments; without one that says otherwise, only open tasks."""
    typed = desk.typed
    return {
        "project": _projects(desk),
        "status": typed.status,
        "category": typed.category or ([] if typed.all or typed.status or typed.trashed else list(OPEN)),
        "assignee": typed.assignee,
        "label": typed.label,
        "priority": typed.priority,
        "parent": [short_ids.task_id(desk.client, text) for text in typed.parent],
        "due_before": typed.due_before,
        "due_after": typed.due_after,
        "q": typed.text,
        "trashed": True if typed.trashed else None,
        "archived": True if typed.archived else None,
        "sort": typed.sort,
    }


def _projects(desk: Desk) -> list[UUID]:
    return [short_ids.project(desk.client, text).id for text in desk.typed.project]


def listed(desk: Desk, found: Iterator[Task]) -> None:
    tasks, more = desk.first(found)
    if desk.json:
        desk.screen.document(tasks)
    elif tasks:
        desk.screen.table(COLUMNS, [row(task) for task in tasks], flexible=("TITLE",), spare=SPARE)
        desk.hint(more=more)
    else:
        desk.screen.say("no tasks")


COLUMNS: Final = ("ID", "STATUS", "PRIORITY", "DUE", "ASSIGNEE", "TITLE", "LABELS")
SPARE: Final = ("ASSIGNEE", "LABELS")


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


def show(desk: Desk) -> None:
    typed = desk.typed
    task = desk.client.tasks.get(short_ids.task_id(desk.client, typed.task), version=typed.version, at_time=typed.at)
    if desk.json:
        desk.screen.document(task)
        return
    desk.screen.say(Text(clean(task.title), style="bold"))
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
            desk.screen.say(Text(f"  {name:<12}", style="dim"), text)
    show_checklist(desk, task)
    if task.description:
        desk.screen.say(" ")
        for line in lines(task.description):
            desk.screen.say(line or " ")
    if task.comment_count and typed.version is None and typed.at is None:
        for comment in desk.client.tasks.comments.list(task.id):
            author = "" if comment.author is None else comment.author.name or short(comment.author.id)
            desk.screen.say(" ")
            desk.screen.say(Text(clean(f"{author}, {when(comment.created_at)}"), style="dim"))
            for line in lines(comment.body):
                desk.screen.say(line or " ")


def show_checklist(desk: Desk, task: Task) -> None:
    """Writes the checklist with numbers, by which `check` and others refer to items."""
    for number, item in enumerate(task.checklist, 1):
        desk.screen.say(f"  {number} [{'x' if item.done else ' '}] {clean(item.text)}")


def history(desk: Desk) -> None:
    task_id = short_ids.task_id(desk.client, desk.typed.task)
    events = list(desk.client.tasks.events(task_id, limit=PAGE_MAX))
    if desk.json:
        desk.screen.document(events)
        return
    names = people(desk.client, events)
    rows = [
        [str(event.stream_version), when(event.occurred_at), names[event.actor], event.type, said(event)]
        for event in events
    ]
    desk.screen.table(("VERSION", "WHEN", "WHO", "WHAT", "HOW"), rows, flexible=("HOW",), spare=("WHO",))


def diff(desk: Desk) -> None:
    typed = desk.typed
    task_id = _task(desk)
    to_version = typed.to_version or desk.client.tasks.get(task_id).version
    found = desk.client.tasks.diff(task_id, from_version=typed.from_version, to_version=to_version)
    if desk.json:
        desk.screen.document(found)
        return
    for change in found.changes:
        desk.screen.say(Text(change.field, style="bold"))
        for sign, value, style in (("-", change.from_, "red"), ("+", change.to, "green")):
            for line in lines(in_words(value)) if value not in (None, "", []) else []:
                desk.screen.say(Text(f"{sign} {line}", style=style))


# --- changes


def add(desk: Desk) -> None:
    typed, client = desk.typed, desk.client
    project_id = UNSET if typed.project is None else str(short_ids.project(client, typed.project).id)
    task = client.tasks.create(
        typed.title,
        project_id=project_id,
        description=text_of(typed.description),
        status=given(typed.status),
        priority=given(typed.priority),
        **_due(desk),
        labels=_labels(desk),
        assignee_id=_assignee(desk, lambda: None if project_id is UNSET else project_id),
        parent_id=_parent(desk),
        recurrence=_clearable(typed.repeat),
    )
    told(desk, "added", task)


def edit(desk: Desk) -> None:
    typed, client = desk.typed, desk.client
    task_id = short_ids.task_id(client, typed.task)
    changes: dict[str, Any] = {
        "title": given(typed.title),
        "description": text_of(typed.description),
        "status": given(typed.status),
        "priority": given(typed.priority),
        **_due(desk),
        "labels": _labels(desk),
        "assignee_id": _assignee(desk, lambda: str(client.tasks.get(task_id).project_id)),
        "parent_id": _parent(desk),
        "recurrence": _clearable(typed.repeat),
    }
    if all(value is UNSET for value in changes.values()):
        raise short_ids.Unclear("nothing to change; `taskflow tasks edit --help` lists what can be")
    task = client.tasks.edit(task_id, expected_version=typed.expect, **changes)
    told(desk, "edited", task)


def _due(desk: Desk) -> dict[str, Any]:
    """The fields that `--due` and `--zone` set."""
    typed, zone = desk.typed.due, desk.typed.zone
    set_: dict[str, Any] = {} if zone is None else {"time_zone": zone}
    if typed is None:
        return set_
    if typed == NONE:
        return set_ | {"due_at": None, "due_on": None}
    if not isinstance(typed, datetime):
        return set_ | {"due_on": typed}
    return set_ | {"due_at": typed if typed.tzinfo is not None else _local(desk, typed, zone)}


def _local(desk: Desk, at: datetime, zone: str | None) -> datetime:
    """A local time in the zone of `--zone`, else of the user's settings, else of this machine."""
    name = zone or desk.client.users.me().settings.get("time_zone")
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


def _labels(desk: Desk) -> list[str] | UnsetType:
    labels: list[str] = desk.typed.label
    if not labels:
        return UNSET
    return [] if labels == [NONE] else labels


def _assignee(desk: Desk, project_id: Callable[[], str | None]) -> str | UnsetType | None:
    who = desk.typed.assignee
    if who is None:
        return UNSET
    if who == NONE:
        return None
    return _person(desk, who, project_id)


def _person(desk: Desk, who: str, project_id: Callable[[], str | None]) -> str:
    known = None if who == "me" or short_ids.whole(who) else project_id()
    if known is None and who != "me" and not short_ids.whole(who):
        raise short_ids.Unclear(f"nobody but you is in your Inbox: expected me, found {who}; or name a --project")
    return short_ids.person_id(desk.client, who, known or "")


def _parent(desk: Desk) -> str | UnsetType | None:
    parent = desk.typed.parent
    if parent is None:
        return UNSET
    return None if parent == NONE else short_ids.task_id(desk.client, parent)


def start(desk: Desk) -> None:
    _each(desk, "started", desk.client.tasks.start)


def done(desk: Desk) -> None:
    _each(desk, "done", desk.client.tasks.complete)


def reopen(desk: Desk) -> None:
    _each(desk, "reopened", desk.client.tasks.reopen)


def cancel(desk: Desk) -> None:
    _each(desk, "cancelled", desk.client.tasks.cancel)


def trash(desk: Desk) -> None:
    _each(desk, "in the trash", desk.client.tasks.trash)


def restore(desk: Desk) -> None:
    _each(desk, "restored", desk.client.tasks.restore)


def _each(desk: Desk, what: str, change: Callable[[str], Task]) -> None:
    """Changes several tasks, after all of them were found."""
    ids = dict.fromkeys(short_ids.task_id(desk.client, text) for text in desk.typed.tasks)
    changed: list[Task] = []
    for task_id in ids:
        changed.append(change(task_id))
        if not desk.json:
            told(desk, what, changed[-1])
    if desk.json:
        desk.screen.document(changed if len(desk.typed.tasks) > 1 else changed[0])


def assign(desk: Desk) -> None:
    task_id, who = _task(desk), desk.typed.who
    user = None if who == NONE else _person(desk, who, lambda: str(desk.client.tasks.get(task_id).project_id))
    task = desk.client.tasks.assign(task_id, user)
    told(desk, f"given to {_name(task)}" if task.assignee else "given to nobody", task)


def move(desk: Desk) -> None:
    project = short_ids.project(desk.client, desk.typed.project)
    task = desk.client.tasks.move(_task(desk), project.id, status=given(desk.typed.status))
    told(desk, f"moved to {project.name}", task)


def undo(desk: Desk) -> None:
    version = UNSET if desk.typed.version is None else desk.typed.version
    told(desk, "undone", desk.client.tasks.undo(_task(desk), version=version))


def rank(desk: Desk) -> None:
    typed = desk.typed
    after, before = (
        UNSET if one is None else short_ids.task_id(desk.client, one) for one in (typed.after, typed.before)
    )
    told(desk, "moved", desk.client.tasks.rank(_task(desk), after=after, before=before))


def _task(desk: Desk) -> str:
    return short_ids.task_id(desk.client, desk.typed.task)


def told(desk: Desk, what: str, task: Task) -> None:
    if desk.json:
        desk.screen.document(task)
    else:
        desk.screen.say(what, short(task.id), task.title, Text(f"({task.status}, version {task.version})", style="dim"))
