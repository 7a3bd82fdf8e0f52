"""A task's history, from the event store, so that it includes every write acknowledged before the request."""

from __future__ import annotations

from typing import Final

from litestar import Response

from taskflow.api.committed_state import committed
from taskflow.api.cursors import after_cursor, to_cursor
from taskflow.api.envelopes import EnvelopePage, envelopes
from taskflow.api.reads import PAGED, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.errors import Invalid, NotFound
from taskflow.page_bounds import PAGE_BYTES_MAX
from taskflow.streams import TASK


async def list_task_events(call: RequestContext) -> Response[bytes]:
    task_id = call.id("task_id", "task")
    reading = await begin(call, paged=True)
    store = reading.context.store
    after = 0 if reading.cursor is None else after_cursor(reading.cursor, "task-events")
    if not isinstance(after, int) or not 0 <= after < 2**31:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    page = await store.log.stream(task_id, after=after, limit=reading.limit, bytes_max=PAGE_BYTES_MAX)
    # Access is checked after reading: if the task moved meanwhile, later events belong to the other project.
    await reading.context.follower.poll()
    task = await committed(store, TASK, task_id)
    if task is None or task.purged:
        raise NotFound("task", task_id)
    await reading.require_member(task.project_id, "task", task_id)
    more = bool(page) and page[-1].stream_version < task.version
    items = await envelopes(store.mapper, page)
    reading.note_position(max([reading.context.follower.position, *[event.position for event in page]]))
    return reading.page(items, to_cursor("task-events", page[-1].stream_version) if more else None)


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/tasks/{{task_id:str}}/events",
        list_task_events,
        "A task's history, oldest first",
        answer=EnvelopePage,
        query=PAGED,
    ),
)
