"""The id of what a command created, by which later commands of its batch can refer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from taskflow.streams import Event


def created_by_event(stream_id: UUID, events: Iterable[Event]) -> UUID:
    """The id of the part (a comment, an item) that these events created, else the id of the stream."""
    for event in events:
        if event.part_field:
            part: UUID = getattr(event, event.part_field)
            return part
    return stream_id
