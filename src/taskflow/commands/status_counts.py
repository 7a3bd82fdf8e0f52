"""Interface to counts that no single stream has: of the tasks in a status, and of saved views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Saved(Struct, frozen=True):
    """The number of saved views, and the id of the newest, which may be deleted."""

    count: int
    newest: UUID | None


class StatusCounts(Protocol):
    """Counts over many streams. The append does not check a count: it may have changed a moment later."""

    async def tasks_in(self, project_id: UUID, statuses: Collection[str]) -> Mapping[str, int]:
        """The number of a project's tasks, including the trash, that last entered each of these statuses; a status with
        no tasks is left out. Includes every write acknowledged before. Raises Uncounted."""
        ...

    async def views_of(self, owner: UUID, project_id: UUID | None) -> Saved:
        """Counts a project's saved views; without a project, the owner's personal ones. Raises Uncounted."""
        ...
