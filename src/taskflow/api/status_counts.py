"""Counts tasks and saved views in the projections; implements `commands/status_counts.py`."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from taskflow.commands.fields import SAVED_VIEWS_MAX
from taskflow.commands.status_counts import Saved
from taskflow.errors import Behind, Unavailable, Uncounted
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from taskflow.follower.follower import Follower
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.queries import Views
    from taskflow.readmodels.saved_views import SavedViews

CATCH_UP_S: Final = 5.0
"""The longest wait for the projection of tasks."""
SAVED_S: Final = 2.0
"""The longest wait for the projection of saved views. After it, its present count is used: the caller reads on from the
newest view that the projection knows."""
VIEW: Final = "tasks"
SAVED_VIEW: Final = "views"


class ViewStatusCounts:
    """The StatusCounts of an API process."""

    def __init__(self, views: Views, saved: SavedViews, freshness: Freshness, follower: Follower) -> None:
        self._views = views
        self._saved = saved
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
                "the tasks in the removed statuses cannot be counted, because the view of tasks does not answer in time; "
                "try again shortly, or name in `mapping` the statuses that replace them"
            ) from error
        return counts

    async def views_of(self, owner: UUID, project_id: UUID | None) -> Saved:
        try:
            await self._follower.poll()
            with suppress(Behind):
                await self._freshness.wait([SAVED_VIEW], self._follower.position, timeout_s=SAVED_S)
            return Saved(*await self._saved.count(owner=owner, project_id=project_id, most=SAVED_VIEWS_MAX))
        except (Unavailable, *TRANSIENT_ERRORS) as error:
            raise Uncounted("the saved views cannot be counted now, because their view does not answer") from error
