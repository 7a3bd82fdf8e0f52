"""TaskQuery: the filters and the sort order of `GET /tasks` and of saved views. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from msgspec import Struct

from taskflow.dates.timestamps import micros
from taskflow.ids import parse_id
from taskflow.streams.project import CATEGORIES
from taskflow.streams.task import PRIORITIES
from taskflow.text import search_tokens
from taskflow.text.names import normal_name
from taskflow.text.search_tokens import BadQuery, Term

if TYPE_CHECKING:
    from taskflow.query.query_params import Parameters

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
    """The conditions that depend on the task alone, not on the caller or the project. A set matches any of its
    values; None matches all tasks."""

    labels: frozenset[str] | None = None
    priorities: frozenset[str] | None = None
    parents: frozenset[UUID] | None = None
    due_before: int | None = None
    """Microseconds since 1970."""
    due_after: int | None = None
    terms: tuple[Term, ...] | None = None
    """Unlike the sets, all terms must match. An empty tuple matches nothing."""
    trashed: bool = False


class TaskQuery(TaskConditions, frozen=True, kw_only=True):
    """The filters as given. None among the assignees means unassigned tasks."""

    projects: frozenset[UUID] | None
    statuses: frozenset[str] | None
    categories: frozenset[str] | None
    assignees: frozenset[UUID | Literal["me"] | None] | None
    archived: bool | None
    """Whether tasks of archived projects are listed; None: only if the projects are named in the query."""
    sort: str


def parse_task_query(parameters: Parameters) -> TaskQuery:
    """Parses all of FILTERS. Faults are added to those of the parameters."""
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
