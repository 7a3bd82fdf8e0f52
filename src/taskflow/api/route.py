"""What a route is, and the request as its handler sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from litestar import HttpMethod, Request, Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from taskflow.api.authentication import header, must_be_signed_in
from taskflow.api.bodies import JSON, PATCH, read_json
from taskflow.api.rate_limits import network_of
from taskflow.errors import NotFound, Unauthenticated, UnsupportedMedia
from taskflow.ids import correlation_id_of, parse_id
from taskflow.off_loop import run_off_loop
from taskflow.query_params import Parameters

if TYPE_CHECKING:
    from contextlib import ExitStack

    from taskflow.api.authentication import Principal
    from taskflow.api.concurrency_limits import Work
    from taskflow.api.context import Context

BASE: Final = "/api/v1"


class RequestContext:
    """One request: what came in, who sent it, and what the process has open."""

    __slots__ = ("_parameters", "confirm", "context", "judged", "request")

    def __init__(self, request: Request[Any, Any, Any], context: Context) -> None:
        self.request = request
        self.context = context
        self._parameters: Parameters | None = None
        self.confirm: Callable[[], Awaitable[None]] | None = None
        """What a read has to be sure of before it is answered, or before it says that there is nothing."""
        self.judged: set[UUID] = set()
        """Projects that the caller may import into, as this request has found."""

    @property
    def parameters(self) -> Parameters:
        """What the query string asks for. Raises Malformed for one that cannot be read."""
        if self._parameters is None:
            self._parameters = Parameters(self.request.scope["query_string"])
        return self._parameters

    @property
    def principal(self) -> Principal:
        """Raises Unauthenticated where nobody is signed in."""
        principal: Principal | None = self.request.scope["state"]["principal"]
        if principal is None:
            raise Unauthenticated("expected an access token in the header Authorization: Bearer …")
        return principal

    @property
    def user(self) -> UUID:
        return self.principal.user_id

    def still_signed_in(self) -> None:
        """Asked again once more of the log is known than the gate knew. Raises Unauthenticated."""
        must_be_signed_in(self.context, self.principal.session_id)

    @property
    def caller(self) -> str:
        """Whose limits count for this request: a user's, or those of the network where nobody is signed in."""
        principal: Principal | None = self.request.scope["state"]["principal"]
        return network_of(self.address) if principal is None else str(principal.user_id)

    async def count_as_stranger(self) -> None:
        """Counts the request against its network, where the gate has left that to the route. Raises RateLimited."""
        state = self.request.scope["state"]
        if state["principal"] is None:
            await self.context.limits.request(self.address, None, state["limit_headers"])

    def hold(self, work: Work) -> None:
        """Takes a slot until the request has been answered, its last piece sent. Raises TooManyAtOnce where the
        caller has no other, and Unavailable where the process has none."""
        held: ExitStack = self.request.scope["state"]["held"]
        held.enter_context(self.context.slots.hold(self.caller, work))

    @property
    def address(self) -> str:
        """Where the request came from, as far as the proxies in front are believed."""
        address: str = self.request.scope["state"]["address"]
        return address

    @property
    def request_id(self) -> str:
        request_id: str = self.request.scope["state"]["request_id"]
        return request_id

    @property
    def correlation_id(self) -> str:
        """What stands for the request's id in events."""
        return correlation_id_of(self.context.settings.claim_secret_bytes, self.request_id)

    def id(self, parameter: str, what: str) -> UUID:
        """An id in the path. Raises NotFound for what is no id: nothing is called so."""
        text = self.request.path_params[parameter]
        try:
            return parse_id(text)
        except ValueError:
            raise NotFound(what, text) from None

    def header(self, name: bytes) -> str | None:
        """The value of a header field, by its name in lower case; of several lines the first."""
        return header(self.request.scope["state"]["headers"], name)

    @property
    def body(self) -> bytes:
        """The whole body, as it was sent."""
        body: bytes = self.request.scope["state"]["body"]
        return body

    async def json(self) -> dict[str, Any]:
        """The body of a write, which takes no parameters. Raises Malformed and UnsupportedMedia."""
        request = self.request
        self.parameters.done()
        encoding = self.header(b"content-encoding") or ""
        if encoding.lower() not in {"", "identity"}:
            raise UnsupportedMedia(f"expected a body as it is, found one in the encoding {encoding}")
        accepted = PATCH if request.method == "PATCH" else JSON
        body = self.body
        return await run_off_loop(len(body), read_json, body, self.header(b"content-type"), accepted)


class Route(Struct, frozen=True):
    """A method on a path. `body` and `answer` are what the document says, `query` the parameters' names."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    run: Callable[[RequestContext], Awaitable[Response[bytes]]]
    summary: str
    body: type[Struct] | None = None
    answer: type[Struct] | None = None
    status: int = 200
    query: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Content types that it answers in beside JSON, or instead of it where it has no `answer`."""
    signed_in: bool = True
    """Whether it takes an access token."""
    refusals: tuple[int, ...] = ()
    """Statuses that it may answer beside those that any route like it may: see `openapi`."""

    def handler(self, context: Context) -> HTTPRouteHandler:
        """The route as Litestar takes it. Access is judged before anything of the request is read."""

        async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
            call = RequestContext(request, context)
            if self.signed_in:
                call.principal  # noqa: B018 - raises where there is none
                await context.follower.ready()
                call.still_signed_in()
            answer: Response[bytes] | NotFound
            try:
                answer = await self.run(call)
            except NotFound as nothing:
                answer = nothing
            if call.confirm is not None:
                await call.confirm()
            if isinstance(answer, NotFound):
                raise answer
            return answer

        # Every answer says its own status where it is not 200.
        return HTTPRouteHandler(
            self.path, http_method=HttpMethod(self.method), name=f"{self.method} {self.path}", status_code=200
        )(handle)


def allowed(methods: Collection[str]) -> str:
    """The header `Allow` of a path that takes these: HEAD comes with GET, and OPTIONS always."""
    more = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    return ", ".join(sorted({*methods, *more}))


def options(path: str, methods: Collection[str]) -> HTTPRouteHandler:
    """What a path takes. The framework's own answer names the method alone that was declared first."""
    headers = {"Allow": allowed(methods)}

    async def handle() -> Response[None]:
        return Response(None, status_code=204, headers=headers)

    return HTTPRouteHandler(path, http_method=HttpMethod("OPTIONS"), name=f"OPTIONS {path}", status_code=204)(handle)
