"""Which projects two people share by their own consent: a question that no single stream can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class Acquaintances(Protocol):
    """Whoever keeps an index of members by person. It only names projects: a decision reads and guards those."""

    async def shared_projects(self, one: UUID, other: UUID, *, fresh: bool) -> Sequence[UUID]:
        """Projects that both created or accepted an invitation to, in the same order each time. `fresh`: at least as
        of every write acknowledged before; else as far as is known already."""
        ...
