"""What may be asked of a list of tasks: the filters and the order of `GET /tasks`, and of a saved view. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from msgspec import Struct

from taskflow import search_tokens
from taskflow.ids import parse_id
from taskflow.names import normal_name
from taskflow.search_tokens import BadQuery, Term
from taskflow.streams.project import CATEGORIES
from taskflow.streams.task import PRIORITIES
from taskflow.timestamps import micros

if TYPE_CHECKING:
    from taskflow.query_params import Parameters

SORTS: Final = ("created_at", "updated_at", "due_at", "priority", "rank")
ORDERS: Final = (*SORTS, *[f"-{field}" for field in SORTS])
FILTERS: Final = (
    "project",
    "status",
    "category",
    "assignee",
    "label",
    "priority",
    "due_before",
    "due_after",
    "parent",
    "q",
    "trashed",
    "archived",
    "sort",
)
ME: Final = "me"
NOBODY: Final = "none"


class TaskConditions(Struct, frozen=True, kw_only=True):
    """What is asked of a task alone, whoever asks and whatever its project has become. Each set: any of these; None:
    all."""

    labels: frozenset[str] | None = None
    priorities: frozenset[str] | None = None
    parents: frozenset[UUID] | None = None
    due_before: int | None = None
    """Microseconds since 1970."""
    due_after: int | None = None
    terms: tuple[Term, ...] | None = None
    """Unlike the sets: all of these. None of them finds nothing."""
    trashed: bool = False


class TaskQuery(TaskConditions, frozen=True, kw_only=True):
    """The filters as they were asked for. An assignee of None is nobody."""

    projects: frozenset[UUID] | None
    statuses: frozenset[str] | None
    categories: frozenset[str] | None
    assignees: frozenset[UUID | Literal["me"] | None] | None
    archived: bool | None
    """Of archived projects; None: of those only where they are named."""
    sort: str


def parse_task_query(parameters: Parameters) -> TaskQuery:
    """Takes all of FILTERS. What is wrong with them is with the parameters' other faults."""
    return TaskQuery(
        projects=parameters.ids("project", parse_id),
        statuses=_names(parameters.texts("status")),
        categories=parameters.texts("category", CATEGORIES),
        assignees=parameters.ids("assignee", _assignee),
        labels=_names(parameters.texts("label")),
        priorities=parameters.texts("priority", PRIORITIES),
        parents=parameters.ids("parent", parse_id),
        due_before=micros(parameters.time("due_before")),
        due_after=micros(parameters.time("due_after")),
        terms=_terms(parameters),
        trashed=parameters.truth("trashed") is True,
        archived=parameters.truth("archived"),
        sort=parameters.one_of("sort", ORDERS) or "created_at",
    )


def _names(texts: frozenset[str] | None) -> frozenset[str] | None:
    return None if texts is None else frozenset(map(normal_name, texts))


def _assignee(text: str) -> UUID | Literal["me"] | None:
    if text == ME:
        return "me"
    return None if text == NOBODY else parse_id(text)


def _terms(parameters: Parameters) -> tuple[Term, ...] | None:
    query = parameters.text("q")
    try:
        return None if query is None else search_tokens.terms(query)
    except BadQuery as error:
        parameters.fault("q", "query", str(error))
        return None
