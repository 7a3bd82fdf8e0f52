"""Saved views over HTTP."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import UUID

from litestar import Response
from msgspec import Struct

from taskflow.api import render
from taskflow.api.cursors import after_cursor, to_cursor
from taskflow.api.reads import COMMON, PAGED, Source, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.errors import NotFound
from taskflow.ids import parse_id

if TYPE_CHECKING:
    from taskflow.api.reads import Reading
    from taskflow.readmodels.read_models import ReadModels
    from taskflow.streams.saved_view import SavedViewState

VIEW: Final = "views"


async def list_views(call: RequestContext) -> Response[bytes]:
    """Lists the caller's personal views and those of their projects; with `project`, those of the named projects."""
    named = call.parameters.ids("project", parse_id)
    reading = await begin(call, paged=True)
    projects = frozenset(await reading.projects()) if named is None else named
    for project_id in named or ():
        await reading.require_member(project_id, "project", project_id)

    async def one_page(models: ReadModels) -> list[SavedViewState]:
        return await models.saved.page(
            owner=reading.caller if named is None else None,
            # Computed again, after the wait for the projection.
            projects=projects.intersection(reading.known_projects()) if named is None else projects,
            after=_after(reading),
            limit=reading.limit + 1,
        )

    found = await reading.read(one_page, Source(VIEW, projects=projects))
    page = found[: reading.limit]
    next_cursor = to_cursor(VIEW, str(page[-1].id)) if len(found) > len(page) else None
    items = [render.saved_view(view) for view in page]
    return reading.page(items, next_cursor, cursor_after=lambda index: to_cursor(VIEW, str(page[index].id)))


def _after(reading: Reading) -> UUID | None:
    if reading.cursor is None:
        return None
    after = after_cursor(reading.cursor, VIEW)
    with suppress(ValueError):
        return parse_id(str(after))
    return None  # a forged cursor is harmless: the page begins at the start of the list


async def get_view(call: RequestContext) -> Response[bytes]:
    view_id = call.id("view_id", "view")
    reading = await begin(call)
    view = await reading.read(lambda models: models.saved.get(view_id), Source(VIEW, [view_id]))
    if view is None or not await _is_visible(reading, view):
        raise NotFound("view", view_id)
    return reading.resource(render.saved_view(view), view.version)


async def _is_visible(reading: Reading, view: SavedViewState) -> bool:
    if view.project_id is None:
        return view.owner_id == reading.caller
    return await reading.role(view.project_id) is not None


class ViewPage(Struct, frozen=True):
    items: list[render.SavedViewBody]
    next_cursor: str | None


ALL: Final = f"{BASE}/views"
ONE: Final = f"{ALL}/{{view_id:str}}"
ROUTES: Final = (
    Route("GET", ALL, list_views, "Saved views: mine, and my projects'", answer=ViewPage, query=("project", *PAGED)),
    Route("GET", ONE, get_view, "A saved view", answer=render.SavedViewBody, query=COMMON),
)
