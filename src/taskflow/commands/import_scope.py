"""What a source has in a project: ids that are derived of project, source and the source's own key.

So the same key of the same source is the same stream, whoever imports it and however often; and since the ids are
made with a secret, nobody can guess the id of what somebody else imports.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from taskflow.commands.access import project_for
from taskflow.commands.fields import NAME, VISIBLE, Command
from taskflow.errors import Invalid, Rejected
from taskflow.ids import derived_id
from taskflow.streams import USER

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState

SOURCE_MAX: Final = 300
KEY_MAX: Final = 500
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)

Source = Annotated[
    str, Meta(min_length=1, max_length=SOURCE_MAX, pattern=VISIBLE, extra=NAME, examples=["tracker.example/incidents"])
]
"""What tells one source from another."""
Key = Annotated[str, Meta(min_length=1, max_length=KEY_MAX, examples=["INC-17"])]
"""The source's own id of a person, a task, a comment or a checklist item. Only ids derived of it are stored."""


class ImportCommand(Command, frozen=True, kw_only=True):
    """What an import does to the project that is its target: it takes the role admin. Its receipt belongs to project
    and source, so a repeat by another admin finds it."""

    source: Source


class ImportScope:
    """A project, a source, and the ids of what that source names."""

    def __init__(self, unit: UnitOfWork, project: ProjectState, source: str) -> None:
        self._unit = unit
        self.project = project
        self._source = source

    def id_of(self, what: str, *keys: str) -> UUID:
        parts = ("import", str(self.project.id), self._source, what, *keys)
        return derived_id(self._unit.claim_secret, *parts, at=self.project.created_at)

    async def person(self, key: str) -> UUID:
        """Somebody whom the source brought into the project before. Raises Rejected."""
        person = self.id_of("person", key)
        if await self._unit.read(USER, person) is None:
            raise Rejected("no-such-person", f"the source has imported nobody with the key {key!r} into this project")
        return person


async def import_scope(unit: UnitOfWork, project_id: UUID, source: str) -> ImportScope:
    """Raises NotFound for a stranger's project, and Forbidden for a role below admin."""
    return ImportScope(unit, await project_for(unit, project_id, "admin"), source)


def receipts_scope(secret: bytes, project_id: UUID, source: str) -> UUID:
    """Whose the receipts of an import are: not the person's who imports."""
    return derived_id(secret, "import", str(project_id), source, "receipts")


def project_id_of(secret: bytes, owner: UUID, source: str, at: datetime) -> UUID:
    """The project that an owner has of a source; `at` is when the owner registered."""
    return derived_id(secret, "import", "project", str(owner), source, at=at)


def require_past(pointer: str, at: datetime, now: datetime) -> None:
    """Raises Rejected for a time that has not come: a stream never goes back, so a task that was dragged into the
    future could not be told truly again. Raises Invalid for one before 1970, where ranks and ids begin."""
    if at > now:
        raise Rejected("future", f"the time {at.astimezone(UTC).isoformat()} has not come yet")
    if at < _FIRST:
        raise Invalid(pointer, "out-of-range", "expected a time since 1970")
