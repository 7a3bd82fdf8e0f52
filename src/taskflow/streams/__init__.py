"""The stream types, one file each: events, state, and `evolve`, which applies an event to a state.

The write side and the read side share this package: commands decide on these states, projections store them.
"""

from __future__ import annotations

from typing import Any, Final

from taskflow.streams.claim import CLAIM
from taskflow.streams.project import PROJECT
from taskflow.streams.saved_view import SAVED_VIEW
from taskflow.streams.session import SESSION
from taskflow.streams.stream_type import PERSONAL, STATE_BYTES, Event, EventMetadata, StreamType, state_bytes
from taskflow.streams.task import TASK
from taskflow.streams.user import USER

STREAM_TYPES: Final[tuple[StreamType[Any], ...]] = (USER, PROJECT, TASK, SESSION, CLAIM, SAVED_VIEW)
EVENT_TYPES: Final[dict[str, type[Event]]] = {event.__name__: event for kind in STREAM_TYPES for event in kind.events}
STREAM_TYPE_OF_EVENT: Final[dict[str, StreamType[Any]]] = {
    event.__name__: kind for kind in STREAM_TYPES for event in kind.events
}

__all__ = [
    "CLAIM",
    "EVENT_TYPES",
    "PERSONAL",
    "PROJECT",
    "SAVED_VIEW",
    "SESSION",
    "STATE_BYTES",
    "STREAM_TYPES",
    "STREAM_TYPE_OF_EVENT",
    "TASK",
    "USER",
    "Event",
    "EventMetadata",
    "StreamType",
    "state_bytes",
]
