"""Queries of saved views: personal ones and those of projects, in the order of creation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.mongo_breaker import MongoBreaker, read_within
from taskflow.streams.saved_view import SavedViewState

if TYPE_CHECKING:
    from collections.abc import Collection

    from taskflow.projections.mongo import Database

READ_S: Final = 1.0
_saved: Final = msgspec.json.Decoder(SavedViewState)


class SavedViews:
    """Reads the documents of the projection `views`. Callers check access. Every read raises Unavailable if MongoDB
    does not answer."""

    def __init__(self, database: Database, breaker: MongoBreaker | None = None) -> None:
        self.breaker = MongoBreaker() if breaker is None else breaker
        self._views = database[PROJECTIONS["views"].collection]

    @read_within(READ_S)
    async def get(self, view_id: UUID) -> SavedViewState | None:
        """Returns a saved view; None if it does not exist or is deleted."""
        found = await self._views.find_one({"_id": view_id, "deleted": False}, {"state": 1})
        return None if found is None else _saved.decode(found["state"])

    @read_within(READ_S)
    async def page(
        self, *, owner: UUID | None, projects: Collection[UUID], after: UUID | None, limit: int
    ) -> list[SavedViewState]:
        """Returns the owner's personal views, if `owner` is given, and the views of these projects."""
        kinds: list[dict[str, Any]] = [_of_project(project_id) for project_id in projects]
        if owner is not None:
            kinds.append(_of_person(owner))
        if not kinds:
            return []
        query: dict[str, Any] = {"$or": kinds}
        if after is not None:
            query["_id"] = {"$gt": after}
        found = self._views.find(query, {"state": 1}).sort("_id", 1).limit(limit)
        return [_saved.decode(document["state"]) async for document in found]

    @read_within(READ_S)
    async def count(self, *, owner: UUID, project_id: UUID | None, most: int) -> tuple[int, UUID | None]:
        """Counts the views of the project, or the owner's personal views if `project_id` is None, up to `most`. Also
        returns the id of the newest view, deleted ones included."""
        which = _of_person(owner) if project_id is None else _of_project(project_id)
        # Read the newest id before counting: a view saved meanwhile is then counted twice rather than not at all.
        ever = which | {"deleted": {"$in": [False, True]}}
        newest = await self._views.find_one(ever, {"_id": 1}, sort=[("_id", -1)])
        return await self._views.count_documents(which, limit=most), None if newest is None else newest["_id"]


def _of_project(project_id: UUID) -> dict[str, Any]:
    return {"project_id": project_id, "deleted": False}


def _of_person(owner: UUID) -> dict[str, Any]:
    return {"project_id": None, "owner_id": owner, "deleted": False}
