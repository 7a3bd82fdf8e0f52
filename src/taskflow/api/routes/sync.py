"""`/sync`: everything that the caller may see, then only changes, for clients that keep a copy.

A round of pages brings a client from one position to another, section by section:

    projects lost       ─▶ removed          projects that the caller lost access to, which stands for their tasks too
    projects            ─▶ projects         changed projects, and projects that the caller gained access to
    tasks gained        ─▶ tasks, removed   all tasks of projects that were gained or whose workflow changed
    tasks               ─▶ tasks, removed   changed tasks
    tasks moved away    ─▶ removed          tasks moved from a visible project to one that is not
    tasks renamed       ─▶ tasks            tasks whose assignee has a new name

The position that a round ends at is fixed before anything is read. What changes meanwhile comes later in the same
round, or in the next one: a client that applies all answers in order ends with the same data as lists show.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from taskflow.api import render
from taskflow.api.concurrency_limits import Work
from taskflow.api.joins import joins
from taskflow.api.reads import COMMON, Source, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.sync_tokens import Build, SyncToken, read_token, write_token
from taskflow.errors import Gone, Unavailable
from taskflow.page_bounds import PAGE_BYTES_MAX
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.change_feed import ChangedDocument, ChangedPage, PageBounds, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Response

    from taskflow.api.context import Context
    from taskflow.api.reads import Reading
    from taskflow.readmodels.change_feed import ChangeFeed
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.read_models import ReadModels
    from taskflow.streams.project import Role

PAGE_MAX: Final = 500
"""Projects, tasks and removals in one answer."""
SYNC_VIEWS: Final = ("tasks", "projects", "users")
SECTIONS: Final = ("lost", "projects", "gained", "changed", "moved", "renamed")


class Removed(Struct, frozen=True):
    kind: Literal["task", "project"]
    id: UUID


class SyncBody(Struct, frozen=True, kw_only=True):
    """Applied in any order: no id is in two of the lists. `more`: ask again at once, with this token."""

    token: str
    projects: list[render.ProjectBody]
    tasks: list[render.TaskBody]
    removed: list[Removed]
    more: bool


class Scope(Struct, frozen=True, kw_only=True):
    """The projects that a caller may see at one moment, compared with the position of the client's copy."""

    base: int
    roles: Mapping[UUID, Role]
    """Roles by project, without projects gained after the round began, which the next round sends with all tasks."""
    whole: frozenset[UUID]
    """Projects of which all tasks are sent."""
    lost: tuple[Place, ...]
    renamed: frozenset[UUID]
    """People whose names have changed since the client got them."""


class Gathered(Struct):
    """The contents of a page so far, by id; a later entry replaces an earlier one of the same id."""

    found: dict[UUID, ChangedDocument] = field(default_factory=dict)
    count: int = 0
    size: int = 0

    def add(self, section: ChangedPage) -> None:
        self.size += section.size
        for found in section.items:
            self.count += 1
            known = self.found.get(found.place.id)
            if known is None or known.place.position <= found.place.position:
                self.found[found.place.id] = found


async def sync(call: RequestContext) -> Response[bytes]:
    text = call.parameters.text("token")
    reading = await begin(call)
    call.hold(Work.SYNC)
    mine = frozenset(await reading.projects())
    gathered, scope, token = await reading.read(
        lambda models: _page(models, reading, text),
        Source("projects", mine),
        Source("tasks", projects=mine),
        Source("users", projects=mine),
    )
    more = token.section < len(SECTIONS)
    if not more:
        # A round that began before `min_position` does not bring the client to that position.
        more = token.to < reading.min_position
        token = SyncToken(token.build, token.to, token.to)
    return reading.unversioned(await _body(reading, gathered, scope, token, more=more))


async def _page(models: ReadModels, reading: Reading, text: str | None) -> tuple[Gathered, Scope, SyncToken]:
    """The contents of the next page, its scope, and the token for the page after it."""
    context = reading.context
    token = _first_token(context, models.freshness, reading.caller, text)
    gathered = Gathered()
    scope = _scope(context, reading.caller, token)
    while token.section < len(SECTIONS) and gathered.count < PAGE_MAX and gathered.size < PAGE_BYTES_MAX:
        room = PAGE_MAX - gathered.count, PAGE_BYTES_MAX - gathered.size
        section = await _section(models.changed, scope, token, *room)
        gathered.add(section)
        if section.last is None:
            token = replace(token, section=token.section + 1, position=0, id=UUID(int=0))
        else:
            token = replace(token, position=section.last.position, id=section.last.id)
    return gathered, scope, token


def _first_token(context: Context, freshness: Freshness, user: UUID, text: str | None) -> SyncToken:
    """The start of this page: in the round of the token, or in a new round, which ends at the projections' position."""
    build = _build(context, freshness)
    token = SyncToken(build, 0, 0) if text is None else read_token(context.settings, user, text, build)
    if 0 < token.base < context.follower.access_state.known_since:
        raise Gone("the token is too old to tell what was removed since; start again without one")
    if token.section == 0 and token.position == 0:
        # Not beyond the follower's position, so that access granted after it counts as granted after the round began.
        to = min(freshness.position(SYNC_VIEWS), context.follower.position)
        token = replace(token, to=to)
    return token


def _build(context: Context, freshness: Freshness) -> Build:
    build = freshness.build("tasks")
    if build is None:
        raise Unavailable("the views cannot be read now; try again shortly")
    views = (*(PROJECTIONS[name].collection for name in SYNC_VIEWS), *build)
    return Build(context.follower.epoch, blake2b(repr(views).encode(), digest_size=8).hexdigest())


def _scope(context: Context, user: UUID, token: SyncToken) -> Scope:
    facts = context.follower.access_state
    granted = {project: facts.granted[project][user] for project in facts.projects_of.get(user, ())}
    # Access that this process has withdrawn itself, and not read in the log yet, is reported as lost once it has.
    seen = context.follower.projects_of(user)
    roles = {project: seen[project] for project, at in granted.items() if at <= token.to and project in seen}
    reset = {project for project in roles if token.base < facts.workflows.get(project, 0) <= token.to}
    lost = facts.lost.get(user, {}).items() if token.base else ()
    return Scope(
        base=token.base,
        roles=roles,
        whole=frozenset(project for project in roles if granted[project] > token.base) | reset,
        lost=tuple(sorted(Place(at, project) for project, at in lost if at > token.base)),
        renamed=frozenset(facts.renamed_since(token.base)),
    )


async def _section(changed: ChangeFeed, scope: Scope, token: SyncToken, limit: int, bytes_max: int) -> ChangedPage:
    """The next entries of the token's section, as many as fit."""
    base = scope.base
    after, known = Place(token.position, token.id), scope.roles.keys() - scope.whole
    room = PageBounds(after, limit, bytes_max)
    trashed_since = base or None
    match SECTIONS[token.section]:
        case "lost":
            left = [place for place in scope.lost if place > after]
            page = [ChangedDocument(place, gone=True) for place in left[:limit]]
            return ChangedPage(page, page[-1].place if len(left) > len(page) else None, 0)
        case "projects":
            return await changed.projects(scope.roles.keys(), whole=scope.whole, since=base, room=room)
        case "gained":
            return await changed.tasks(scope.whole, since=0, trashed_since=trashed_since, room=room)
        case "changed":
            return await changed.tasks(known, since=base, trashed_since=trashed_since, room=room)
        case "renamed" if scope.renamed:
            return await changed.assigned(known, to=scope.renamed, room=room)
        case "moved" if base:
            away = await changed.moved_away(scope.roles.keys(), since=base, room=room)
            return ChangedPage([replace(one, gone=True) for one in away.items], away.last, 0)
        case _:
            return ChangedPage([], None, 0)


async def _body(reading: Reading, gathered: Gathered, scope: Scope, token: SyncToken, *, more: bool) -> Any:
    found = list(gathered.found.values())
    shown = [one.task for one in found if one.task is not None and not one.gone]
    assignees = {task.assignee_id for task in shown if task.assignee_id is not None}
    # A name older than the client's new position would never be corrected.
    known = await joins(reading, {task.project_id for task in shown}, assignees, at_least=token.to)
    tasks: list[Raw] = [known.render(task) for task in shown]
    return {
        "token": write_token(reading.context.settings, reading.caller, token),
        "projects": [
            render.project(one.project, scope.roles[one.place.id]) for one in found if one.project is not None
        ],
        "tasks": tasks,
        "removed": [Removed("project" if one.task is None else "task", one.place.id) for one in found if one.gone],
        "more": more,
    }


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/sync",
        sync,
        "Everything that I see; with the token of the last answer, only what changed. 410: start again without one",
        answer=SyncBody,
        query=("token", *COMMON),
        refusals=(410,),
    ),
)
