"""Reading the views: documents by id, pages by key, counts. No access is judged here."""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from pymongo.errors import ExecutionTimeout
from pymongo.read_concern import ReadConcern

from taskflow.errors import Invalid, Unavailable
from taskflow.projections.reach import Reach, read_within
from taskflow.projections.registry import VIEWS
from taskflow.projections.tasks import ShownTask
from taskflow.projections.together import Together
from taskflow.streams.project import ProjectState
from taskflow.streams.task import PRIORITIES
from taskflow.streams.user import UserState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.projections.mongo import Database
    from taskflow.words import Term

BOARD_TASKS_MAX: Final = 50
QUERY_MS_MAX: Final = 2_000
COUNT_MS_MAX: Final = 200
RARE_MAX: Final = 1_000
"""Tasks with a word, to which they are counted: more are many."""
ONE_S: Final = 1.0
"""For documents by id: what takes longer is answered from elsewhere, or not at all."""
MANY_S: Final = 2.5
"""Above `QUERY_MS_MAX`, which a server that answers keeps to."""

_Value = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str
_shown: Final = msgspec.json.Decoder(ShownTask)
_projects: Final = msgspec.json.Decoder(ProjectState)
_users: Final = msgspec.json.Decoder(UserState)


_SHOWN: Final = {"_id": 0, "shown": 1}


class TaskFilter(Struct, frozen=True, kw_only=True):
    """What a list of tasks is narrowed to. Each set: any of these; None: all.

    `statuses` names (project, status) pairs where a category was asked for.
    """

    projects: frozenset[UUID]
    statuses: frozenset[str] | None = None
    pairs: frozenset[tuple[UUID, str]] | None = None
    assignees: frozenset[UUID | None] | None = None
    labels: frozenset[str] | None = None
    priorities: frozenset[str] | None = None
    parents: frozenset[UUID] | None = None
    due_before: int | None = None
    due_after: int | None = None
    terms: tuple[Term, ...] | None = None
    """Unlike the sets: all of these."""
    trashed: bool = False


class Page(Struct, frozen=True):
    """Tasks in order, and the cursor of the next page if there is one."""

    tasks: list[ShownTask]
    next_cursor: str | None


class Views:
    """The documents of the views that serve. Every read raises Unavailable where MongoDB does not answer."""

    def __init__(self, database: Database, reach: Reach | None = None) -> None:
        self.reach = Reach() if reach is None else reach
        self._tasks = database[VIEWS["tasks"].collection]
        self._projects = database[VIEWS["projects"].collection]
        self._users = database[VIEWS["users"].collection]
        self._one_task = Together(self._documents)
        # Of one moment: what moves from one status to another while it is read would be counted twice, or not at all.
        self._sums = database[VIEWS["tasks"].sums_collection].with_options(read_concern=ReadConcern("snapshot"))

    @read_within(ONE_S)
    async def task(self, task_id: UUID) -> ShownTask | None:
        found = await self._one_task.get(task_id)
        return None if found is None else _shown.decode(found)

    @read_within(ONE_S)
    async def _documents(self, ids: Sequence[UUID]) -> dict[UUID, bytes]:
        """Those of these tasks that the view has, as they are kept."""
        found = await self._tasks.find({"_id": _any_of(frozenset(ids))}, {"shown": 1}).to_list()
        return {document["_id"]: document["shown"] for document in found}

    @read_within(MANY_S)
    async def tasks(self, wanted: TaskFilter, *, sort: str, limit: int, cursor: str | None) -> Page:
        """A page in the order of `sort` (`-` before it: descending), ties by id. Raises Invalid for a cursor
        of another order, and Unavailable for a question that takes too long."""
        query = task_query(await self._rarest_first(wanted))
        field, descending = sort.removeprefix("-"), sort.startswith("-")
        if cursor is not None:
            value, last_id = _read_cursor(cursor, sort)
            beyond = "$lt" if descending else "$gt"
            # The first condition bounds the index in its own order; alternatives alone are sorted in memory.
            from_there = {field: {beyond + "e": value}}
            query = {"$and": [query, from_there, {"$or": [{field: {beyond: value}}, {"_id": {beyond: last_id}}]}]}
        direction = -1 if descending else 1
        found = (
            self._tasks.find(query, _SHOWN | {field: 1})
            .sort([(field, direction), ("_id", direction)])
            .limit(limit + 1)
            .max_time_ms(QUERY_MS_MAX)
        )
        try:
            documents = await found.to_list()
        except ExecutionTimeout:
            raise Unavailable(
                f"this list takes more than {QUERY_MS_MAX} ms to find; narrow it to a project, or by another filter"
            ) from None
        more = len(documents) > limit
        documents = documents[:limit]
        tasks = [_shown.decode(document["shown"]) for document in documents]
        return Page(
            tasks,
            _cursor(sort, documents[-1][field], tasks[-1].id) if more else None,
        )

    async def _rarest_first(self, wanted: TaskFilter) -> TaskFilter:
        """The first word leads the index, and the others are looked for in what it finds: that should be little."""
        if wanted.terms is None or len(wanted.terms) == 1:
            return wanted
        counts = await asyncio.gather(*[self._count(wanted, term) for term in wanted.terms])
        ordered = sorted(zip(counts, wanted.terms, strict=True), key=lambda pair: (pair[0], -len(pair[1].text)))
        return replace(wanted, terms=tuple(term for _, term in ordered))

    async def _count(self, wanted: TaskFilter, term: Term) -> int:
        """How many tasks have the word, up to RARE_MAX."""
        query = {"project_id": _any_of(wanted.projects), "words": _word(term)}
        try:
            return await self._tasks.count_documents(query, limit=RARE_MAX, maxTimeMS=COUNT_MS_MAX)
        except ExecutionTimeout:
            return RARE_MAX

    @read_within(ONE_S)
    async def projects(self, ids: Sequence[UUID]) -> dict[UUID, ProjectState]:
        """Those of these projects that the view has."""
        found = self._projects.find({"_id": {"$in": list(ids)}}, {"state": 1})
        return {document["_id"]: _projects.decode(document["state"]) async for document in found}

    @read_within(ONE_S)
    async def users(self, ids: Sequence[UUID]) -> dict[UUID, UserState]:
        """Those of these people that the view has."""
        found = self._users.find({"_id": {"$in": list(ids)}}, {"state": 1})
        return {document["_id"]: _users.decode(document["state"]) async for document in found}

    @read_within(MANY_S)
    async def counts(self, project_id: UUID) -> dict[str, int]:
        """Tasks outside the trash by status."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"project_id": project_id}},
            {"$group": {"_id": "$status", "count": {"$sum": "$count"}}},
        ]
        return {found["_id"]: found["count"] async for found in await self._sums.aggregate(pipeline) if found["count"]}

    @read_within(MANY_S)
    async def board(self, project_id: UUID, statuses: Sequence[str]) -> dict[str, list[ShownTask]]:
        """The first tasks of each status, by rank."""

        async def column(status: str) -> list[ShownTask]:
            found = (
                self._tasks.find({"project_id": project_id, "trashed": False, "status": status}, _SHOWN)
                .sort([("rank", 1), ("_id", 1)])
                .limit(BOARD_TASKS_MAX)
            )
            return [_shown.decode(document["shown"]) for document in await found.to_list()]

        columns = await asyncio.gather(*[column(status) for status in statuses])
        return dict(zip(statuses, columns, strict=True))


def task_query(wanted: TaskFilter) -> dict[str, Any]:
    """The filter as MongoDB's query; always led by projects, so that an index carries it."""
    query: dict[str, Any] = {"project_id": _any_of(wanted.projects), "trashed": wanted.trashed}
    if wanted.statuses is not None:
        query["status"] = _any_of(wanted.statuses)
    if wanted.pairs is not None:
        by_project: dict[UUID, list[str]] = {}
        for project_id, status in sorted(wanted.pairs):
            by_project.setdefault(project_id, []).append(status)
        query["$or"] = [
            {"project_id": project_id, "status": {"$in": statuses}} for project_id, statuses in by_project.items()
        ] or [{"_id": {"$in": []}}]
    if wanted.assignees is not None:
        query["assignee_id"] = _any_of(wanted.assignees)
    if wanted.labels is not None:
        query["labels"] = _any_of(wanted.labels)
    if wanted.priorities is not None:
        query["priority"] = {"$in": [PRIORITIES.index(name) for name in PRIORITIES if name in wanted.priorities]}
    if wanted.parents is not None:
        query["parent_id"] = _any_of(wanted.parents)
    due: dict[str, int] = {}
    if wanted.due_before is not None:
        due["$lt"] = wanted.due_before
    if wanted.due_after is not None:
        due |= {"$gt": wanted.due_after, "$lt": min(due.get("$lt", 2**62), 2**62)}
    if due:
        query["due_at"] = due
    if wanted.terms is not None:
        query["$and"] = [{"words": _word(term)} for term in wanted.terms]
    return query


def _word(term: Term) -> Any:
    return {"$regex": f"^{re.escape(term.text)}"} if term.prefix else term.text


def _any_of(values: frozenset[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else {"$in": list(values)}


def _cursor(sort: str, value: int | str, last_id: UUID) -> str:
    if not isinstance(value, str):
        value = int(value)  # MongoDB's own kind of integer is none that JSON takes
    return urlsafe_b64encode(msgspec.json.encode([sort, value, last_id])).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> tuple[Any, UUID]:
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        order, value, last_id = msgspec.json.decode(raw, type=tuple[str, _Value, UUID])
    except (ValueError, msgspec.MsgspecError):
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list") from None
    if order != sort:
        raise Invalid("cursor", "cursor", f"this cursor is of a list sorted by {order}, not by {sort}")
    return value, last_id
