"""The change feed: documents that changed since a position, in the order of their last change, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.projections.declarations.task_fields import ASSIGNEE_ID, FORMER_PROJECTS, PROJECT_ID, SHOWN, TRASHED
from taskflow.projections.declarations.tasks import ShownTask
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.bounded_fetch import fetch_fitting, sized, values_of
from taskflow.readmodels.mongo_breaker import MongoBreaker, read_within
from taskflow.readmodels.queries import QUERY_MS_MAX
from taskflow.streams.project import ProjectState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taskflow.projections.mongo import Collection as MongoCollection
    from taskflow.projections.mongo import Database

QUERY_TIMEOUT_S: Final = 2.5
_shown: Final = msgspec.json.Decoder(ShownTask)
_projects: Final = msgspec.json.Decoder(ProjectState)
_TASK: Final = {"_id": 1, "position": 1, TRASHED: 1}
_ORDER: Final = [("position", 1), ("_id", 1)]
# Index hints: while a project is small, MongoDB would choose another index and sort in memory.
_OF_PROJECT: Final = [(PROJECT_ID, 1), *_ORDER]
_FORMER: Final = [(FORMER_PROJECTS, 1), *_ORDER]
_ASSIGNED: Final = [(ASSIGNEE_ID, 1), (PROJECT_ID, 1), ("_id", 1)]


class Place(NamedTuple):
    """The place of a document in the order of changes; the next page begins after it."""

    position: int
    id: UUID


START: Final = Place(0, UUID(int=0))


class PageBounds(NamedTuple):
    """Where a page begins, and its limits in documents and bytes."""

    after: Place
    limit: int
    bytes_max: int


class ChangedDocument(Struct, frozen=True):
    """A changed task or project with its place in the order. `gone`: clients must remove it, as for a task in the
    trash."""

    place: Place
    task: ShownTask | None = None
    project: ProjectState | None = None
    gone: bool = False


class ChangedPage(Struct, frozen=True):
    """A page of changed documents in order. `last`: the place of the last document examined; None if no more
    documents follow."""

    items: list[ChangedDocument]
    last: Place | None
    size: int


class ChangeFeed:
    """Reads changed documents of the views. Raises Unavailable if MongoDB does not answer."""

    def __init__(self, database: Database, breaker: MongoBreaker) -> None:
        self.breaker = breaker
        self._tasks = database[PROJECTIONS["tasks"].collection]
        self._projects = database[PROJECTIONS["projects"].collection]

    @read_within(QUERY_TIMEOUT_S)
    async def projects(
        self, ids: Collection[UUID], *, whole: Collection[UUID], since: int, room: PageBounds
    ) -> ChangedPage:
        """Returns those of the projects `ids` that changed after `since`, and all that are in `whole`."""
        wanted = [{"position": {"$gt": since}}, {"_id": {"$in": list(whole)}}]
        query = {"_id": {"$in": list(ids)}, **_beyond(0, room.after), "$and": [{"$or": wanted}]}
        fields = sized("state", count=room.limit, bytes_max=room.bytes_max) | {"_id": 1, "position": 1}
        found = self._projects.find(query, fields).sort(_ORDER).limit(room.limit + 1).max_time_ms(QUERY_MS_MAX)
        fit, last = await _fitting(self._projects, query, "state", await found.to_list(), room)
        items = [ChangedDocument(_place(one), project=_projects.decode(state)) for one, state in fit]
        return ChangedPage(items, last, sum(len(state) for _, state in fit))

    @read_within(QUERY_TIMEOUT_S)
    async def tasks(
        self,
        projects: Collection[UUID],
        *,
        since: int,
        trashed_since: int | None,
        room: PageBounds,
    ) -> ChangedPage:
        """Returns the tasks of these projects that changed after `since`. Tasks in the trash are returned only if they
        also changed after `trashed_since`; if that is None, not at all."""
        query: dict[str, Any] = {PROJECT_ID: {"$in": list(projects)}, **_beyond(since, room.after)}
        if trashed_since is None:
            query[TRASHED] = False
        elif trashed_since > since:
            query["$and"] = [{"$or": [{TRASHED: False}, {"position": {"$gt": trashed_since}}]}]
        return await self._changed(query, _OF_PROJECT, room)

    @read_within(QUERY_TIMEOUT_S)
    async def moved_away(self, projects: Collection[UUID], *, since: int, room: PageBounds) -> ChangedPage:
        """Returns tasks that moved from these projects to other ones, and changed after `since`."""
        ids = list(projects)
        query = {FORMER_PROJECTS: {"$in": ids}, PROJECT_ID: {"$nin": ids}, **_beyond(since, room.after)}
        return await self._changed(query, _FORMER, room)

    @read_within(QUERY_TIMEOUT_S)
    async def assigned(self, projects: Collection[UUID], *, to: Collection[UUID], room: PageBounds) -> ChangedPage:
        """Returns the tasks of these projects outside the trash that are assigned to the users `to`."""
        query = {ASSIGNEE_ID: {"$in": list(to)}, PROJECT_ID: {"$in": list(projects)}, TRASHED: False}
        # Sorted in memory: only the tasks of a few users, whose names seldom change.
        return await self._changed(query | _beyond(0, room.after), _ASSIGNED, room)

    async def _changed(self, query: dict[str, Any], index: list[tuple[str, int]], room: PageBounds) -> ChangedPage:
        fields = sized(SHOWN, count=room.limit, bytes_max=room.bytes_max) | _TASK
        found = self._tasks.find(query, fields).sort(_ORDER).hint(index).limit(room.limit + 1).max_time_ms(QUERY_MS_MAX)
        whole, last = await _fitting(self._tasks, query, SHOWN, await found.to_list(), room)
        items = [
            ChangedDocument(_place(one), _shown.decode(task), gone=one[TRASHED] is not False) for one, task in whole
        ]
        return ChangedPage(items, last, sum(len(task) for _, task in whole))


async def _fitting(
    collection: MongoCollection,
    query: dict[str, Any],
    field: str,
    documents: Sequence[dict[str, Any]],
    room: PageBounds,
) -> tuple[list[tuple[dict[str, Any], bytes]], Place | None]:
    """Returns the documents that fit with their values of the field, and the place of the last one examined; None
    instead of the place if no more documents follow."""
    values = values_of(documents[: room.limit], field)
    whole = await fetch_fitting(collection, query, field, values, room.bytes_max)
    fit = [(one, value) for one, value in zip(documents, whole, strict=False) if value is not None]
    return fit, _place(documents[len(whole) - 1]) if len(documents) > len(whole) else None


def _place(document: dict[str, Any]) -> Place:
    return Place(int(document["position"]), document["_id"])


def _beyond(since: int, after: Place) -> dict[str, Any]:
    """Returns the query for documents that changed after `since` and come after the place `after`."""
    if after.position <= since:
        return {"position": {"$gt": since}}
    # The first condition bounds the index scan in index order; with `$or` alone, MongoDB would sort in memory.
    beyond = [{"position": {"$gt": after.position}}, {"_id": {"$gt": after.id}}]
    return {"position": {"$gte": after.position}, "$or": beyond}
