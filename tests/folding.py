"""The plainest fold of a stream: a whole history in memory, with what was annulled in it left out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from taskflow.streams import Event, EventMetadata, StreamType

Told = tuple[Event, EventMetadata]


def annulled_in(history: Iterable[Told]) -> set[int]:
    """The versions that events of a history annul."""
    return {getattr(event, "version") for event, _ in history if event.annuls}  # noqa: B009 - not of every event


def folded(kind: StreamType[Any], history: Collection[Told], annulled: Collection[int] | None = None) -> Any:
    """The state after a history; `annulled`: the versions to leave out instead of those annulled in it."""
    left_out = annulled_in(history) if annulled is None else annulled
    state: Any = None
    for event, metadata in history:
        if metadata.version not in left_out:
            state = kind.evolve(state, event, metadata)
    return state
