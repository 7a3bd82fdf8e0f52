"""How many tasks are in a status, for rules that ask: from the view of tasks, once it has caught up with the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.errors import Behind, Unavailable, Uncounted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from taskflow.follower.follower import Follower
    from taskflow.projections.freshness import Freshness
    from taskflow.projections.queries import Views

CATCH_UP_S: Final = 5.0
"""The view is not waited for longer."""
VIEW: Final = "tasks"


class ViewUsage:
    """The Usage of an API process."""

    def __init__(self, views: Views, freshness: Freshness, follower: Follower) -> None:
        self._views = views
        self._freshness = freshness
        self._follower = follower

    async def tasks_in(self, project_id: UUID, statuses: Collection[str]) -> Mapping[str, int]:
        await self._follower.poll()
        position = self._follower.position
        try:
            await self._freshness.wait([VIEW], position, timeout_s=CATCH_UP_S)
            counts = await self._views.tasks_in(project_id, statuses)
            await self._freshness.confirm([(VIEW, None)], position, timeout_s=CATCH_UP_S)
        except (Behind, Unavailable) as error:
            raise Uncounted(
                "how many tasks are in the statuses that leave cannot be counted now: the view of tasks does not "
                "answer, or not in time; try again shortly, or say in `mapping` which statuses take their place"
            ) from error
        return counts
