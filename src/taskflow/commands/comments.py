"""Commands that add, edit and delete a task's comments, which are kept in the order of their creation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import require_role, require_user
from taskflow.commands.declaration import TASK_ID, RestRoute, TargetType, on_task
from taskflow.commands.fields import COMMENTS_BYTES_MAX, COMMENTS_MAX, Command, CommentText
from taskflow.commands.task import require_editable
from taskflow.errors import Forbidden, NotFound, Rejected
from taskflow.streams import Event
from taskflow.streams.task import CommentAdded, CommentDeleted, CommentEdited

if TYPE_CHECKING:
    from taskflow.streams.project import ProjectState
    from taskflow.streams.task import Comment, TaskState

# --- commands ------------------------------------------------------------------------------------


class TaskComment(Struct, frozen=True):
    """The target of commands that change one comment."""

    task_id: UUID
    comment_id: UUID


class AddComment(Command, frozen=True):
    """People are mentioned as `@[user id]`. An id that is not a member's is plain text: it is not refused, and a person
    who leaves the project is no longer listed among the mentioned."""

    body: CommentText


class EditComment(Command, frozen=True):
    body: CommentText


class DeleteComment(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def add(task: TaskState, project: ProjectState, comment_id: UUID, body: str) -> list[Event]:
    require_editable(task, project)
    if len(task.comments) >= COMMENTS_MAX:
        raise Rejected("too-many-comments", f"a task has at most {COMMENTS_MAX} comments; delete one first")
    _room_for(task, body, instead_of="")
    return [CommentAdded(comment_id=comment_id, body=body)]


def edit(task: TaskState, project: ProjectState, actor: UUID, comment_id: UUID, body: str) -> list[Event]:
    require_editable(task, project)
    comment = _comment(task, comment_id)
    if comment.author_id != actor:
        raise Forbidden("only the author can edit a comment")
    if body == comment.body:
        return []
    _room_for(task, body, instead_of=comment.body)
    return [CommentEdited(comment_id=comment_id, body=body)]


def delete(task: TaskState, project: ProjectState, actor: UUID, comment_id: UUID) -> list[Event]:
    require_editable(task, project)
    if _comment(task, comment_id).author_id != actor:
        require_role(project, actor, "admin")
    return [CommentDeleted(comment_id=comment_id)]


def size_of(task: TaskState) -> int:
    """Bytes of all comments of a task together."""
    return sum(len(comment.body.encode()) for comment in task.comments)


def _comment(task: TaskState, comment_id: UUID) -> Comment:
    comment = task.comment(comment_id)
    if comment is None:
        raise NotFound("comment", comment_id)
    return comment


def _room_for(task: TaskState, body: str, *, instead_of: str) -> None:
    """Raises Rejected if `body`, in place of `instead_of`, makes the task's comments too large. A text that does not
    make them larger always fits."""
    grows = len(body.encode()) - len(instead_of.encode())
    size = grows + size_of(task)
    if grows > 0 and size > COMMENTS_BYTES_MAX:
        raise Rejected(
            "too-many-comments",
            f"a task has at most {COMMENTS_BYTES_MAX} bytes of comments; with this one there would be {size}",
        )


# --- declared ------------------------------------------------------------------------------------

COMMENT: Final = TargetType("comment", TASK_ID.path + "/comments/{comment_id:str}", TaskComment)
COMMANDS: Final = (
    on_task(
        AddComment,
        TASK_ID,
        lambda on: add(on.state, on.project, on.unit.fresh_id(), on.command.body),
        RestRoute("POST", "/comments", "Comment on a task"),
        answer="comment",
        creates=True,
    ),
    on_task(
        EditComment,
        COMMENT,
        lambda on: edit(on.state, on.project, require_user(on.unit), on.target.comment_id, on.command.body),
        RestRoute("PATCH", "", "Change what one's own comment says"),
        answer="comment",
    ),
    on_task(
        DeleteComment,
        COMMENT,
        lambda on: delete(on.state, on.project, require_user(on.unit), on.target.comment_id),
        RestRoute("DELETE", "", "Delete a comment; answers the task"),
    ),
)
