"""Ids of imported streams and parts, derived from the project, the source and the source's own key.

The same key of the same source always gives the same stream, whoever imports it and however often. The derivation uses
a secret, so that nobody can guess the ids of what somebody else imports.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
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
DERIVED_MAX: Final = 4_096
"""Derived ids that are remembered: the rows of a task follow each other, and name the same people again."""
SCOPES_MAX: Final = 256
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)

Source = Annotated[
    str, Meta(min_length=1, max_length=SOURCE_MAX, pattern=VISIBLE, extra=NAME, examples=["tracker.example/incidents"])
]
"""The name of a source of imports."""
Key = Annotated[str, Meta(min_length=1, max_length=KEY_MAX, examples=["INC-17"])]
"""The source's own id of a person, a task, a comment or a checklist item. Only ids derived from it are stored."""


class ImportCommand(Command, frozen=True, kw_only=True):
    """Base class of commands that import into the target project; they require the role admin. The receipt belongs to
    the project and the source, so that a repeat by another admin finds it."""

    source: Source


class ImportScope:
    """A project and a source, to derive the ids of what the source names."""

    def __init__(self, unit: UnitOfWork, project: ProjectState, source: str) -> None:
        self._unit = unit
        self.project = project
        self._source = source

    def id_of(self, what: str, *keys: str) -> UUID:
        project = self.project
        return _id_of(self._unit.claim_secret, project.id, project.created_at, self._source, what, *keys)

    async def person(self, key: str) -> UUID:
        """The id of a person whom the source has imported into the project before. Raises Rejected if there is none."""
        person = self.id_of("person", key)
        if await self._unit.read(USER, person) is None:
            raise Rejected("no-such-person", f"the source has imported nobody with the key {key!r} into this project")
        return person


async def import_scope(unit: UnitOfWork, project_id: UUID, source: str) -> ImportScope:
    """The scope of an import. Raises NotFound if the caller is not a member of the project, and Forbidden for a role
    below admin."""
    return ImportScope(unit, await project_for(unit, project_id, "admin"), source)


@lru_cache(DERIVED_MAX)
def _id_of(secret: bytes, project_id: UUID, at: datetime, source: str, what: str, *keys: str) -> UUID:
    return derived_id(secret, "import", str(project_id), source, what, *keys, at=at)


@lru_cache(SCOPES_MAX)
def receipts_scope(secret: bytes, project_id: UUID, source: str) -> UUID:
    """The id under which receipts of imports are stored, in place of the id of the user who imports."""
    return derived_id(secret, "import", str(project_id), source, "receipts")


def project_id_of(secret: bytes, owner: UUID, source: str, at: datetime) -> UUID:
    """The id of the project into which an owner imports a source; `at` is when the owner registered."""
    return derived_id(secret, "import", "project", str(owner), source, at=at)


def require_past(pointer: str, at: datetime, now: datetime) -> None:
    """Raises Rejected for a time in the future: times within a stream never decrease, so every later event of the task
    would get a wrong time. Raises Invalid for a time before 1970, where ranks and ids begin."""
    if at > now:
        raise Rejected("future", f"the time {at.astimezone(UTC).isoformat()} has not come yet")
    if at < _FIRST:
        raise Invalid(pointer, "out-of-range", "expected a time since 1970")
