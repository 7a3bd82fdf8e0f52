"""Whether a project can take an import: judged before the first row is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from taskflow.commands.access import at_least
from taskflow.errors import NotFound, Rejected
from taskflow.streams import PROJECT

if TYPE_CHECKING:
    from taskflow.importer.mapping import Mapping
    from taskflow.store.eventstore import EventStore


async def usable(store: EventStore, mapping: Mapping, project_id: UUID, user_id: UUID) -> None:
    """Raises NotFound for a stranger's project or none, Forbidden for a role below admin, and Rejected
    where it is archived or its workflow lacks a status that the mapping names."""
    project = (await store.folds.load(PROJECT, project_id)).state
    if not isinstance(project, PROJECT.state):
        raise NotFound("project", project_id)
    at_least(project, user_id, "admin")
    if project.archived_at is not None:
        raise Rejected("project-archived", f"project {project_id} is archived; unarchive it first")
    missing = [status.key for status in mapping.status.values if project.workflow.status(status.key) is None]
    if missing:
        raise Rejected(
            "no-such-status",
            f"the workflow of project {project_id} lacks {', '.join(map(repr, missing))}, which the mapping "
            f"names; it has {', '.join(repr(status.key) for status in project.workflow.statuses)}",
        )
