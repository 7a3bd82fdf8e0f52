"""`taskflow tasks comment`, `checklist`, `check`, `uncheck`, `link`, `unlink`: the parts of a task."""

from __future__ import annotations

from msgspec import UNSET

from taskflow.client.answers import ChecklistItem, Task
from taskflow.terminal import short_ids
from taskflow.terminal.desk import Desk, text_of
from taskflow.terminal.shown import short
from taskflow.terminal.tasks import show_checklist, told


def comment(desk: Desk) -> None:
    text = text_of(desk.typed.text)
    added = desk.client.tasks.comments.add(_task(desk), "" if text is UNSET else text)
    if desk.json:
        desk.screen.document(added)
    else:
        desk.screen.say("commented", short(added.task_id))


def checklist(desk: Desk) -> None:
    client, task_id = desk.client, _task(desk)
    for item in _items(client.tasks.get(task_id), desk.typed.remove):
        client.tasks.checklist.delete(task_id, item.id)
    for text in desk.typed.add:
        client.tasks.checklist.add(task_id, text)
    _shown(desk, client.tasks.get(task_id))


def check(desk: Desk) -> None:
    _ticked(desk, done=True)


def uncheck(desk: Desk) -> None:
    _ticked(desk, done=False)


def _ticked(desk: Desk, *, done: bool) -> None:
    task = desk.client.tasks.get(_task(desk))
    for item in _items(task, desk.typed.items):
        task = desk.client.tasks.checklist.edit(task.id, item.id, done=done)
    _shown(desk, task)


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


def _shown(desk: Desk, task: Task) -> None:
    if desk.json:
        desk.screen.document(task)
    elif task.checklist:
        show_checklist(desk, task)
    else:
        desk.screen.say("nothing is on it")


def link(desk: Desk) -> None:
    task_id, other = _task(desk), short_ids.task_id(desk.client, desk.typed.other)
    task = desk.client.tasks.relations.add(task_id, desk.typed.kind, other)
    told(desk, f"{desk.typed.kind.replace('_', ' ')} {short(other)}:", task)


def unlink(desk: Desk) -> None:
    task_id, other = _task(desk), short_ids.task_id(desk.client, desk.typed.other)
    task = desk.client.tasks.relations.remove(task_id, desk.typed.kind, other)
    told(desk, f"no longer {desk.typed.kind.replace('_', ' ')} {short(other)}:", task)


def _task(desk: Desk) -> str:
    return short_ids.task_id(desk.client, desk.typed.task)
