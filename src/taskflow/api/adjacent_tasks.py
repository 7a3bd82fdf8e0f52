"""Who stands next to a rank, as the tasks view knows it: `commands/adjacent_tasks.py` says what for.

A client that puts one card after another must find its own last move in the view, and everybody else's that it
was told of: before the view is asked it has to be where the log was. A view that does not come there in time, or
cannot be read, is not waited for; a card that is put somewhere then lands close enough.
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
"""The view is not waited for longer, the log included."""


class ViewAdjacentTasks:
    """One API process's, over its views."""

    def __init__(self, views: Views, freshness: Freshness, follower: Follower) -> None:
        self._views = views
        self._freshness = freshness
        self._follower = follower

    async def catch_up(self) -> None:
        """Raises Behind, and Unavailable where log or view cannot be read."""
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
