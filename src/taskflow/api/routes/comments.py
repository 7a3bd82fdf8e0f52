"""Comments over HTTP, read from the event store, so that every comment acknowledged before the request is included."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from litestar import Response
from msgspec import Struct

from taskflow.api.committed_state import committed
from taskflow.api.cursors import after_cursor, to_cursor
from taskflow.api.reads import COMMON, PAGED, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.task_parts import CommentBody, comment_body, people_of
from taskflow.errors import Invalid, NotFound
from taskflow.page_bounds import PAGE_BYTES_MAX, fitting
from taskflow.streams import PROJECT, TASK

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taskflow.api.reads import Reading
    from taskflow.streams.task import Comment, TaskState

_OF: Final = "comments"


async def list_comments(call: RequestContext) -> Response[bytes]:
    task_id = call.id("task_id", "task")
    reading = await begin(call, paged=True)
    after = None if reading.cursor is None else _read_cursor(reading.cursor)
    task, members = await _load(reading, task_id)
    left = task.comments if after is None else _after(task.comments, *after)
    fit = fitting([len(comment.body) for comment in left[: reading.limit]], PAGE_BYTES_MAX)
    page = left[:fit]
    next_cursor = _cursor(page[-1]) if len(left) > len(page) else None
    items = await _shown(reading, task, page, members)
    return reading.page(items, next_cursor, cursor_after=lambda index: _cursor(page[index]))


async def get_comment(call: RequestContext) -> Response[bytes]:
    task_id, comment_id = call.id("task_id", "task"), call.id("comment_id", "comment")
    reading = await begin(call)
    task, members = await _load(reading, task_id)
    comment = task.comment(comment_id)
    if comment is None:
        raise NotFound("comment", comment_id)
    (body,) = await _shown(reading, task, [comment], members)
    return reading.resource(body, task.version)


async def _load(reading: Reading, task_id: UUID) -> tuple[TaskState, Collection[UUID]]:
    """The task, and the members of its project. Raises NotFound if the caller is not one of them."""
    await reading.read_log()
    store = reading.context.store
    task = await committed(store, TASK, task_id)
    if task is None or task.purged:
        raise NotFound("task", task_id)
    await reading.require_member(task.project_id, "task", task_id)
    project = await committed(store, PROJECT, task.project_id)
    return task, () if project is None else project.members


async def _shown(
    reading: Reading, task: TaskState, comments: Sequence[Comment], members: Collection[UUID]
) -> list[CommentBody]:
    names = await reading.names({person for comment in comments for person in people_of(comment, members)})
    return [comment_body(task, comment, members, names) for comment in comments]


# --- cursors


class _After(Struct, frozen=True, array_like=True):
    """The last comment of a page, with its place in the list in case it is deleted."""

    created_at: datetime
    id: UUID


def _cursor(comment: Comment) -> str:
    return _cursor_after(_After(comment.created_at, comment.id))


def _cursor_after(after: _After) -> str:
    return to_cursor(_OF, msgspec.json.encode(after).decode())


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        after = msgspec.json.decode(str(after_cursor(cursor, _OF)), type=_After)
    except msgspec.MsgspecError:
        after = None
    if after is None or after.created_at.tzinfo is None or _cursor_after(after) != cursor:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    return after.created_at, after.id


def _after(comments: Sequence[Comment], created_at: datetime, comment_id: UUID) -> Sequence[Comment]:
    for index, comment in enumerate(comments, 1):
        if comment.id == comment_id:
            return comments[index:]
    return [one for one in comments if (one.created_at, one.id) > (created_at, comment_id)]


class CommentPage(Struct, frozen=True):
    items: list[CommentBody]
    next_cursor: str | None


ALL: Final = f"{BASE}/tasks/{{task_id:str}}/comments"
ONE: Final = f"{ALL}/{{comment_id:str}}"
ROUTES: Final = (
    Route("GET", ALL, list_comments, "A task's comments, oldest first", answer=CommentPage, query=PAGED),
    Route("GET", ONE, get_comment, "A comment", answer=CommentBody, query=COMMON),
)
