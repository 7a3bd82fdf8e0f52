"""The project and the parent task that an event assigns to its stream.

The project decides who may read the stream's whole history; the parent decides which tasks move together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from taskflow.streams.project import ProjectCreated
from taskflow.streams.saved_view import ViewSaved
from taskflow.streams.task import TaskCreated, TaskEventAnnulled, TaskMoved, TaskParentSet, TaskPurged

if TYPE_CHECKING:
    from taskflow.streams.stream_type import Event

NO_PARENT: Final = UUID(int=0)


def project_decided_by(event: Event, stream_id: UUID) -> UUID | None:
    """Returns the stream's project after the event; None if the event does not change the project, or if the stream
    belongs to no project."""
    match event:
        case ProjectCreated():
            return stream_id
        case TaskCreated(project_id=project_id) | TaskMoved(project_id=project_id) | ViewSaved(project_id=project_id):
            return project_id
        case _:
            return None


def parent_decided_by(event: Event, after: Any) -> UUID | None:
    """Returns the stream's parent task after the event, given the state after it: NO_PARENT for a task without a parent
    and for a purged task, None if the event does not change the parent."""
    match event:
        case TaskCreated(parent_id=parent_id) | TaskParentSet(parent_id=parent_id) | TaskMoved(parent_id=parent_id):
            return parent_id or NO_PARENT
        case TaskPurged():
            return NO_PARENT
        case TaskEventAnnulled():
            return after.parent_id or NO_PARENT
        case _:
            return None
