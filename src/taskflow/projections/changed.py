"""What changed in the views since a position: documents in the order of their last change, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.projections.queries import QUERY_MS_MAX
from taskflow.projections.reach import Reach, read_within
from taskflow.projections.registry import VIEWS
from taskflow.projections.tasks import ShownTask
from taskflow.streams.project import ProjectState

if TYPE_CHECKING:
    from collections.abc import Collection

    from taskflow.projections.mongo import Database

MANY_S: Final = 2.5
_shown: Final = msgspec.json.Decoder(ShownTask)
_projects: Final = msgspec.json.Decoder(ProjectState)
_TASK: Final = {"position": 1, "trashed": 1, "shown": 1}
_ORDER: Final = [("position", 1), ("_id", 1)]
# Named: another index looks cheaper while a project is small, and sorts in memory.
_OF_PROJECT: Final = [("project_id", 1), *_ORDER]
_FORMER: Final = [("former_projects", 1), *_ORDER]
_ASSIGNED: Final = [("assignee_id", 1), ("project_id", 1), ("_id", 1)]


class Place(NamedTuple):
    """Of a document in that order; the next page begins after it."""

    position: int
    id: UUID


START: Final = Place(0, UUID(int=0))


class ChangedTask(Struct, frozen=True):
    place: Place
    gone: bool
    """In the trash, or purged from it."""
    task: ShownTask


class ChangedProject(Struct, frozen=True):
    place: Place
    project: ProjectState


class Changed:
    """Reads the documents of the views that serve. Raises Unavailable where MongoDB does not answer."""

    def __init__(self, database: Database, reach: Reach) -> None:
        self.reach = reach
        self._tasks = database[VIEWS["tasks"].collection]
        self._projects = database[VIEWS["projects"].collection]

    @read_within(MANY_S)
    async def projects(
        self, ids: Collection[UUID], *, whole: Collection[UUID], since: int, after: Place, limit: int
    ) -> list[ChangedProject]:
        """Of these projects those that changed after `since`, and all that are in `whole`."""
        wanted = [{"position": {"$gt": since}}, {"_id": {"$in": list(whole)}}]
        query = {"_id": {"$in": list(ids)}, **_beyond(0, after), "$and": [{"$or": wanted}]}
        found = self._projects.find(query, {"position": 1, "state": 1}).sort(_ORDER).limit(limit)
        return [
            ChangedProject(Place(int(one["position"]), one["_id"]), _projects.decode(one["state"]))
            async for one in found.max_time_ms(QUERY_MS_MAX)
        ]

    @read_within(MANY_S)
    async def tasks(
        self, projects: Collection[UUID], *, since: int, trashed_since: int | None, after: Place, limit: int
    ) -> list[ChangedTask]:
        """Of these projects' tasks those that changed after `since`. Those in the trash only if they changed after
        `trashed_since` too, which None says of none."""
        query: dict[str, Any] = {"project_id": {"$in": list(projects)}, **_beyond(since, after)}
        if trashed_since is None:
            query["trashed"] = False
        elif trashed_since > since:
            query["$and"] = [{"$or": [{"trashed": False}, {"position": {"$gt": trashed_since}}]}]
        return await self._changed(query, _OF_PROJECT, limit)

    @read_within(MANY_S)
    async def moved_away(
        self, projects: Collection[UUID], *, since: int, after: Place, limit: int
    ) -> list[ChangedTask]:
        """Tasks that left these projects for others, and changed after `since`."""
        ids = list(projects)
        query = {"former_projects": {"$in": ids}, "project_id": {"$nin": ids}, **_beyond(since, after)}
        return await self._changed(query, _FORMER, limit)

    @read_within(MANY_S)
    async def assigned(
        self, projects: Collection[UUID], *, to: Collection[UUID], after: Place, limit: int
    ) -> list[ChangedTask]:
        """Of these projects' tasks outside the trash those that are assigned to these people."""
        query = {"assignee_id": {"$in": list(to)}, "project_id": {"$in": list(projects)}, "trashed": False}
        # In this order they are sorted in memory: those of a few people, who are not renamed often.
        return await self._changed(query | _beyond(0, after), _ASSIGNED, limit)

    async def _changed(self, query: dict[str, Any], index: list[tuple[str, int]], limit: int) -> list[ChangedTask]:
        found = self._tasks.find(query, _TASK).sort(_ORDER).hint(index).limit(limit).max_time_ms(QUERY_MS_MAX)
        return [
            ChangedTask(
                Place(int(one["position"]), one["_id"]), one["trashed"] is not False, _shown.decode(one["shown"])
            )
            for one in await found.to_list()
        ]


def _beyond(since: int, after: Place) -> dict[str, Any]:
    """Documents that changed after a position, beyond a place in the order."""
    if after.position <= since:
        return {"position": {"$gt": since}}
    # The first condition bounds the index in its own order; alternatives alone are sorted in memory.
    beyond = [{"position": {"$gt": after.position}}, {"_id": {"$gt": after.id}}]
    return {"position": {"$gte": after.position}, "$or": beyond}
