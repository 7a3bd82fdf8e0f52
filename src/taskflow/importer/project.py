"""The project that takes an import: the mapping's own, or one that is there; judged before a row is stored."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from taskflow.commands.access import require_role
from taskflow.commands.imports import import_project
from taskflow.errors import NotFound, Rejected
from taskflow.importer.sending import Scope
from taskflow.streams import PROJECT

if TYPE_CHECKING:
    from taskflow.commands.imports import ImportProject
    from taskflow.importer.mapping import Mapping
    from taskflow.importer.sending import Sender
    from taskflow.store.eventstore import EventStore
    from taskflow.streams.project import ProjectState


class Own:
    """The project that a mapping's `key` names: one, whoever imports and however it is called by now."""

    def __init__(self, secret: bytes, key: str) -> None:
        self.key = key
        self._scope = Scope(secret, "import", key)
        self._command_id = self._scope.id("project")

    async def find(self, store: EventStore) -> UUID | None:
        """None where no import founded it yet."""
        known = await store.accepted(self._scope.caller, [self._command_id])
        return known[self._command_id][1] if known else None

    async def found(self, sender: Sender, command: ImportProject) -> ProjectState:
        """Founds it, its id laid out by the time that it is as old as; or finds it, founded a moment ago."""
        handler = partial(import_project, project_id=self._scope.id("stream", at=command.at), command=command)
        accepted, _ = await sender.execute(self._scope.caller, self._command_id, self._command_id.bytes, handler)
        state: ProjectState = accepted.state
        return state


def usable(mapping: Mapping, project: ProjectState) -> None:
    """Raises Rejected where its workflow lacks a status that the mapping names."""
    missing = [status.key for status in mapping.status.values if project.workflow.status(status.key) is None]
    if missing:
        raise Rejected(
            "no-such-status",
            f"the workflow of project {project.id} lacks {', '.join(map(repr, missing))}, which the mapping "
            f"names; it has {', '.join(repr(status.key) for status in project.workflow.statuses)}",
        )


async def open_to(store: EventStore, project_id: UUID, user_id: UUID) -> ProjectState:
    """Raises NotFound for a stranger's project or none, Forbidden for a role below admin, and Rejected where it
    is archived."""
    project = (await store.state_cache.load(PROJECT, project_id)).state
    if not isinstance(project, PROJECT.state):
        raise NotFound("project", project_id)
    require_role(project, user_id, "admin")
    if project.archived_at is not None:
        raise Rejected("project-archived", f"project {project_id} is archived; unarchive it first")
    return project
