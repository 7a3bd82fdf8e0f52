"""What a rule may ask that no single stream can answer: how many tasks are in a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID


class Usage(Protocol):
    """Whoever can count over streams. What it says is no guard: something may be different a moment later."""

    async def tasks_in(self, project_id: UUID, statuses: Collection[str]) -> Mapping[str, int]:
        """How many of a project's tasks, those in the trash included, last entered each of these statuses; none:
        left out. At least as fresh as every write acknowledged before. Raises Uncounted."""
        ...
