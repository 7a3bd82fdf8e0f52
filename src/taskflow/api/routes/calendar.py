"""A person's due tasks as an iCalendar feed (RFC 5545), for programs that cannot sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar import Response

from taskflow.api.calendar_file import due_tasks, feed_sources, open_statuses, write_feed
from taskflow.api.calendar_secrets import read_calendar_secret
from taskflow.api.committed_state import committed, committed_parts
from taskflow.api.concurrency_limits import Work
from taskflow.api.reads import Source, begin_for
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.errors import NotFound
from taskflow.off_loop import on_thread
from taskflow.streams import PROJECT, USER

if TYPE_CHECKING:
    from taskflow.api.calendar_feeds import Feed
    from taskflow.api.context import Context
    from taskflow.readmodels.read_models import ReadModels
    from taskflow.streams.user import UserState

_SUFFIX: Final = ".ics"


async def get_calendar(call: RequestContext) -> Response[bytes]:
    """Needs only the secret; a replaced secret is not found. The feed is as fresh as the projection."""
    call.parameters.done()
    context = call.context
    call.hold(Work.CALENDAR)
    await context.follower.ready()  # access is checked as for a signed-in user
    user = await _owner(context, call.request.path_params["file"])
    # Requests with the secret count against the owner's rate limit.
    await context.limits.request(call.address, user.id, {})
    reading = begin_for(call, user.id)
    open_projects = context.follower.projects_of(user.id).keys() - context.follower.archived()
    projects = await committed_parts(context.store, PROJECT, open_projects, open_statuses)

    async def feed(models: ReadModels) -> Feed:
        async def make() -> bytes:
            return await on_thread(write_feed, user, await due_tasks(models, projects))

        return await context.calendars.get(user.id, feed_sources(models, user, projects), make)

    with context.slots.hold(str(user.id), Work.CALENDAR):
        found = await reading.read(feed, Source("tasks", projects=projects))
    return reading.file(found.body, found.etag, "text/calendar")


async def _owner(context: Context, file: str) -> UserState:
    if file.endswith(_SUFFIX):
        found = read_calendar_secret(context.settings, file.removesuffix(_SUFFIX))
        if found is not None:
            user: UserState | None = await committed(context.store, USER, found[0])
            if user is not None and user.calendar == found[1]:
                return user
    raise NotFound("calendar", file[:100])


ROUTES: Final = (Route("GET", f"{BASE}/calendar/{{file:str}}", get_calendar, "A feed of due tasks", signed_in=False),)
