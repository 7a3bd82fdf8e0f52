"""ReadModels: everything with which an API process reads the views."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from taskflow.projections.mongo import open_database
from taskflow.readmodels.boards import Boards
from taskflow.readmodels.change_feed import ChangeFeed
from taskflow.readmodels.freshness import open_freshness
from taskflow.readmodels.pages import Pages
from taskflow.readmodels.project_export import Exported
from taskflow.readmodels.queries import Views
from taskflow.readmodels.saved_views import SavedViews

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taskflow.cache.cache import Cache
    from taskflow.projections.mongo import Database
    from taskflow.readmodels.freshness import Freshness, RecentPositions
    from taskflow.settings import Settings


class ReadModels(Struct, frozen=True, kw_only=True, eq=False):
    """The readers of the views. Routes do not hold them: `api.reads` passes them to a query once the views are as fresh
    as the request asks."""

    database: Database
    freshness: Freshness
    views: Views
    pages: Pages
    boards: Boards
    saved: SavedViews
    changed: ChangeFeed
    exported: Exported


@asynccontextmanager
async def open_read_models(
    settings: Settings, cache: Cache, recent_positions: RecentPositions, generation: int
) -> AsyncIterator[ReadModels]:
    """Connects to MongoDB and watches the checkpoints of this topic generation."""
    async with (
        open_database(settings) as database,
        open_freshness(database, recent_positions, generation, settings) as freshness,
    ):
        views = Views(database, freshness.breaker)
        yield ReadModels(
            database=database,
            freshness=freshness,
            views=views,
            pages=Pages(views, freshness, bytes_max=settings.pages_bytes_max),
            boards=Boards(views, freshness, cache, ttl_s=settings.board_cache_ttl_s),
            saved=SavedViews(database, freshness.breaker),
            changed=ChangeFeed(database, freshness.breaker),
            exported=Exported(database, freshness.breaker),
        )
