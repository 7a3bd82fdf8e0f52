"""Reading saved views: those of a person and of their projects, of each in the order they were saved."""

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
    """The documents of the view `views`. No access is judged here. Every read raises Unavailable where MongoDB
    does not answer."""

    def __init__(self, database: Database, reach: MongoBreaker | None = None) -> None:
        self.reach = MongoBreaker() if reach is None else reach
        self._views = database[PROJECTIONS["views"].collection]

    @read_within(READ_S)
    async def get(self, view_id: UUID) -> SavedViewState | None:
        """None for a deleted one too."""
        found = await self._views.find_one({"_id": view_id, "deleted": False}, {"state": 1})
        return None if found is None else _saved.decode(found["state"])

    @read_within(READ_S)
    async def page(
        self, *, owner: UUID | None, projects: Collection[UUID], after: UUID | None, limit: int
    ) -> list[SavedViewState]:
        """The owner's personal ones, if there is an owner, and those of these projects."""
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
        """Those of the project, or the owner's personal ones where there is none, counted up to `most`; and the last
        one that was ever saved, deleted or not."""
        which = _of_person(owner) if project_id is None else _of_project(project_id)
        # The newest first: one that is saved meanwhile is counted twice rather than not at all.
        ever = which | {"deleted": {"$in": [False, True]}}
        newest = await self._views.find_one(ever, {"_id": 1}, sort=[("_id", -1)])
        return await self._views.count_documents(which, limit=most), None if newest is None else newest["_id"]


def _of_project(project_id: UUID) -> dict[str, Any]:
    return {"project_id": project_id, "deleted": False}


def _of_person(owner: UUID) -> dict[str, Any]:
    return {"project_id": None, "owner_id": owner, "deleted": False}
