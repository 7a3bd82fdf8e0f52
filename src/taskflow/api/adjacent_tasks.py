"""Finds the task next to a rank in the tasks projection; implements `commands/adjacent_tasks.py`.

A client that moves one task after another expects its own last move to count, and every move of others that it knows
of. So the projection has to reach the head of the log before it is queried. If it does not in time, or cannot be read,
the task is ranked close to the named one, without a neighbour.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from taskflow.commands.adjacent_tasks import AdjacentTask
from taskflow.errors import Unavailable
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from taskflow.commands.adjacent_tasks import Side
    from taskflow.follower.follower import Follower
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.queries import Views

VIEW: Final = "tasks"
CATCH_UP_S: Final = 1.0
"""The longest wait for the log and the projection together."""


class ViewAdjacentTasks:
    """Queries the tasks projection of one API process."""

    def __init__(self, views: Views, freshness: Freshness, follower: Follower) -> None:
        self._views = views
        self._freshness = freshness
        self._follower = follower

    async def catch_up(self) -> None:
        """Waits until the projection is at the head of the log. Raises Behind if it is not in time, and Unavailable if
        the log or the projection cannot be read."""
        deadline = asyncio.get_running_loop().time() + CATCH_UP_S
        try:
            async with asyncio.timeout_at(deadline):
                await self._follower.poll()
        except TRANSIENT_ERRORS as error:
            raise Unavailable("the log cannot be read now") from error
        head = self._follower.position
        left_s = max(0.0, deadline - asyncio.get_running_loop().time())
        await self._freshness.wait([VIEW], head, timeout_s=left_s)

    async def next_to(self, project_id: UUID, rank: str, side: Side, besides: Collection[UUID]) -> AdjacentTask | None:
        found = await self._views.next_to(project_id, rank, above=side == "after", besides=besides)
        return None if found is None else AdjacentTask(*found)
