"""The events of a project and of everything that belongs to it now, newest first, from the event store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.api.cursors import after_cursor, to_cursor
from taskflow.api.envelopes import EnvelopePage, envelopes
from taskflow.api.event_visibility import personal_fields_visible_to
from taskflow.api.reads import PAGED, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.errors import Invalid
from taskflow.page_bounds import PAGE_BYTES_MAX
from taskflow.store.history import EventFilter, Page

if TYPE_CHECKING:
    from litestar import Response

    from taskflow.store.history import History

RANGES_SEARCHED_MAX: Final = 10
"""Ranges of the log that one answer searches; a page may be short or empty without being the last."""
_LIST: Final = "activity"


async def list_activity(call: RequestContext) -> Response[bytes]:
    project_id = call.id("project_id", "project")
    reading = await begin(call, paged=True)
    context = reading.context
    await reading.require_member(project_id, "project", project_id)
    head = (await context.store.log.head()).position
    before = head + 1 if reading.cursor is None else _before(reading.cursor)
    sought = EventFilter(projects=frozenset((project_id,)))
    page = await _newest(context.history, sought, before, reading.limit)
    items = await envelopes(
        context.store.mapper, page.events, personal_fields_visible_to(context.follower, reading.caller)
    )
    reading.note_position(head)
    return reading.page(items, to_cursor(_LIST, page.position) if page.position else None)


async def _newest(history: History, sought: EventFilter, before: int, limit: int) -> Page:
    page, left = Page([], before), PAGE_BYTES_MAX
    for _ in range(RANGES_SEARCHED_MAX):
        more = await history.newest(sought, before=page.position, limit=limit - len(page.events), bytes_max=left)
        page = Page(page.events + more.events, more.position)
        left -= sum(len(event.data) for event in more.events)
        if not page.position or len(page.events) == limit or left <= 0:
            break
    return page


def _before(cursor: str) -> int:
    before = after_cursor(cursor, _LIST)
    if not isinstance(before, int) or not 0 < before < 2**62:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    return before


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/projects/{{project_id:str}}/activity",
        list_activity,
        "What happened in a project, newest first",
        answer=EnvelopePage,
        query=PAGED,
    ),
)
