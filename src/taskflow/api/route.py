"""The declaration of a route, and the context of a request for its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from litestar import HttpMethod, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec import Struct

from taskflow.api.authentication import header, must_be_signed_in
from taskflow.api.bodies import JSON, PATCH, read_json
from taskflow.api.rate_limits import network_of
from taskflow.errors import NotFound, Unauthenticated, UnsupportedMedia
from taskflow.ids import correlation_id_of, parse_id
from taskflow.off_loop import run_off_loop
from taskflow.query.query_params import Parameters

if TYPE_CHECKING:
    from taskflow.api.authentication import Principal
    from taskflow.api.concurrency_limits import Work
    from taskflow.api.context import Context

BASE: Final = "/api/v1"


class RequestContext:
    """One request, its caller, and the context of the process."""

    __slots__ = ("_parameters", "confirm", "context", "judged", "request")

    def __init__(self, request: Request[Any, Any, Any], context: Context) -> None:
        self.request = request
        self.context = context
        self._parameters: Parameters | None = None
        self.confirm: Callable[[], Awaitable[None]] | None = None
        """A check that a read has to pass before its answer, also before NotFound."""
        self.judged: set[UUID] = set()
        """Projects for which this request has checked that the caller may import into them."""

    @property
    def parameters(self) -> Parameters:
        """The parameters in the query string. Raises Malformed if it cannot be parsed."""
        if self._parameters is None:
            self._parameters = Parameters(self.request.scope["query_string"])
        return self._parameters

    @property
    def principal(self) -> Principal:
        """The signed-in user and session. Raises Unauthenticated for a request without a token."""
        principal: Principal | None = self.request.scope["state"]["principal"]
        if principal is None:
            raise Unauthenticated("expected an access token in the header Authorization: Bearer …")
        return principal

    @property
    def user(self) -> UUID:
        return self.principal.user_id

    def still_signed_in(self) -> None:
        """Checks the session again, after this process has followed more of the log. Raises Unauthenticated."""
        must_be_signed_in(self.context, self.principal.session_id)

    @property
    def caller(self) -> str:
        """The key for limits of this request: the user or, if nobody is signed in, the network."""
        principal: Principal | None = self.request.scope["state"]["principal"]
        return network_of(self.address) if principal is None else str(principal.user_id)

    async def count_as_stranger(self) -> None:
        """Counts the request against its network, if `authentication` left that to the route. Raises RateLimited."""
        state = self.request.scope["state"]
        if state["principal"] is None:
            await self.context.limits.request(self.address, None, state["limit_headers"])

    def hold(self, work: Work) -> None:
        """Takes a slot until the last piece of the answer was sent. Raises TooManyAtOnce if the caller has no free
        slot, and Unavailable if the process has none."""
        state = self.request.scope["state"]
        # What the request holds until it has been answered; most hold nothing.
        held: ExitStack = state["held"] or ExitStack()
        state["held"] = held
        held.enter_context(self.context.slots.hold(self.caller, work))

    @property
    def address(self) -> str:
        """The client's address, as given by the trusted proxies."""
        address: str = self.request.scope["state"]["address"]
        return address

    @property
    def request_id(self) -> str:
        request_id: str = self.request.scope["state"]["request_id"]
        return request_id

    @property
    def correlation_id(self) -> str:
        """The id derived from the request's id, for events."""
        return correlation_id_of(self.context.settings.claim_secret_bytes, self.request_id)

    def id(self, parameter: str, what: str) -> UUID:
        """An id in the path. Raises NotFound for a text that is not an id."""
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
            raise UnsupportedMedia(f"expected a body without a content encoding, found {encoding}")
        accepted = PATCH if request.method == "PATCH" else JSON
        body = self.body
        return await run_off_loop(len(body), read_json, body, self.header(b"content-type"), accepted)


class Route(Struct, frozen=True):
    """A method on a path. `body` and `answer` are types for the OpenAPI document, `query` the names of parameters."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    run: Callable[[RequestContext], Awaitable[Response[bytes]]]
    summary: str
    body: type[Struct] | None = None
    answer: type[Struct] | None = None
    status: int = 200
    query: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Content types of its answers in addition to JSON, or instead of JSON if it has no `answer`."""
    signed_in: bool = True
    """Whether the route requires an access token."""
    refusals: tuple[int, ...] = ()
    """Error statuses of this route, in addition to those that all routes of its sort have: see `openapi`."""

    def handler(self, context: Context) -> HTTPRouteHandler:
        """The Litestar handler of the route. Access is checked before the body is read."""

        async def handle(request: Request[Any, Any, Any]) -> ASGIApp:
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
            # As the framework would: but none of its layers adds headers or cookies here.
            return answer.to_asgi_response(app=None, request=request, status_code=200)

        # Answers with another status than 200 set it themselves.
        return HTTPRouteHandler(
            self.path, http_method=HttpMethod(self.method), name=f"{self.method} {self.path}", status_code=200
        )(handle)


def allowed(methods: Collection[str]) -> str:
    """The header `Allow` of a path with these methods; HEAD is added to GET, and OPTIONS always."""
    more = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
    return ", ".join(sorted({*methods, *more}))


def options(path: str, methods: Collection[str]) -> HTTPRouteHandler:
    """The OPTIONS handler of a path. Litestar's own would name only the method that was declared first."""
    headers = {"Allow": allowed(methods)}

    async def handle() -> Response[None]:
        return Response(None, status_code=204, headers=headers)

    return HTTPRouteHandler(path, http_method=HttpMethod("OPTIONS"), name=f"OPTIONS {path}", status_code=204)(handle)
