"""`/stream`: what happens in the caller's projects, as it happens, as Server-Sent Events.

    Last-Event-ID ─▶ from the log, as far as the feed is ─▶ from the feed, for as long as the client listens
    without one   ─▶ from now on

Told are the events of projects and tasks. A client that is slower than what happens is cut off, and resumes.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from taskflow.api.concurrency_limits import Work
from taskflow.api.envelopes import as_sent, envelopes
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
"""A proxy in front hands each event on at once."""
HEARTBEAT: Final = b":\n\n"
_POSITION: Final = re.compile(r"0|[1-9][0-9]{0,18}")
"""As an event's id says it, and in no other spelling."""


async def stream(call: RequestContext) -> Response[bytes]:
    projects = call.parameters.ids("project", parse_id)
    reading = await begin(call)
    call.hold(Work.STREAM)
    for project in projects or ():
        await reading.must_see(project, "project", project)
    follower = reading.context.follower
    await follower.poll()  # `now` is after whatever was acknowledged before
    after = _last_event(call.header(b"last-event-id"), follower.position)
    reading.note_position(after)
    return Streamed(
        lambda cut: _events(reading.context, call.principal, projects, after, cut),
        media_type=MEDIA_TYPE,
        headers=HEADERS | reading.headers,
    )


def _last_event(text: str | None, head: int) -> int:
    """The position after which the client has seen nothing; an empty header is none."""
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
                after, missed = await _missed(context, user, projects, after)
                if missed:
                    yield missed
                sse_hub.judge(listener)
                if listener.ended or principal.expires_at <= time.time():
                    return
            sse_hub.judge(listener)  # it may have lost what it had when it was let in
            while True:
                left_s = principal.expires_at - time.time()
                if left_s <= 0:
                    return
                told = await listener.next(min(heartbeat_s, left_s))
                # Once more: what was put into the buffer before access was withdrawn is not sent after it.
                seen = [one.text for one in told if follower.known_role(one.project, user) is not None]
                if seen:
                    yield b"".join(seen)
                sse_hub.judge(listener)
                if listener.ended:
                    return
                if not told:
                    yield HEARTBEAT
        finally:
            await sse_hub.leave(listener)


async def _missed(context: Context, user: UUID, projects: frozenset[UUID] | None, after: int) -> tuple[int, bytes]:
    """What there is in the log after a position, and how far that goes: a page, towards where the feed is."""
    follower = context.follower
    seen = follower.projects_of(user).keys()
    wanted = frozenset(seen if projects is None else seen & projects)
    page = await context.history.page(
        EventFilter(projects=wanted), after=after, to=follower.position, limit=CATCH_UP_PAGE
    )
    events = b"".join([as_sent(one) for one in await envelopes(context.store.mapper, page.events)])
    if not wanted <= follower.projects_of(user).keys():
        return after, b""  # withdrawn while it was read: read again without
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
