"""What a command made: the id by which later commands of its batch may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.streams import Event
from taskflow.streams.project import MemberInvited
from taskflow.streams.task import ChecklistItemAdded, CommentAdded

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

PARTS: Final[dict[type[Event], str]] = {
    CommentAdded: "comment_id",
    ChecklistItemAdded: "item_id",
    MemberInvited: "invitation_id",
}
"""Events that begin a part of a stream, with the field that holds its id."""


def made_by(stream_id: UUID, events: Iterable[Event]) -> UUID:
    """The part that these events began, else the stream."""
    for event in events:
        field = PARTS.get(type(event))
        if field is not None:
            part: UUID = getattr(event, field)
            return part
    return stream_id
