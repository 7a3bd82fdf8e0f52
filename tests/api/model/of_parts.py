"""Commands on the parts of a task: comments, the checklist, relations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from tests.api.model.links import against_relation
from tests.api.model.of_tasks import Body, Data
from tests.api.model.refusals import FORBIDDEN, NOT_FOUND, Reason, rule, unless
from tests.api.model.task import Comment, Draft, Item, Relation, Task
from tests.api.model.world import Observed, World, against_live

Part = tuple[str, str]
"""Of a task, and its own id."""
_MENTION: Final = re.compile(r"@\[([0-9a-f-]{36})\]")

# --- comments -----------------------------------------------------------------------------------


def shown_comment(world: World, task: Task, comment: Comment) -> Body:
    """Mentioned are members, each once."""
    members = world.project_of(task.id).members
    mentioned = [one for one in dict.fromkeys(_MENTION.findall(comment.body)) if one in members]
    return {
        "id": comment.id,
        "task_id": task.id,
        "body": comment.body,
        "mentions": [world.person(one) for one in mentioned],
        "author": world.person(comment.author),
        "created_at": comment.created_at,
        "edited_at": comment.edited_at,
        "version": task.now.version,
    }


def add_comment(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target, "member")
    unless(against_live(task, project))
    draft = Draft(task.now, observed.at)
    comment = Comment(observed.id, who, data["body"], observed.at)
    draft.set(comments=(*task.now.comments, comment))
    return shown_comment(world, world.wrote_task(task, draft, observed), comment)


def edit_comment(world: World, who: str, target: Part, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target[0], "member")
    comment = task.now.comment(target[1])

    def against() -> Iterator[Reason]:
        yield from against_live(task, project)
        if comment is None:
            yield NOT_FOUND
        elif comment.author != who:
            yield FORBIDDEN

    unless(against())
    assert comment is not None, "that was a reason"
    draft = Draft(task.now, observed.at)
    if comment.body != data["body"]:
        edited = replace(comment, body=data["body"], edited_at=observed.at)
        draft.set(comments=tuple(edited if one is comment else one for one in task.now.comments))
        comment = edited
    return shown_comment(world, world.wrote_task(task, draft, observed), comment)


def delete_comment(world: World, who: str, target: Part, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target[0], "member")
    comment = task.now.comment(target[1])

    def against() -> Iterator[Reason]:
        yield from against_live(task, project)
        if comment is None:
            yield NOT_FOUND
        elif comment.author != who and project.members[who] not in {"admin", "owner"}:
            yield FORBIDDEN

    unless(against())
    draft = Draft(task.now, observed.at)
    draft.set(comments=tuple(one for one in task.now.comments if one is not comment))
    return world.shown(world.wrote_task(task, draft, observed))


# --- the checklist ------------------------------------------------------------------------------


def add_item(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target, "member")
    unless(against_live(task, project))
    item = Item(observed.id, data["text"], observed.rank)
    items = task.now.items
    assert not items or not observed.position or items[-1].rank < observed.rank, "a new item is the last"
    draft = Draft(task.now, observed.at)
    draft.set_items((*items, item))
    task = world.wrote_task(task, draft, observed)
    return {"id": item.id, "text": item.text, "done": item.done, "version": task.now.version}


def edit_item(world: World, who: str, target: Part, data: Data, observed: Observed) -> Body:
    """One event a field that differs."""
    task, project = world.task_for(who, target[0], "member")
    item = task.now.item(target[1])
    others = [one for one in task.now.items if one is not item]

    def against() -> Iterator[Reason]:
        yield from against_live(task, project)
        if item is None:
            yield NOT_FOUND
        if data.get("after") is not None and data["after"] not in {one.id for one in others}:
            yield rule("no-such-item")

    unless(against())
    assert item is not None, "that was a reason"
    draft = Draft(task.now, observed.at)
    if data.get("text", item.text) != item.text:
        item = replace(item, text=data["text"])
        draft.set_items((*others, item))
    if data.get("done", item.done) != item.done:
        item = replace(item, done=data["done"])
        draft.set_items((*others, item))
    if "after" in data:
        place = 0 if data["after"] is None else 1 + [one.id for one in others].index(data["after"])
        if place != [one.id for one in task.now.items].index(item.id):
            item = replace(item, rank=observed.rank)
            draft.set_items((*others, item))
            assert not observed.position or draft.facts.items.index(item) == place, (
                "it stands after the one that is named"
            )
    return world.shown(world.wrote_task(task, draft, observed))


def remove_item(world: World, who: str, target: Part, data: Data, observed: Observed) -> Body:
    task, project = world.task_for(who, target[0], "member")
    others = tuple(one for one in task.now.items if one.id != target[1])
    unless([*against_live(task, project), *([NOT_FOUND] if others == task.now.items else [])])
    draft = Draft(task.now, observed.at)
    draft.set_items(others)
    return world.shown(world.wrote_task(task, draft, observed))


# --- relations ----------------------------------------------------------------------------------


def add_relation(world: World, who: str, target: str, data: Data, observed: Observed) -> Body:
    """To any task that one may see."""
    task, project = world.task_for(who, target, "member")
    world.task_for(who, data["task_id"], "viewer")
    relation = Relation(data["type"], data["task_id"])
    there = relation in task.now.relations
    against: Any = () if there else against_relation(world, target, relation.type, relation.task_id)
    unless([*against_live(task, project), *against])
    draft = Draft(task.now, observed.at)
    if not there:
        draft.set(relations=task.now.relations | {relation})
    return world.shown(world.wrote_task(task, draft, observed))


def remove_relation(world: World, who: str, target: tuple[str, str, str], data: Data, observed: Observed) -> Body:
    """Also to one that one may see no more."""
    task, project = world.task_for(who, target[0], "member")
    relation = Relation(target[1], target[2])
    unless([*against_live(task, project), *([] if relation in task.now.relations else [NOT_FOUND])])
    draft = Draft(task.now, observed.at)
    draft.set(relations=task.now.relations - {relation})
    return world.shown(world.wrote_task(task, draft, observed))
