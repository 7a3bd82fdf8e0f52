"""`taskflow tasks comment`, `checklist`, `check`, `uncheck`, `link`, `unlink`: the parts of a task."""

from __future__ import annotations

from msgspec import UNSET

from taskflow.client.answers import ChecklistItem, Task
from taskflow.terminal import short_ids
from taskflow.terminal.command_context import CommandContext, text_of
from taskflow.terminal.output import short
from taskflow.terminal.tasks import report_task, show_checklist


def comment(context: CommandContext) -> None:
    text = text_of(context.typed.text)
    added = context.client.tasks.comments.add(_task(context), "" if text is UNSET else text)
    if context.json:
        context.screen.document(added)
    else:
        context.screen.say("commented", short(added.task_id))


def checklist(context: CommandContext) -> None:
    client, task_id = context.client, _task(context)
    for item in _items(client.tasks.get(task_id), context.typed.remove):
        client.tasks.checklist.delete(task_id, item.id)
    for text in context.typed.add:
        client.tasks.checklist.add(task_id, text)
    _shown(context, client.tasks.get(task_id))


def check(context: CommandContext) -> None:
    _set_done(context, done=True)


def uncheck(context: CommandContext) -> None:
    _set_done(context, done=False)


def _set_done(context: CommandContext, *, done: bool) -> None:
    task = context.client.tasks.get(_task(context))
    for item in _items(task, context.typed.items):
        task = context.client.tasks.checklist.edit(task.id, item.id, done=done)
    _shown(context, task)


def _items(task: Task, typed: list[str]) -> list[ChecklistItem]:
    """The items referred to by number, text or part of an id. All are resolved before any is changed."""
    return [_item(task, text) for text in typed]


def _item(task: Task, text: str) -> ChecklistItem:
    by_id = {str(item.id): item for item in task.checklist}
    if text.isascii() and text.isdigit() and 0 < int(text) <= len(task.checklist):
        return task.checklist[int(text) - 1]
    piece = short_ids.piece_of(text)
    found = [item for item in task.checklist if item.text.casefold() == text.casefold()]
    found = found or [item for item in task.checklist if piece is not None and short_ids.fits(piece, item.id)]
    only = short_ids.one_of(((item.id, item.text) for item in found), text, "item")
    if only is None:
        raise short_ids.NoSuch(f"no item {text}; `taskflow tasks checklist {short(task.id)}` shows them by number")
    return by_id[only]


def _shown(context: CommandContext, task: Task) -> None:
    if context.json:
        context.screen.document(task)
    elif task.checklist:
        show_checklist(context, task)
    else:
        context.screen.say("the checklist is empty")


def link(context: CommandContext) -> None:
    task_id, other = _task(context), short_ids.task_id(context.client, context.typed.other)
    task = context.client.tasks.relations.add(task_id, context.typed.kind, other)
    report_task(context, f"{context.typed.kind.replace('_', ' ')} {short(other)}:", task)


def unlink(context: CommandContext) -> None:
    task_id, other = _task(context), short_ids.task_id(context.client, context.typed.other)
    task = context.client.tasks.relations.remove(task_id, context.typed.kind, other)
    report_task(context, f"no longer {context.typed.kind.replace('_', ' ')} {short(other)}:", task)


def _task(context: CommandContext) -> str:
    return short_ids.task_id(context.client, context.typed.task)
