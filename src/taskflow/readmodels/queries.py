"""Queries of the views: documents by id, pages of tasks, boards, counts. Callers check access."""

from __future__ import annotations

import asyncio
import re
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from pymongo.errors import ExecutionTimeout
from pymongo.read_concern import ReadConcern

from taskflow.base64url import decode_base64url, encode_base64url
from taskflow.dates.timestamps import micros
from taskflow.errors import Invalid, Unavailable
from taskflow.page_bounds import BOARD_BYTES_MAX, PAGE_BYTES_MAX, fitting_rows
from taskflow.projections.declarations.task_fields import (
    ASSIGNEE_ID,
    DUE_AT,
    LABELS,
    PARENT_ID,
    PRIORITY,
    PROJECT_ID,
    PURGED,
    RANK,
    SHOWN,
    STATUS,
    TRASHED,
    TRASHED_AT,
    WORDS,
)
from taskflow.projections.declarations.tasks import ShownTask
from taskflow.projections.registry import PROJECTIONS
from taskflow.query.task_query import TaskConditions
from taskflow.readmodels import stats
from taskflow.readmodels.batch_loader import BatchLoader
from taskflow.readmodels.bounded_fetch import OversizedField, fetch_fitting, fetch_whole, size_of, sized, values_of
from taskflow.readmodels.mongo_breaker import MongoBreaker, read_within
from taskflow.streams.project import ProjectState
from taskflow.streams.task import PRIORITIES
from taskflow.streams.user import UserState
from taskflow.text.names import normal_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from pymongo.asynchronous.cursor import AsyncCursor

    from taskflow.projections.mongo import Database
    from taskflow.query.task_query import TaskQuery
    from taskflow.readmodels.bounded_fetch import Value
    from taskflow.readmodels.stats import Counts
    from taskflow.streams.project import Statuses
    from taskflow.text.search_tokens import Term

T = TypeVar("T")

BOARD_TASKS_MAX: Final = 50
STATUS_PAIRS_MAX: Final = 50_000
"""Statuses of projects in one query, including removed ones: a MongoDB query holds at most 16 MB."""
PROJECTS_FETCHED: Final = 25
"""Projects fetched at once."""
QUERY_MS_MAX: Final = 2_000
PLANNED_MS_MAX: Final = 1_000
"""The part of QUERY_MS_MAX for a plan that MongoDB chooses: to compare plans, MongoDB fetches and sorts documents for
each plan, which takes long for large documents."""
COUNT_MS_MAX: Final = 200
WORD_COUNT_MAX: Final = 1_000
"""The tasks with a word are counted up to this number."""
FIND_BY_ID_TIMEOUT_S: Final = 1.0
"""Timeout for reading documents by id; after it callers use another source, or fail."""
QUERY_TIMEOUT_S: Final = 2.5
"""Timeout for other reads; above `QUERY_MS_MAX`, which the server itself enforces."""

_Value = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str
_shown: Final = msgspec.json.Decoder(ShownTask)
_projects: Final = msgspec.json.Decoder(ProjectState)
_users: Final = msgspec.json.Decoder(UserState)


Index = list[tuple[str, int]]
_OF_STATUS: Final[Index] = [(PROJECT_ID, 1), (TRASHED, 1), (STATUS, 1), (RANK, 1), ("_id", 1)]
_NOTHING: Final[dict[str, Any]] = {"_id": {"$in": []}}
"""A query that matches no document."""


class TaskFilter(TaskConditions, frozen=True, kw_only=True):
    """A TaskQuery resolved for its caller: the projects, assignees and statuses that are meant.

    `pairs`: the (project, stored status) pairs to match; None if the query has no status filter.
    """

    projects: frozenset[UUID]
    pairs: frozenset[tuple[UUID, str]] | None = None
    assignees: frozenset[UUID | None] | None = None

    @classmethod
    def of(
        cls,
        query: TaskQuery,
        *,
        projects: frozenset[UUID],
        pairs: frozenset[tuple[UUID, str]] | None,
        assignees: frozenset[UUID | None] | None,
    ) -> TaskFilter:
        """Returns the filter with the conditions of a query and the resolved projects, pairs and assignees."""
        conditions = {name: getattr(query, name) for name in TaskConditions.__struct_fields__}
        return cls(projects=projects, pairs=pairs, assignees=assignees, **conditions)


class Trashed(Struct, frozen=True):
    """A task in the trash: when it was trashed, in microseconds since 1970, and its version."""

    task_id: UUID
    trashed_at: int
    version: int


def status_pairs(
    projects: Iterable[ProjectState], keys: Collection[str] | None, categories: Collection[str] | None
) -> frozenset[tuple[UUID, str]]:
    """Returns the (project, stored status) pairs that resolve to these status keys and categories (None: any)."""
    return frozenset(
        (project.id, raw)
        for project in projects
        for status in project.workflow.statuses
        if (keys is None or normal_name(status.key) in keys) and (categories is None or status.category in categories)
        for raw in project.statuses.aliases_of(status.key)
    )


def all_pairs(parts: Iterable[Collection[tuple[UUID, str]]]) -> frozenset[tuple[UUID, str]]:
    """Merges results of `status_pairs`. Raises Invalid for more than STATUS_PAIRS_MAX."""
    pairs: set[tuple[UUID, str]] = set()
    for part in parts:
        pairs.update(part)
        if len(pairs) > STATUS_PAIRS_MAX:
            raise Invalid(
                "project", "too-much", f"these projects have more than {STATUS_PAIRS_MAX} statuses; name some"
            )
    return frozenset(pairs)


class Page(Struct):
    """A page of tasks in order, and the cursor of the next page, if any.

    The ids that rendering needs, and the last rendered response, are kept with it, because a page may be sent often.
    """

    tasks: list[ShownTask]
    next_cursor: str | None
    projects: frozenset[UUID] = frozenset()
    assignees: frozenset[UUID] = frozenset()
    rendered: tuple[Any, Any] | None = None
    """The inputs of the last rendering, and the response."""

    def __post_init__(self) -> None:
        self.projects = frozenset(task.project_id for task in self.tasks)
        self.assignees = frozenset(task.assignee_id for task in self.tasks if task.assignee_id is not None)


class BoardColumn(Struct, frozen=True):
    """The first tasks of a status, by rank. `more`: the status has further tasks."""

    tasks: list[ShownTask]
    more: bool


class Views:
    """Reads the documents of the views. Every read raises Unavailable if MongoDB does not answer."""

    def __init__(self, database: Database, breaker: MongoBreaker | None = None) -> None:
        self.breaker = MongoBreaker() if breaker is None else breaker
        self._tasks = database[PROJECTIONS["tasks"].collection]
        self._projects = database[PROJECTIONS["projects"].collection]
        self._users = database[PROJECTIONS["users"].collection]
        self._one_task = BatchLoader(self._documents)
        # One snapshot: a task that changes its status during the read would be counted twice, or not at all.
        self._sums = database[PROJECTIONS["tasks"].sums_collection].with_options(read_concern=ReadConcern("snapshot"))

    @read_within(FIND_BY_ID_TIMEOUT_S)
    async def task(self, task_id: UUID) -> ShownTask | None:
        found = await self._one_task.get(task_id)
        return None if found is None else _shown.decode(found)

    @read_within(FIND_BY_ID_TIMEOUT_S)
    async def _documents(self, ids: Sequence[UUID]) -> dict[UUID, bytes]:
        """Returns the encoded ShownTask of each of these tasks that is in the view."""
        found = await self._tasks.find({"_id": _any_of(frozenset(ids)), PURGED: False}, {SHOWN: 1}).to_list()
        return {document["_id"]: document[SHOWN] for document in found}

    @read_within(QUERY_TIMEOUT_S)
    async def tasks(self, wanted: TaskFilter, *, sort: str, limit: int, cursor: str | None) -> Page:
        """Returns a page in the order of `sort` (with a leading `-`: descending), ties by id.

        The page has at most `limit` tasks, which fit into PAGE_BYTES_MAX unless it is a single task. Raises Invalid for
        a cursor of another sort order, and Unavailable if the query takes too long.
        """
        query = task_query(await self._rarest_first(wanted))
        field, descending = sort.removeprefix("-"), sort.startswith("-")
        if cursor is not None:
            value, last_id = _read_cursor(cursor, sort)
            beyond = "$lt" if descending else "$gt"
            # The first condition bounds the index scan in index order; with `$or` alone, MongoDB would sort in memory.
            from_there = {field: {beyond + "e": value}}
            query = {"$and": [query, from_there, {"$or": [{field: {beyond: value}}, {"_id": {beyond: last_id}}]}]}
        direction = -1 if descending else 1
        fields = sized(SHOWN, count=limit, bytes_max=PAGE_BYTES_MAX) | {field: 1}
        found = self._tasks.find(query, fields).sort([(field, direction), ("_id", direction)]).limit(limit + 1)
        try:
            documents = await _found(found, index=in_order_of(field), narrowed=_is_narrow(wanted, sorted_by=field))
        except ExecutionTimeout:
            raise Unavailable(
                f"this list takes more than {QUERY_MS_MAX} ms to query; restrict it to a project or add a filter"
            ) from None
        values = values_of(documents, SHOWN)
        whole = await fetch_fitting(self._tasks, query, SHOWN, values[:limit], PAGE_BYTES_MAX)
        tasks = [_shown.decode(one) for one in whole if one is not None]
        next_cursor = None
        if len(values) > len(whole):
            last = values[len(whole) - 1]
            last_id = last.id if isinstance(last, OversizedField) else tasks[-1].id
            next_cursor = _cursor(sort, documents[len(whole) - 1][field], last_id)
        return Page(tasks, next_cursor)

    async def _rarest_first(self, wanted: TaskFilter) -> TaskFilter:
        """Puts the rarest word first: the index finds the first word, and the others filter its results."""
        if wanted.terms is None or len(wanted.terms) == 1:
            return wanted
        counts = await asyncio.gather(*[self._count(wanted, term) for term in wanted.terms])
        ordered = sorted(zip(counts, wanted.terms, strict=True), key=lambda pair: (pair[0], -len(pair[1].text)))
        return replace(wanted, terms=tuple(term for _, term in ordered))

    async def _count(self, wanted: TaskFilter, term: Term) -> int:
        """Counts the tasks that have the word, up to WORD_COUNT_MAX."""
        query = {PROJECT_ID: _any_of(wanted.projects), WORDS: _word(term)}
        try:
            return await self._tasks.count_documents(query, limit=WORD_COUNT_MAX, maxTimeMS=COUNT_MS_MAX)
        except ExecutionTimeout:
            return WORD_COUNT_MAX

    @read_within(FIND_BY_ID_TIMEOUT_S)
    async def next_to(
        self, project_id: UUID, rank: str, *, above: bool, besides: Collection[UUID]
    ) -> tuple[UUID, str] | None:
        """Returns the id and rank of the task with the next rank above or below, except trashed tasks and `besides`."""
        beyond, order = ("$gt", 1) if above else ("$lt", -1)
        query = {
            PROJECT_ID: project_id,
            TRASHED: False,
            RANK: {beyond: rank},
            "_id": {"$nin": list(besides)},
        }
        by_rank = in_order_of(RANK)
        found = await self._tasks.find_one(query, {RANK: 1}, sort=[(RANK, order), ("_id", order)], hint=by_rank)
        return None if found is None else (found["_id"], found[RANK])

    @read_within(QUERY_TIMEOUT_S)
    async def trashed_before(self, at: datetime, *, after: Trashed | None, limit: int) -> list[Trashed]:
        """Returns tasks that were trashed at or before `at`, the oldest first, starting after the task `after`."""
        query: dict[str, Any] = {TRASHED: True, TRASHED_AT: {"$lte": micros(at)}}
        if after is not None:
            query["$or"] = [
                {TRASHED_AT: {"$gt": after.trashed_at}},
                {TRASHED_AT: after.trashed_at, "_id": {"$gt": after.task_id}},
            ]
        found = (
            self._tasks.find(query, {TRASHED_AT: 1, "version": 1})
            .sort([(TRASHED_AT, 1), ("_id", 1)])
            .limit(limit)
            .max_time_ms(QUERY_MS_MAX)
        )
        return [
            Trashed(document["_id"], int(document[TRASHED_AT]), int(document["version"])) async for document in found
        ]

    @read_within(FIND_BY_ID_TIMEOUT_S)
    async def projects(self, ids: Sequence[UUID]) -> dict[UUID, ProjectState]:
        """Returns those of these projects that are in the view. For few ids: all of the projects are held in memory."""
        return await self._parts_of_projects(ids, lambda project: project)

    @read_within(QUERY_TIMEOUT_S)
    async def parts_of_projects(self, ids: Sequence[UUID], part: Callable[[ProjectState], T]) -> dict[UUID, T]:
        """Returns a part of each of these projects that is in the view; holds only one batch of projects in memory."""
        return await self._parts_of_projects(ids, part)

    async def _parts_of_projects(self, ids: Sequence[UUID], part: Callable[[ProjectState], T]) -> dict[UUID, T]:
        found = self._projects.find({"_id": {"$in": list(ids)}}, {"state": 1}, batch_size=PROJECTS_FETCHED)
        return {document["_id"]: part(_projects.decode(document["state"])) async for document in found}

    @read_within(FIND_BY_ID_TIMEOUT_S)
    async def users(self, ids: Sequence[UUID]) -> dict[UUID, UserState]:
        """Returns those of these users that are in the view."""
        found = self._users.find({"_id": {"$in": list(ids)}}, {"state": 1})
        return {document["_id"]: _users.decode(document["state"]) async for document in found}

    @read_within(QUERY_TIMEOUT_S)
    async def counts(self, project_id: UUID) -> dict[str, int]:
        """Returns the number of tasks outside the trash by stored status."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {PROJECT_ID: project_id}},
            {"$group": {"_id": f"${STATUS}", "count": {"$sum": "$count"}}},
        ]
        return {found["_id"]: found["count"] async for found in await self._sums.aggregate(pipeline) if found["count"]}

    @read_within(QUERY_TIMEOUT_S)
    async def board(self, project_id: UUID, statuses: Statuses) -> dict[str, BoardColumn]:
        """Returns the first tasks of each current status, by rank: as many as fit into BOARD_BYTES_MAX."""
        keys = [status.key for status in statuses.workflow.statuses]
        fields = sized(SHOWN, count=len(keys) * BOARD_TASKS_MAX, bytes_max=BOARD_BYTES_MAX)

        async def column(status: str) -> list[Value]:
            raw = _any_of(frozenset(statuses.aliases_of(status)))
            found = (
                self._tasks.find({PROJECT_ID: project_id, TRASHED: False, STATUS: raw}, fields)
                .sort([(RANK, 1), ("_id", 1)])
                .hint(_OF_STATUS)
                .limit(BOARD_TASKS_MAX + 1)
            )
            return values_of(await found.to_list(), SHOWN)

        columns = await asyncio.gather(*[column(key) for key in keys])
        sizes = [[size_of(value) for value in column[:BOARD_TASKS_MAX]] for column in columns]
        counts = fitting_rows(sizes, BOARD_BYTES_MAX)
        # One query for the large tasks of all columns.
        chosen = [value for column, count in zip(columns, counts, strict=True) for value in column[:count]]
        whole = iter(await fetch_whole(self._tasks, {PROJECT_ID: project_id, TRASHED: False}, SHOWN, chosen))
        return {
            key: BoardColumn(
                [_shown.decode(value) for value in islice(whole, count) if value is not None],
                more=len(column) > count,
            )
            for key, column, count in zip(keys, columns, counts, strict=True)
        }

    @read_within(QUERY_TIMEOUT_S)
    async def tasks_in(self, project_id: UUID, statuses: Collection[str]) -> dict[str, int]:
        """Returns the number of tasks, including trashed ones, in each of these stored statuses."""
        query = {
            PROJECT_ID: project_id,
            TRASHED: {"$in": [False, True]},
            STATUS: _any_of(frozenset(statuses)),
        }
        by_status = {"$group": {"_id": f"${STATUS}", "count": {"$sum": 1}}}
        found = await self._tasks.aggregate([{"$match": query}, by_status], maxTimeMS=QUERY_MS_MAX)
        return {one["_id"]: int(one["count"]) async for one in found}

    @read_within(QUERY_TIMEOUT_S)
    async def stats(self, project_id: UUID, *, over: Collection[str], at: int) -> Counts:
        """Returns all statistics of a project's tasks, computed in one query; see `stats`."""
        pipeline = stats.pipeline(project_id, over=over, at=at)
        (found,) = await (await self._tasks.aggregate(pipeline, maxTimeMS=QUERY_MS_MAX)).to_list()
        return stats.counts_of(found)


def in_order_of(field: str) -> Index:
    """Returns the index that yields the tasks of projects ordered by this field."""
    return [(PROJECT_ID, 1), (TRASHED, 1), (field, 1), ("_id", 1)]


def _is_narrow(wanted: TaskFilter, *, sorted_by: str) -> bool:
    """Whether the filter is narrow enough that an index other than the sort order's may examine fewer documents."""
    sets = (wanted.pairs, wanted.assignees, wanted.labels, wanted.priorities, wanted.parents, wanted.terms)
    due = wanted.due_before is not None or wanted.due_after is not None
    return any(one is not None for one in sets) or (due and sorted_by != DUE_AT)


async def _found(found: AsyncCursor[dict[str, Any]], *, index: Index, narrowed: bool) -> list[dict[str, Any]]:
    """Runs a query with the index of its sort order. A narrowed query first runs with the plan that MongoDB chooses, up
    to PLANNED_MS_MAX. Raises ExecutionTimeout."""
    if not narrowed:
        return await found.hint(index).max_time_ms(QUERY_MS_MAX).to_list()
    again = found.clone().hint(index).max_time_ms(QUERY_MS_MAX - PLANNED_MS_MAX)
    try:
        return await found.max_time_ms(PLANNED_MS_MAX).to_list()
    except ExecutionTimeout:
        return await again.to_list()


def task_query(wanted: TaskFilter) -> dict[str, Any]:
    """Returns the filter as a MongoDB query; it always names projects, so that an index applies."""
    query: dict[str, Any] = {PROJECT_ID: _any_of(wanted.projects), TRASHED: wanted.trashed}
    if wanted.pairs is not None:
        query |= _in_statuses([pair for pair in wanted.pairs if pair[0] in wanted.projects])
    if wanted.assignees is not None:
        query[ASSIGNEE_ID] = _any_of(wanted.assignees)
    if wanted.labels is not None:
        query[LABELS] = _any_of(wanted.labels)
    if wanted.priorities is not None:
        query[PRIORITY] = {"$in": [PRIORITIES.index(name) for name in PRIORITIES if name in wanted.priorities]}
    if wanted.parents is not None:
        query[PARENT_ID] = _any_of(wanted.parents)
    due: dict[str, int] = {}
    if wanted.due_before is not None:
        due["$lt"] = wanted.due_before
    if wanted.due_after is not None:
        due |= {"$gte": wanted.due_after, "$lt": min(due.get("$lt", 2**62), 2**62)}
    if due:
        query[DUE_AT] = due
    if wanted.terms is not None:
        query |= {"$and": [{WORDS: _word(term)} for term in wanted.terms]} if wanted.terms else _NOTHING
    return query


def _in_statuses(pairs: Iterable[tuple[UUID, str]]) -> dict[str, Any]:
    """Returns the query for the pairs, grouping projects with the same statuses: most projects share one workflow."""
    by_project: dict[UUID, set[str]] = {}
    for project_id, status in pairs:
        by_project.setdefault(project_id, set()).add(status)
    alike: dict[frozenset[str], set[UUID]] = {}
    for project_id, statuses in by_project.items():
        alike.setdefault(frozenset(statuses), set()).add(project_id)
    asked = [
        {PROJECT_ID: _any_of(frozenset(projects)), STATUS: _any_of(statuses)} for statuses, projects in alike.items()
    ]
    return asked[0] if len(asked) == 1 else {"$or": asked or [_NOTHING]}


def _word(term: Term) -> Any:
    return {"$regex": f"^{re.escape(term.text)}"} if term.prefix else term.text


def _any_of(values: frozenset[Any]) -> Any:
    return next(iter(values)) if len(values) == 1 else {"$in": list(values)}


def _cursor(sort: str, value: int | str, last_id: UUID) -> str:
    if not isinstance(value, str):
        value = int(value)  # BSON's Int64 is not accepted by the JSON encoder
    return encode_base64url(msgspec.json.encode([sort, value, last_id]))


def _read_cursor(cursor: str, sort: str) -> tuple[Any, UUID]:
    try:
        order, value, last_id = msgspec.json.decode(decode_base64url(cursor) or b"", type=tuple[str, _Value, UUID])
    except (UnicodeDecodeError, msgspec.MsgspecError):
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list") from None
    if _cursor(order, value, last_id) != cursor:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    if order != sort:
        raise Invalid("cursor", "cursor", f"the cursor belongs to a list sorted by {order}, not by {sort}")
    return value, last_id
