"""Bodies of the parts of a task: comments and checklist items. Their version is the task's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.api.render import Person, person
from taskflow.dates.timestamps import Timestamp, timestamp, timestamp_or_none

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from taskflow.streams.task import ChecklistItem, Comment, TaskState

_MENTION: Final = re.compile(r"@\[([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]", re.IGNORECASE)


class CommentBody(Struct, frozen=True, kw_only=True):
    """A comment. `body` is the text as written, with mentions as `@[user id]`; `mentions` lists those who are members
    of the project now, in the order of their first mention."""

    id: UUID
    task_id: UUID
    body: str
    mentions: tuple[Person, ...]
    author: Person | None
    created_at: Timestamp
    edited_at: Timestamp | None
    version: int


class WrittenComment(CommentBody, frozen=True, kw_only=True):
    """The answer to a write. Used for the OpenAPI document only, see `encoding.with_position`."""

    position: int


class ItemBody(Struct, frozen=True, kw_only=True):
    id: UUID
    text: str
    done: bool
    version: int


class WrittenItem(ItemBody, frozen=True, kw_only=True):
    """As WrittenComment, for an item that was added."""

    position: int


def mentioned(body: str, members: Collection[UUID]) -> tuple[UUID, ...]:
    """The members that a text mentions, each once, in order."""
    ids = dict.fromkeys(UUID(found[1]) for found in _MENTION.finditer(body))
    return tuple(user_id for user_id in ids if user_id in members)


def people_of(comment: Comment, members: Collection[UUID]) -> set[UUID]:
    """The people whose names a comment is shown with: its author and the mentioned members."""
    author = () if comment.author_id is None else (comment.author_id,)
    return {*mentioned(comment.body, members), *author}


def comment_body(
    task: TaskState, comment: Comment, members: Collection[UUID], names: Mapping[UUID, str | None]
) -> CommentBody:
    return CommentBody(
        id=comment.id,
        task_id=task.id,
        body=comment.body,
        mentions=tuple(Person(user_id, names.get(user_id)) for user_id in mentioned(comment.body, members)),
        author=person(comment.author_id, names),
        created_at=timestamp(comment.created_at),
        edited_at=timestamp_or_none(comment.edited_at),
        version=task.version,
    )


def item_body(task: TaskState, item: ChecklistItem) -> ItemBody:
    return ItemBody(id=item.id, text=item.text, done=item.done, version=task.version)
