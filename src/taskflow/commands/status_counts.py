"""What a rule may ask that no single stream can answer: how many tasks are in a status, how many views are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Saved(Struct, frozen=True):
    """Saved views: how many there are, and the last one made, which may be deleted."""

    count: int
    newest: UUID | None


class StatusCounts(Protocol):
    """Whoever can count over streams. What it says is no guard: something may be different a moment later."""

    async def tasks_in(self, project_id: UUID, statuses: Collection[str]) -> Mapping[str, int]:
        """How many of a project's tasks, those in the trash included, last entered each of these statuses; none:
        left out. At least as fresh as every write acknowledged before. Raises Uncounted."""
        ...

    async def views_of(self, owner: UUID, project_id: UUID | None) -> Saved:
        """A project's saved views, or the owner's personal ones. Raises Uncounted."""
        ...
