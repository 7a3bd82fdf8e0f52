"""What every read does: waits for the freshness that was asked for, notes how fresh it was, answers 304.

begin(call)                a Reading: takes `min_position`, `wait_ms`, `limit`, `cursor`, refuses unknown parameters, and
                           waits until the caller's own access is as fresh as `min_position`
read(query, source …)      the one way to a view: waits for its documents, notes their position, lets the query read
read_log()                 before the event store is read
confirm()                  by `Route`, before the answer is sent: everything is still as fresh, and still the caller's
resource(), page() …       body, ETag, `Taskflow-Position`, `Link`
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from litestar import Response
from msgspec import Raw, Struct

from taskflow.api import encoding
from taskflow.api.committed_state import committed
from taskflow.api.concurrency_limits import Work
from taskflow.api.json_response import JsonResponse
from taskflow.errors import Behind, Invalid, NotFound
from taskflow.page_bounds import PAGE_BYTES_MAX, fitting
from taskflow.projections.registry import PROJECTIONS
from taskflow.store.pool import TRANSIENT_ERRORS
from taskflow.streams import SAVED_VIEW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from taskflow.api.route import RequestContext
    from taskflow.readmodels.read_models import ReadModels
    from taskflow.streams.project import Role
    from taskflow.streams.user import UserState

T = TypeVar("T")

log = logging.getLogger(__name__)

COMMON: Final = ("min_position", "wait_ms")
PAGED: Final = ("limit", "cursor", *COMMON)
WAIT_MS: Final = 2_000
WAIT_MS_MAX: Final = 10_000
LIMIT: Final = 50
LIMIT_MAX: Final = 200
USERS: Final = "users"
"""The view that names of people are drawn from."""
LATE_TIMEOUT_S: Final = 1.0
"""The log and the checkpoints are asked for at least this long, whatever the wait for views may be."""
POLL_RETRY_S: Final = 0.05
"""Between two questions to a log that does not answer."""


class Source(NamedTuple):
    """What a query reads of a view: documents of these streams, or of any (of these projects)."""

    view: str
    streams: Iterable[UUID] | None = None
    projects: Collection[UUID] | None = None


async def begin(call: RequestContext, *, paged: bool = False) -> Reading:
    """Begins a read once the route has taken its own parameters from the call. Raises Malformed for bad or
    unknown parameters, Invalid for a position past the head of the log."""
    take = call.parameters
    min_position = take.number("min_position", least=0, most=2**62) or 0
    wait_ms = take.number("wait_ms", least=0, most=WAIT_MS_MAX)
    reading = Reading(
        call, call.user, min_position=min_position, wait_s=(WAIT_MS if wait_ms is None else wait_ms) / 1000
    )
    if paged:
        reading.limit = take.number("limit", least=1, most=LIMIT_MAX) or LIMIT
        reading.cursor = take.text("cursor")
    take.done()
    await reading.wait_for_access()
    return reading


def begin_for(call: RequestContext, owner: UUID) -> Reading:
    """Begins a read on somebody's behalf where nobody is signed in, as fresh as the views are."""
    return Reading(call, owner, min_position=0, wait_s=0, signed_in=False)


class Reading:
    """One read by one caller; `begin` makes it."""

    def __init__(
        self, call: RequestContext, caller: UUID, *, min_position: int, wait_s: float, signed_in: bool = True
    ) -> None:
        self._call = call
        self._request = call.request
        call.confirm = self.confirm
        self.context = call.context
        self.caller = caller
        self.min_position = min_position
        self._signed_in = signed_in
        self._deadline = asyncio.get_running_loop().time() + wait_s
        self._position: int | None = None
        self._read: list[tuple[str, set[int] | None]] = []
        """Views, and partitions of them or all, that were waited for."""
        self._judged: dict[UUID, NotFound] = {}
        """By project that was named and seen to be the caller's, what to say where it is not any more."""
        self._stale = False
        self.limit = LIMIT
        self.cursor: str | None = None

    def preferred(self, forms: Sequence[str]) -> str:
        """The content type that the client likes best of these; the first where it says nothing of use."""
        try:
            best: str = self._request.accept.best_match(list(forms), forms[0])
        except (ValueError, ArithmeticError):
            return forms[0]  # a weight such as 1e400: what cannot be read cannot be met
        return best if best in forms else forms[0]

    async def wait_for_access(self) -> None:
        """Waits until the caller's access is known up to `min_position`. Raises Behind, Invalid for a position past the
        head of the log, and Unauthenticated where the session has ended by then."""
        follower = self.context.follower
        if self.min_position <= follower.position:
            return
        try:
            async with asyncio.timeout(max(self.left_s, LATE_TIMEOUT_S)):
                while not await self._polled():  # noqa: ASYNC110 - PostgreSQL sets no event when it is back
                    await asyncio.sleep(POLL_RETRY_S)
        except TimeoutError as error:
            raise Behind(self.min_position, follower.position) from error
        if self.min_position > follower.position:
            raise Invalid("min_position", "past-head", f"the log ends at position {follower.position}")
        self._call.still_signed_in()

    async def _polled(self) -> bool:
        """Whether the log answered: a store that comes back takes writes a moment before it is followed again."""
        try:
            await self.context.follower.poll()
        except TRANSIENT_ERRORS:
            return False
        return True

    @property
    def position(self) -> int:
        """How fresh the answer is: the least over everything that was read, or the log as it was followed."""
        return self.context.follower.position if self._position is None else self._position

    @property
    def left_s(self) -> float:
        """Seconds that this read may still wait."""
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    async def role(self, project_id: UUID) -> Role | None:
        role: Role | None = await self.context.follower.role(project_id, self.caller)
        return role

    async def projects(self) -> Mapping[UUID, Role]:
        """The caller's projects and roles, with whatever was granted before this request, here or elsewhere."""
        with suppress(*TRANSIENT_ERRORS):
            await self.context.follower.poll()
        return self.known_projects()

    def known_projects(self) -> Mapping[UUID, Role]:
        """The same, as far as this process has heard: asked again by whoever has waited since."""
        projects: Mapping[UUID, Role] = self.context.follower.projects_of(self.caller)
        return projects

    async def require_member(self, project_id: UUID, what: str, key: object) -> Role:
        """The caller's role. Raises NotFound, naming what was asked for, where there is none."""
        role = await self.role(project_id)
        if role is None:
            raise NotFound(what, key)
        self._judged[project_id] = NotFound(what, key)
        return role

    async def read(self, query: Callable[[ReadModels], Awaitable[T]], *sources: Source) -> T:
        """What the query reads from these sources. It begins once each of them is as fresh as `min_position`; that they
        still were is confirmed before the answer is sent.

        Raises Behind where a view does not come to `min_position` in time, or never will because a stream in question is
        parked; and what the query raises: Unavailable while MongoDB is away.
        """
        for source in sources:
            await self._wait_for(source)
        return await query(self.context.readmodels)

    async def read_cached(self, query: Callable[[ReadModels], Awaitable[tuple[int, T]]], *sources: Source) -> T:
        """As `read`, where the query answers from a cache: a position, and what is as fresh as that."""
        position, value = await self.read(query, *sources)
        self.note_position(position)
        return value

    async def _wait_for(self, source: Source) -> None:
        view, projects = source.view, source.projects
        freshness = self.context.readmodels.freshness
        named = None if source.streams is None else set(source.streams)
        partitions = None if named is None else {freshness.partition_of(stream) for stream in named}
        if self.min_position:
            with self._waiting(view, self.min_position, partitions):
                await freshness.wait([view], self.min_position, timeout_s=self.left_s, partitions=partitions)
            self._read.append((view, partitions))
        self.note_position(freshness.position([view], partitions))
        for stream_id in await self._included(view, freshness.parked, named, projects):
            position = freshness.parked.get(stream_id)
            if position is not None:
                if position <= self.min_position:
                    raise Behind(self.min_position, position - 1)
                self._stale = True

    async def person(self, user_id: UUID) -> UserState | None:
        """Somebody as fresh as was asked for; None where there is no such person."""
        people: dict[UUID, UserState]
        with self._waiting(USERS, self.min_position, {self.context.readmodels.freshness.partition_of(user_id)}):
            people, position = await self.context.user_directory.get(
                [user_id], at_least=self.min_position, timeout_s=self.left_s
            )
        self.note_position(position)
        return people.get(user_id)

    @contextmanager
    def _waiting(self, view: str, position: int, partitions: Collection[int] | None) -> Iterator[None]:
        """Holds one of the caller's slots where a view is behind a position, and so has to be waited for. Raises
        TooManyAtOnce where they have none left."""
        if not position or self.context.readmodels.freshness.is_fresh(view, position, partitions):
            yield
            return
        with self.context.slots.hold(self._call.caller, Work.WAIT):
            yield

    async def confirm(self) -> None:
        """Called when everything was read: the views are still as fresh as was asked for, and what was named is still
        the caller's. Raises Behind where they are not, as when somebody dropped a view meanwhile, and NotFound where
        access was withdrawn."""
        await self.context.follower.ready()  # whoever was stopped, or waited, learns first what was withdrawn
        if self._read:
            await self.context.readmodels.freshness.confirm(
                self._read, self.min_position, timeout_s=max(self.left_s, LATE_TIMEOUT_S)
            )
        if self._signed_in:
            self._call.still_signed_in()
        for project_id, refusal in self._judged.items():
            if self.context.follower.known_role(project_id, self.caller) is None:
                raise refusal

    async def _included(
        self, view: str, parked: Collection[UUID], named: Collection[UUID] | None, projects: Collection[UUID] | None
    ) -> list[UUID]:
        """Those of the parked streams that an answer could include. What cannot be folded belongs to a project all
        the same: the store says to which, without looking into any event."""
        if named is not None:
            return [stream_id for stream_id in parked if stream_id in named]
        if not parked:
            return []
        try:
            found = await self.context.history.projects_of(parked, kind=PROJECTIONS[view].kind.name)
        except TRANSIENT_ERRORS:
            return list(parked)  # nobody can tell
        return [
            stream_id
            for stream_id, project_id in found.items()
            if (projects is None or project_id in projects)
            or (view == "views" and project_id is None and await self._mine(stream_id))
        ]

    async def _mine(self, view_id: UUID) -> bool:
        """Whether a personal saved view may be the caller's. One that nobody can read may be anybody's."""
        try:
            saved = await committed(self.context.store, SAVED_VIEW, view_id)
        except TRANSIENT_ERRORS:
            raise
        except Exception:
            log.exception("a parked saved view cannot be read", extra={"stream": str(view_id)})
            return True
        return saved is not None and saved.owner_id == self.caller

    def note_position(self, position: int | None) -> None:
        """Notes how fresh something is that goes into the answer."""
        if position is not None:
            self._position = position if self._position is None else min(self._position, position)

    async def read_log(self) -> None:
        """Called before the event store is read: this process has seen every write that was acknowledged before the
        request, so no state that it keeps is older. Raises what TRANSIENT_ERRORS names where it cannot be asked."""
        await self.context.follower.poll()
        self.answer_from_log()

    def answer_from_log(self) -> None:
        """The answer comes from the event store: what was noted of views so far is not in it."""
        self._position, self._stale = self.context.follower.position, False
        self._read.clear()

    async def names(self, ids: Collection[UUID], *, at_least: int = 0) -> dict[UUID, str | None]:
        """Names of people, as fresh as was asked for, and as `at_least` at that."""
        names: dict[UUID, str | None]
        at_least = max(at_least, self.min_position)
        freshness = self.context.readmodels.freshness
        partitions = {freshness.partition_of(one) for one in ids}
        with self._waiting(USERS, at_least, partitions):
            names, position = await self.context.user_directory.names(ids, at_least=at_least, timeout_s=self.left_s)
        self.note_position(position)
        return names

    # --- answers

    def resource(self, body: Struct | Raw, version: int) -> Response[bytes]:
        encoded = bytes(body) if isinstance(body, Raw) else encoding.ENCODER.encode(body)
        return self._answer(encoded, encoding.resource_etag(version, encoded))

    def encoded(self, body: bytes, etag: str) -> Response[bytes]:
        """A resource that was encoded before."""
        return self._answer(body, etag)

    def unversioned(self, body: Any) -> Response[bytes]:
        """What is no single stream's: its ETag is opaque."""
        encoded = encoding.ENCODER.encode(body)
        return self._answer(encoded, f'"{encoding.digest(encoded)}"')

    def page(
        self, items: Sequence[Any], next_cursor: str | None, *, cursor_after: Callable[[int], str] | None = None
    ) -> Response[bytes]:
        """`cursor_after` gives the cursor after an item by its index, for where not all of them fit; without it they
        were read no further than they do."""
        if cursor_after is not None:
            encoded = [Raw(encoding.ENCODER.encode(item)) for item in items]
            count = fitting([len(bytes(item)) for item in encoded], PAGE_BYTES_MAX)
            if count < len(encoded):
                next_cursor = cursor_after(count - 1)
            items = encoded[:count]
        return self.listing(encoding.listing(items, next_cursor))

    def listing(self, page: encoding.Listing) -> Response[bytes]:
        """A page that was encoded before."""
        cursor = page.next_cursor
        headers = {} if cursor is None else {"Link": f'<{self._next(cursor)}>; rel="next"'}
        return self._answer(page.body, page.etag, headers)

    @property
    def headers(self) -> dict[str, str]:
        """What every answer to a read says of its freshness."""
        headers = {"Taskflow-Position": str(self.position)}
        if self._stale:
            headers["Taskflow-Stale"] = "true"
        return headers

    def file(self, body: bytes, etag: str, media_type: str) -> Response[bytes]:
        """What is no JSON."""
        return self._answer(body, etag, media_type=media_type)

    def _answer(
        self, body: bytes, etag: str, headers: dict[str, str] | None = None, *, media_type: str = "application/json"
    ) -> Response[bytes]:
        headers = (headers or {}) | {"ETag": etag} | self.headers
        if matches(self._call.header(b"if-none-match"), etag):
            return JsonResponse(b"", status_code=304, headers=headers)
        if media_type == "application/json":
            return JsonResponse(body, headers=headers)
        return Response(body, headers=headers, media_type=media_type)

    def _next(self, cursor: str) -> str:
        query = parse_qsl(self._request.scope["query_string"].decode("ascii"), keep_blank_values=True)
        query = [(name, value) for name, value in query if name != "cursor"]
        return f"{self._request.scope['path']}?{urlencode([*query, ('cursor', cursor)])}"


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` names this tag: weak comparison with each of its tags."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
