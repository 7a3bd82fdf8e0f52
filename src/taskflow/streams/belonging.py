"""Which project an event puts its stream into: what decides who may see the stream's whole history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskflow.streams.project import ProjectCreated
from taskflow.streams.task import TaskCreated, TaskMoved

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.streams.kind import Event


def project_decided_by(event: Event, stream_id: UUID) -> UUID | None:
    """The project from now on; None for an event that leaves it as it was, and for what belongs to no project."""
    match event:
        case ProjectCreated():
            return stream_id
        case TaskCreated(project_id=project_id) | TaskMoved(project_id=project_id):
            return project_id
        case _:
            return None
