"""Which project an event puts its stream into, which decides who may see the stream's whole history; and below which
task, which decides what moves with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.streams.project import ProjectCreated
from taskflow.streams.saved_view import ViewSaved
from taskflow.streams.task import TaskCreated, TaskMoved, TaskParentSet, TaskPurged

if TYPE_CHECKING:
    from taskflow.streams.stream_type import Event

NO_PARENT: Final = UUID(int=0)


def project_decided_by(event: Event, stream_id: UUID) -> UUID | None:
    """The project from now on; None for an event that leaves it as it was, and for what belongs to no project."""
    match event:
        case ProjectCreated():
            return stream_id
        case TaskCreated(project_id=project_id) | TaskMoved(project_id=project_id) | ViewSaved(project_id=project_id):
            return project_id
        case _:
            return None


def parent_decided_by(event: Event) -> UUID | None:
    """The task that its stream stands below from now on, NO_PARENT where that is none; None for an event that leaves it
    as it was. A task that is purged stands nowhere: nobody finds it."""
    match event:
        case TaskCreated(parent_id=parent_id) | TaskParentSet(parent_id=parent_id) | TaskMoved(parent_id=parent_id):
            return parent_id or NO_PARENT
        case TaskPurged():
            return NO_PARENT
        case _:
            return None
