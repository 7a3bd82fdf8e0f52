"""The kinds of stream, one file each: its events, its state, and `evolve` from one to the next.

Both sides stand on this package: commands decide on these states, projections store them.
"""

from __future__ import annotations

from typing import Any, Final

from taskflow.streams.claim import CLAIM
from taskflow.streams.kind import PERSONAL, STATE_BYTES, Event, Happened, Kind, state_bytes
from taskflow.streams.project import PROJECT
from taskflow.streams.saved_view import SAVED_VIEW
from taskflow.streams.session import SESSION
from taskflow.streams.task import TASK
from taskflow.streams.user import USER

KINDS: Final[tuple[Kind[Any], ...]] = (USER, PROJECT, TASK, SESSION, CLAIM, SAVED_VIEW)
EVENT_TYPES: Final[dict[str, type[Event]]] = {event.__name__: event for kind in KINDS for event in kind.events}
KIND_OF_TYPE: Final[dict[str, Kind[Any]]] = {event.__name__: kind for kind in KINDS for event in kind.events}

__all__ = [
    "CLAIM",
    "EVENT_TYPES",
    "KINDS",
    "KIND_OF_TYPE",
    "PERSONAL",
    "PROJECT",
    "SAVED_VIEW",
    "SESSION",
    "STATE_BYTES",
    "TASK",
    "USER",
    "Event",
    "Happened",
    "Kind",
    "state_bytes",
]
