"""`/stream`: the events of the caller's projects, live, as Server-Sent Events.

    with Last-Event-ID   ─▶ events from the log, up to the hub's position ─▶ live events from the hub
    without              ─▶ live events from now on

It sends the events of projects and tasks. A client that reads too slowly is disconnected, and can resume.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.api.concurrency_limits import Work
from taskflow.api.envelopes import as_sent, live_envelopes
from taskflow.api.reads import COMMON, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.streaming_response import Streamed
from taskflow.errors import Invalid
from taskflow.follower.sse_hub import Listener
from taskflow.ids import parse_id
from taskflow.store.history import EventFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar import Response

    from taskflow.api.authentication import Principal
    from taskflow.api.context import Context
    from taskflow.api.streaming_response import Pieces

MEDIA_TYPE: Final = "text/event-stream"
CATCH_UP_PAGE: Final = 200
HEADERS: Final = {"X-Accel-Buffering": "no"}
"""Makes proxies pass on each event at once."""
HEARTBEAT: Final = b":\n\n"
_POSITION: Final = re.compile(r"0|[1-9][0-9]{0,18}")
"""A position in exactly the spelling of events' ids."""


async def stream(call: RequestContext) -> Response[bytes]:
    projects = call.parameters.ids("project", parse_id)
    reading = await begin(call)
    call.hold(Work.STREAM)
    for project in projects or ():
        await reading.require_member(project, "project", project)
    follower = reading.context.follower
    await follower.poll()  # so that the stream starts after every write acknowledged before
    after = _last_event(call.header(b"last-event-id"), follower.position)
    reading.note_position(after)
    return Streamed(
        lambda cut: _events(reading.context, call.principal, projects, after, cut),
        media_type=MEDIA_TYPE,
        headers=HEADERS | reading.headers,
    )


def _last_event(text: str | None, head: int) -> int:
    """The position of the last event that the client has; the head of the log if the header is empty or missing."""
    if not text:
        return head
    if not _POSITION.fullmatch(text):
        raise Invalid("Last-Event-ID", "format", "expected the id of an event, a position")
    if int(text) > head:
        raise Invalid("Last-Event-ID", "past-head", f"the log ends at position {head}")
    return int(text)


async def _events(
    context: Context, principal: Principal, projects: frozenset[UUID] | None, after: int, cut: Callable[[], None]
) -> Pieces:
    sse_hub, follower, user = context.sse_hub, context.follower, principal.user_id
    listener = Listener(user, principal.session_id, projects, cut)
    heartbeat_s = context.settings.stream_heartbeat_ms / 1000
    with sse_hub.place():
        try:
            yield HEARTBEAT
            while not sse_hub.join(listener, after):
                after, missed = await _missed_events(context, user, projects, after)
                if missed:
                    yield missed
                sse_hub.judge(listener)
                if listener.ended or principal.expires_at <= time.time():
                    return
            sse_hub.judge(listener)  # the caller may have lost access since the request was authenticated
            while True:
                left_s = principal.expires_at - time.time()
                if left_s <= 0:
                    return
                events = await listener.next(min(heartbeat_s, left_s))
                # Access is checked again, for events that were buffered before it was withdrawn.
                visible = [one.text for one in events if follower.known_role(one.project, user) is not None]
                if visible:
                    yield b"".join(visible)
                sse_hub.judge(listener)
                if listener.ended:
                    return
                if not events:
                    yield HEARTBEAT
        finally:
            await sse_hub.leave(listener)


async def _missed_events(
    context: Context, user: UUID, projects: frozenset[UUID] | None, after: int
) -> tuple[int, bytes]:
    """A page of the log after a position, up to the follower's position; returns the position reached, and the
    events."""
    follower = context.follower
    visible = follower.projects_of(user).keys()
    wanted = frozenset(visible if projects is None else visible & projects)
    page = await context.history.page(
        EventFilter(projects=wanted), after=after, to=follower.position, limit=CATCH_UP_PAGE
    )
    events = b"".join([as_sent(one) for one in await live_envelopes(context.store.mapper, page.events)])
    if not wanted <= follower.projects_of(user).keys():
        return after, b""  # access was withdrawn meanwhile: the page is read again without that project
    return page.position, events


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/stream",
        stream,
        "Events of my projects and their tasks as they happen, as Server-Sent Events; `Last-Event-ID` resumes",
        query=("project", *COMMON),
        also=(MEDIA_TYPE,),
    ),
)
