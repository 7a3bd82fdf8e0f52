"""`/events`: the events that the caller may see, in pages or as one file.

Users see the events of their projects, by their present roles; analysts and admins see all events. They are read from
the event store, so that every write acknowledged before the request is included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from taskflow.api import encoding
from taskflow.api.concurrency_limits import Work
from taskflow.api.cursors import after_cursor, to_cursor
from taskflow.api.envelopes import Envelope, envelopes
from taskflow.api.event_files import CSV, NDJSON, csv_header, csv_lines, ndjson
from taskflow.api.event_visibility import is_analyst, personal_fields_visible_to
from taskflow.api.reads import PAGED, begin
from taskflow.api.route import BASE, RequestContext, Route
from taskflow.api.streaming_response import Streamed
from taskflow.errors import Forbidden, Invalid, NotFound
from taskflow.ids import correlation_id_of, parse_id
from taskflow.off_loop import run_off_loop
from taskflow.store.history import SYSTEM, EventFilter
from taskflow.streams import EVENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar import Response

    from taskflow.api.context import Context
    from taskflow.api.reads import Reading
    from taskflow.api.streaming_response import Pieces
    from taskflow.follower.follower import Follower
    from taskflow.settings import Settings
    from taskflow.store.recorded import RecordedEvent

FILTERS: Final = ("after", "type", "stream", "project", "actor", "command", "correlation", "from", "to", "clock")
FILE_PAGE: Final = 500
"""Events that are read at once for a file."""
_LIST: Final = "events"
_JSON: Final = "application/json"


class EventPage(Struct, frozen=True):
    """`position`: the last one looked at; it is the next `after`. A page may be short, or empty, and not the last."""

    items: list[Envelope]
    next_cursor: str | None
    position: int


class Range(Struct, frozen=True):
    """A range of positions: `after` < position ≤ `to`, in a log that ends at `head`."""

    after: int
    to: int
    head: int


async def list_events(call: RequestContext) -> Response[bytes]:
    reading, sought, positions = await _requested(call)
    context = reading.context
    reading.note_position(positions.head)
    form = reading.preferred((_JSON, NDJSON, CSV))
    if form != _JSON:
        call.hold(Work.EXPORT)
        headers = reading.headers | {"Content-Disposition": _attached(form)}
        return Streamed(lambda _: _file(context, call, sought, positions, form), media_type=form, headers=headers)
    page = await context.history.page(sought, after=positions.after, to=positions.to, limit=reading.limit)
    items = await envelopes(
        context.store.mapper, page.events, personal_fields_visible_to(context.follower, reading.caller)
    )
    cursor = to_cursor(_LIST, page.position) if page.position < positions.to else None
    body = encoding.ENCODER.encode(EventPage(items, cursor, page.position))
    return reading.listing(encoding.Listing(body, f'"{encoding.digest(body)}"', cursor))


async def _requested(call: RequestContext) -> tuple[Reading, EventFilter, Range]:
    """The requested filter and range, limited to events that the caller may see. Raises NotFound for other projects and
    streams."""
    take, context = call.parameters, call.context
    after = take.number("after", least=0, most=2**62) or 0
    since, before = take.time("from"), take.time("to")
    by_record = take.one_of("clock", ("occurred", "recorded")) == "recorded"
    projects, streams = take.ids("project", parse_id), take.ids("stream", parse_id)
    sought = EventFilter(
        streams=streams,
        types=take.texts("type", EVENT_TYPES),
        actors=take.ids("actor", lambda text: SYSTEM if text == "system" else parse_id(text)),
        commands=take.ids("command", parse_id),
        correlations=_correlations(context.settings, take.texts("correlation")),
        since=None if by_record else since,
        before=None if by_record else before,
    )
    reading = await begin(call, paged=True)
    if reading.cursor is not None:
        after = _position(reading.cursor)
    to = head = (await context.store.log.head()).position
    if by_record:
        after = after if since is None else max(after, await context.history.position_before(since))
        to = to if before is None else min(to, await context.history.position_before(before))
    mine = await reading.projects()
    sees_all = is_analyst(context.follower, reading.caller)
    if projects is not None:
        found = await context.history.projects_of(projects)
        for project in projects:
            if project not in mine and not (sees_all and found.get(project) == project):
                raise NotFound("project", project)
    if streams is not None:
        found = await context.history.projects_of(streams)
        for stream in streams:
            if stream not in found or not (sees_all or found[stream] in mine):
                raise NotFound("stream", stream)
    if projects is None and not sees_all:
        projects = frozenset(mine)
    return reading, replace(sought, projects=projects), Range(after, to, head)


def _correlations(settings: Settings, request_ids: frozenset[str] | None) -> frozenset[str] | None:
    """The correlation ids of requests, and the request ids themselves, which an earlier release stored as they are."""
    if request_ids is None:
        return None
    derived = {correlation_id_of(settings.claim_secret_bytes, request_id) for request_id in request_ids}
    # PostgreSQL's text cannot contain NUL.
    return frozenset(derived | {request_id for request_id in request_ids if "\0" not in request_id})


def _position(cursor: str) -> int:
    position = after_cursor(cursor, _LIST)
    if not isinstance(position, int) or not 0 <= position < 2**62:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    return position


def _attached(form: str) -> str:
    return f'attachment; filename="events.{"csv" if form == CSV else "ndjson"}"'


async def _file(context: Context, call: RequestContext, sought: EventFilter, positions: Range, form: str) -> Pieces:
    """The whole range as a file; one page at a time is in memory. Raises Forbidden if the caller loses access in the
    middle."""
    caller, after = call.principal, positions.after
    lines: Callable[[Sequence[Envelope]], bytes] = csv_lines if form == CSV else ndjson
    begun = csv_header() if form == CSV else b""
    while after < positions.to:
        await context.follower.ready()
        _must_still_see(context.follower, caller.user_id, caller.session_id, sought)
        async with context.slots.page_turn:
            page = await context.history.page(sought, after=after, to=positions.to, limit=FILE_PAGE)
            size = sum(len(event.data) for event in page.events)
            visible = await _visible_envelopes(context, page.events, caller.user_id)
            piece = await run_off_loop(size, lines, visible) if visible else b""
        after = page.position
        if piece:
            yield begun + piece
            begun = b""
    if begun:
        yield begun


async def _visible_envelopes(context: Context, events: Sequence[RecordedEvent], caller: UUID) -> list[Envelope]:
    return await envelopes(context.store.mapper, events, personal_fields_visible_to(context.follower, caller))


def _must_still_see(follower: Follower, user: UUID, session: UUID, sought: EventFilter) -> None:
    if follower.session_ended(session) or not (
        is_analyst(follower, user)
        or (sought.projects is not None and sought.projects <= follower.projects_of(user).keys())
    ):
        raise Forbidden("access was withdrawn while the answer was sent")


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/events",
        list_events,
        "Events by position: of my projects; all, for an analyst. `from` and `to` compare `occurred_at`, or with "
        "`clock=recorded` when the store took it",
        answer=EventPage,
        query=(*FILTERS, *PAGED),
        also=(NDJSON, CSV),
    ),
)
