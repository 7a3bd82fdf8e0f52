"""The project that takes an import: the mapping's own, or one that is there; judged before a row is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import at_least
from taskflow.errors import NotFound, Rejected
from taskflow.ids import derived_id
from taskflow.streams import PROJECT

if TYPE_CHECKING:
    from datetime import datetime

    from taskflow.importer.mapping import Mapping
    from taskflow.store.eventstore import EventStore
    from taskflow.streams.project import ProjectState


class Own(Struct, frozen=True):
    """The project that a mapping's `key` names: one, whoever imports and however it is called by now."""

    secret: bytes
    key: str

    @property
    def caller(self) -> UUID:
        return derived_id(self.secret, "import", self.key)

    @property
    def command_id(self) -> UUID:
        return derived_id(self.secret, "import", self.key, "project")

    def project_id(self, at: datetime) -> UUID:
        """The id it is founded under, `at` the time of its first row; later its receipt tells the id."""
        return derived_id(self.secret, "import", self.key, "stream", at=at)

    async def found(self, store: EventStore) -> UUID | None:
        """None where no import founded it yet."""
        known = await store.accepted(self.caller, [self.command_id])
        return known[self.command_id][1] if known else None


async def usable(store: EventStore, mapping: Mapping, project_id: UUID, user_id: UUID) -> None:
    """Raises NotFound for a stranger's project or none, Forbidden for a role below admin, and Rejected
    where it is archived or its workflow lacks a status that the mapping names."""
    project = await open_to(store, project_id, user_id)
    missing = [status.key for status in mapping.status.values if project.workflow.status(status.key) is None]
    if missing:
        raise Rejected(
            "no-such-status",
            f"the workflow of project {project_id} lacks {', '.join(map(repr, missing))}, which the mapping "
            f"names; it has {', '.join(repr(status.key) for status in project.workflow.statuses)}",
        )


async def open_to(store: EventStore, project_id: UUID, user_id: UUID) -> ProjectState:
    """As `usable`, but for the workflow."""
    project = (await store.folds.load(PROJECT, project_id)).state
    if not isinstance(project, PROJECT.state):
        raise NotFound("project", project_id)
    at_least(project, user_id, "admin")
    if project.archived_at is not None:
        raise Rejected("project-archived", f"project {project_id} is archived; unarchive it first")
    return project
