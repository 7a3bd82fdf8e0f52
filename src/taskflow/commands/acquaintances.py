"""Interface to a query that no single stream can answer: the projects that two people share by their own consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class Acquaintances(Protocol):
    """An index of projects by member. It only gives ids: the decision reads the streams of these projects itself."""

    async def shared_projects(self, one: UUID, other: UUID, *, fresh: bool) -> Sequence[UUID]:
        """Ids of projects that each of both people created or accepted an invitation to, in a stable order. `fresh`:
        the index first catches up with every write that was acknowledged before this call."""
        ...
