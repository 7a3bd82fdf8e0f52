"""Commands on saved views. The members of a project change its views; only the owner changes a personal one.

Their number is limited, but no stream knows it, and the projection that counts them may lag. So the id of each view is
derived from the id of the view before it: the handler starts at the newest view that the projection knows, and reads on
until an id does not exist yet. If two views are saved at once, both get the same id, and one of them conflicts and
counts again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from taskflow.commands.access import project_for, require_user
from taskflow.commands.declaration import CommandType, DecisionContext, RestRoute, TargetType, change
from taskflow.commands.fields import SAVED_VALUE_MAX, SAVED_VIEWS_MAX, Command, Name
from taskflow.commands.project import require_not_archived
from taskflow.errors import Invalid, Malformed, NotFound, Rejected, Uncounted
from taskflow.ids import derived_id
from taskflow.query import task_query
from taskflow.query.query_params import VALUES_MAX, Parameters
from taskflow.streams import SAVED_VIEW, USER, Event
from taskflow.streams.saved_view import ViewDeleted, ViewQueryChanged, ViewRenamed, ViewSaved

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState
    from taskflow.streams.saved_view import Query, SavedViewState
    from taskflow.streams.user import UserState

Value = Annotated[str, Meta(max_length=SAVED_VALUE_MAX)]
Values = Value | Annotated[tuple[Value, ...], Meta(min_length=1, max_length=VALUES_MAX)]

BEHIND_MAX: Final = 500
"""Views that are read beyond the newest one that the projection knows."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM_BITS: Final = 80
"""Bits of a UUIDv7 below its milliseconds."""

# --- commands ------------------------------------------------------------------------------------


class SavedQuery(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The filters of `GET /tasks`, each a value or a list of them, and `sort`. `null` is no filter."""

    project: Values | UnsetType | None = UNSET
    status: Values | UnsetType | None = UNSET
    category: Values | UnsetType | None = UNSET
    assignee: Values | UnsetType | None = UNSET
    label: Values | UnsetType | None = UNSET
    priority: Values | UnsetType | None = UNSET
    due_before: Values | UnsetType | None = UNSET
    due_after: Values | UnsetType | None = UNSET
    parent: Values | UnsetType | None = UNSET
    q: Values | UnsetType | None = UNSET
    trashed: Values | bool | UnsetType | None = UNSET
    archived: Values | bool | UnsetType | None = UNSET
    sort: Values | UnsetType | None = UNSET


class CreateView(Command, frozen=True, kw_only=True):
    name: Name
    query: SavedQuery
    project_id: UUID | None = None
    """None: a personal view of the caller."""


class EditView(Command, frozen=True):
    """A JSON merge patch, `query` included: what is left out stays, `null` clears."""

    name: Name | UnsetType = UNSET
    query: SavedQuery | UnsetType = UNSET


class DeleteView(Command, frozen=True):
    pass


# --- decide --------------------------------------------------------------------------------------


def create(owner: UUID, project: ProjectState | None, command: CreateView, saved: int) -> list[Event]:
    """`saved`: the number of views that the project has already, or of personal views that the owner has."""
    _open(project)
    if saved >= SAVED_VIEWS_MAX:
        whose = "a person" if project is None else "a project"
        raise Rejected("too-many-views", f"{whose} has at most {SAVED_VIEWS_MAX} saved views; delete one first")
    project_id = None if project is None else project.id
    return [ViewSaved(name=command.name, query=read({}, command.query), owner_id=owner, project_id=project_id)]


def edit(view: SavedViewState, project: ProjectState | None, command: EditView) -> list[Event]:
    _open(project)
    events: list[Event] = []
    if command.name is not UNSET and command.name != view.name:
        events.append(ViewRenamed(name=command.name))
    if command.query is not UNSET:
        query = read(view.query, command.query)
        if query != view.query:
            events.append(ViewQueryChanged(query=query))
    return events


def delete(project: ProjectState | None) -> list[Event]:
    _open(project)
    return [ViewDeleted()]


def read(query: Query, changed: SavedQuery) -> Query:
    """The query with the changes applied. Raises Invalid if `GET /tasks` would refuse it, so that every saved query is
    valid."""
    given: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(changed).items() if value is not UNSET
    }
    kept: Query = {name: value for name, value in (query | given).items() if value is not None}
    parameters = Parameters.given({name: _as_texts(value) for name, value in kept.items()})
    task_query.parse_task_query(parameters)
    try:
        parameters.done()
    except Malformed as error:
        # Not Malformed, which would refuse the whole batch: this error belongs to this command alone.
        pointer, code, detail = error.faults[0]
        raise Invalid(f"/query/{pointer}".rstrip("/"), code, detail) from None
    return kept


def _as_texts(value: str | bool | tuple[str, ...]) -> tuple[str, ...]:
    match value:
        case bool():
            return ("true" if value else "false",)
        case str():
            return (value,)
        case _:
            return value


def _open(project: ProjectState | None) -> None:
    if project is not None:
        require_not_archived(project)


# --- handlers ------------------------------------------------------------------------------------


async def create_view(unit: UnitOfWork, target: UUID | None, command: CreateView) -> UUID:
    owner = require_user(unit)
    user = await unit.get(USER, owner)
    project = None if command.project_id is None else await project_for(unit, command.project_id, "member")
    saved = 0
    if target is None:
        saved, target = await _next(unit, user, project)
    view_id = await unit.new(SAVED_VIEW, target)
    unit.expect_version(view_id)
    unit.append(SAVED_VIEW, view_id, *create(owner, project, command, saved))
    return view_id


async def _next(unit: UnitOfWork, owner: UserState, project: ProjectState | None) -> tuple[int, UUID | None]:
    """The number of views, and the id of the next. While the projection cannot count, the limit is not enforced, and
    any id will do: 0 and None."""
    whose = owner if project is None else project
    try:
        known = await unit.hints.views_of(owner.id, None if project is None else project.id)
    except Uncounted:
        return 0, None
    saved, last = known.count, known.newest
    for _ in range(BEHIND_MAX):
        following = _after(last, whose, unit.token_secret)
        view = await unit.read(SAVED_VIEW, following)
        if view is None:
            return saved, following
        saved, last = saved + (view.deleted_at is None), following
    return saved, None


def _after(last: UUID | None, whose: UserState | ProjectState, secret: bytes) -> UUID:
    """The id after `last`, one millisecond later, so that the order of ids is the order in which views were saved."""
    before = whose.created_at if last is None else _EPOCH + timedelta(milliseconds=last.int >> _RANDOM_BITS)
    # Half a millisecond more: ids are made of a float, which may be just below a whole millisecond.
    at = before + timedelta(milliseconds=1.5)
    return derived_id(secret, "saved-view", str(whose.id), str(last), at=at)


async def _view_for(unit: UnitOfWork, view_id: UUID) -> tuple[SavedViewState, ProjectState | None]:
    """The view and its project. Raises NotFound for a deleted view, and for one that the caller may not use."""
    view = await unit.read(SAVED_VIEW, view_id)
    if view is None or view.deleted_at is not None:
        raise NotFound("view", view_id)
    if view.project_id is None:
        if view.owner_id != require_user(unit):
            raise NotFound("view", view_id)
        return view, None
    try:
        return view, await project_for(unit, view.project_id, "member")
    except NotFound:
        raise NotFound("view", view_id) from None


# --- declared ------------------------------------------------------------------------------------

C = TypeVar("C", bound=Command)
VIEW_ID: Final[TargetType[UUID]] = TargetType("view", "/views/{view_id:str}")


def _on_view(
    body: type[C],
    decide: Callable[[DecisionContext[SavedViewState, ProjectState | None, UUID, C]], list[Event]],
    rest: RestRoute,
) -> CommandType:
    handler = change(SAVED_VIEW, _view_for, decide)
    return CommandType(body=body, target=VIEW_ID, handler=handler, answer="view", rest=rest)


COMMANDS: Final = (
    CommandType(
        body=CreateView,
        target=None,
        handler=create_view,
        answer="view",
        rest=RestRoute("POST", "/views", "Save a view"),
        creates=True,
    ),
    _on_view(
        EditView,
        lambda on: edit(on.state, on.project, on.command),
        RestRoute("PATCH", "", "Change a saved view by a JSON merge patch"),
    ),
    _on_view(DeleteView, lambda on: delete(on.project), RestRoute("DELETE", "", "Delete a saved view")),
)
