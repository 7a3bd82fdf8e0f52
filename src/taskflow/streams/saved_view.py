"""The saved-view stream: named filters and a sort order for tasks, owned by a user or shared with a project."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.streams.stream_type import Event, EventMetadata, StreamType

Query = dict[str, str | bool | tuple[str, ...]]
"""The filters of `GET /tasks` by name, as they were given: one value or several."""

# --- events --------------------------------------------------------------------------------------


class ViewSaved(Event, frozen=True):
    """A view was saved. `project_id` is None for a personal view, which only its owner sees."""

    name: str
    query: Query
    owner_id: UUID
    project_id: UUID | None = None


class ViewRenamed(Event, frozen=True):
    name: str


class ViewQueryChanged(Event, frozen=True):
    query: Query


class ViewDeleted(Event, frozen=True):
    pass


# --- state ---------------------------------------------------------------------------------------


class SavedViewState(Struct, frozen=True, kw_only=True, gc=False):
    id: UUID
    name: str
    query: Query
    owner_id: UUID
    """The user who saved the view."""
    project_id: UUID | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    version: int


def evolve(state: SavedViewState | None, event: Event, metadata: EventMetadata) -> SavedViewState:
    at = metadata.occurred_at
    if isinstance(event, ViewSaved):
        return SavedViewState(
            id=metadata.stream_id,
            name=event.name,
            query=event.query,
            owner_id=event.owner_id,
            project_id=event.project_id,
            created_at=at,
            updated_at=at,
            deleted_at=None,
            version=metadata.version,
        )
    if state is None:
        raise AssertionError(f"stream {metadata.stream_id} does not begin with ViewSaved")
    changed: dict[str, Any]
    match event:
        case ViewRenamed(name=name):
            changed = {"name": name}
        case ViewQueryChanged(query=query):
            changed = {"query": query}
        case ViewDeleted():
            changed = {"deleted_at": at}
        case _:
            raise AssertionError(f"a saved view has no {type(event).__name__}")
    return replace(state, updated_at=at, version=metadata.version, **changed)


SAVED_VIEW: Final = StreamType(
    name="saved_view",
    state=SavedViewState,
    events=(ViewSaved, ViewRenamed, ViewQueryChanged, ViewDeleted),
    evolve=evolve,
)
