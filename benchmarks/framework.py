"""What Litestar's layers cost a request, each beside the code of ours that it could replace.

`python -m benchmarks.framework [--rounds N] [--requests N]`: CPU microseconds of one request, without servers and without
a network. The ASGI application is called in this process, what lies behind the routes answers from memory, and each figure
is the median of alternating rounds. It also prints which requests Litestar's typed parameters and bodies accept although
the contract refuses them. What was decided with both stands in ADR/0010.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from types import SimpleNamespace
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
import uvloop
from litestar import Litestar, Request, Response, get, post
from litestar.config.cors import CORSConfig
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import Parameter
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Guard, Receive, Scope, Send
from msgspec import Struct

from taskflow.api import problems
from taskflow.api.app import _problem
from taskflow.api.authentication import Principal
from taskflow.api.bodies import decode
from taskflow.api.metrics import Metrics
from taskflow.api.middleware import Middleware
from taskflow.api.route import RequestContext, Route
from taskflow.commands.task import CreateTask
from taskflow.errors import NotFound, TaskflowError
from taskflow.ids import new_id
from taskflow.query.query_params import Parameters
from taskflow.settings import Settings

PATH: Final = "/api/v1/tasks"
TASK_ID: Final = "01890000-0000-7000-8000-000000000000"
WAIT_MS_MAX: Final = 5_000


class Task(Struct, frozen=True):
    """An answer of the usual size."""

    id: UUID
    title: str
    description: str
    status: str
    priority: str
    labels: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    version: int
    comment_count: int = 0
    assignee_id: UUID | None = None
    parent_id: UUID | None = None


TASK: Final = Task(
    UUID(TASK_ID), "Write the report", "x" * 300, "todo", "high", ("a", "b"),
    datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC), 3,
)  # fmt: skip
BODY: Final = msgspec.json.encode(
    {"title": "Write the report", "description": "x" * 200, "priority": "high", "labels": ["a", "b"],
     "project_id": TASK_ID, "due_on": "2026-12-24", "time_zone": "Europe/Zurich"}
)  # fmt: skip
HEADERS: Final = [
    (b"host", b"127.0.0.1:8080"),
    (b"user-agent", b"benchmarks"),
    (b"accept", b"application/json"),
    (b"authorization", b"Bearer abc"),
    (b"x-request-id", b"walk-1"),
]


def context() -> Any:
    """Stands for what a process has open: everything is known and nothing is refused."""
    principal = Principal(new_id(), new_id(), time.time() + 3600)

    async def request(_address: str, _user: UUID | None, headers: dict[str, str]) -> None:
        headers["RateLimit"] = '"user";r=99;t=1'

    async def ready() -> None:
        return None

    claims = SimpleNamespace(user_id=principal.user_id, session_id=principal.session_id, expires_at=0.0)
    return SimpleNamespace(
        settings=Settings(),
        tokens=SimpleNamespace(is_known=lambda _token: True, verify=lambda _token: claims),
        token_checks=SimpleNamespace(take=lambda _address: False),
        limits=SimpleNamespace(request=request),
        follower=SimpleNamespace(session_ended=lambda _session: False, ready=ready),
    )


# --- ours


async def read_ours(call: RequestContext) -> Response[bytes]:
    task_id = call.id("task_id", "task")
    parameters = Parameters(call.request.scope["query_string"])
    parameters.number("version", least=1, most=2**31)
    parameters.time("at")
    parameters.one_of("clock", ("occurred", "recorded"))
    parameters.number("min_position", least=0, most=2**63 - 1)
    parameters.number("wait_ms", least=0, most=WAIT_MS_MAX)
    parameters.done()
    if task_id.int & 1:
        raise NotFound("task", task_id)
    return Response(msgspec.json.encode(TASK), media_type="application/json")


async def create_ours(call: RequestContext) -> Response[bytes]:
    command = decode(await call.json(), CreateTask)
    return Response(msgspec.json.encode(TASK), status_code=201, headers={"ETag": command.title[:0] or '"1"'})


def ours(within: Any, *, signed_in: bool = False) -> list[HTTPRouteHandler]:
    read = Route("GET", PATH + "/{task_id:str}", read_ours, "A task", signed_in=signed_in)
    return [
        read.handler(within),
        Route("POST", PATH, create_ours, "Create a task", signed_in=signed_in).handler(within),
    ]


# --- Litestar's own, one layer at a time

_JSON: Final = "application/json"


def guard_of(within: Any) -> Guard:
    async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        call = RequestContext(connection, within)  # type: ignore[arg-type]  # of the request only its scope is read
        call.principal  # noqa: B018 - raises where there is none
        await within.follower.ready()
        call.still_signed_in()

    return signed_in


def typed_parameters(within: Any) -> list[HTTPRouteHandler]:
    """Path and query from the signature, instead of `RequestContext.id` and `Parameters`."""

    @get(PATH + "/{task_id:uuid}")
    async def read(
        task_id: UUID,
        at: datetime | None = None,
        clock: Literal["occurred", "recorded"] | None = None,
        version: Annotated[int | None, Parameter(ge=1)] = None,
        min_position: Annotated[int, Parameter(ge=0)] = 0,
        wait_ms: Annotated[int, Parameter(ge=0, le=WAIT_MS_MAX)] = 0,
    ) -> Response[bytes]:
        if task_id.int & 1 and (at, clock, version, min_position, wait_ms):
            raise NotFound("task", task_id)
        return Response(msgspec.json.encode(TASK), media_type=_JSON)

    return [read, ours(within)[1]]


def typed_body(within: Any) -> list[HTTPRouteHandler]:
    """The body as the handler's `data`, instead of `RequestContext.json` and `bodies.decode`."""

    @post(PATH)
    async def create(data: CreateTask) -> Response[bytes]:
        return Response(msgspec.json.encode(TASK), status_code=201, headers={"ETag": data.title[:0] or '"1"'})

    return [ours(within)[0], create]


def structs_answered(within: Any) -> list[HTTPRouteHandler]:
    """A Struct returned and encoded by Litestar, instead of bytes."""

    @get(PATH + "/{task_id:str}")
    async def read(request: Request[Any, Any, Any]) -> Task:
        await read_ours(RequestContext(request, within))
        return TASK

    @post(PATH)
    async def create(request: Request[Any, Any, Any]) -> Task:
        await create_ours(RequestContext(request, within))
        return TASK

    return [read, create]


def answered_twice(within: Any) -> list[HTTPRouteHandler]:
    """What `structs_answered` is compared with: the bytes made twice."""

    @get(PATH + "/{task_id:str}")
    async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
        await read_ours(RequestContext(request, within))
        return Response(msgspec.json.encode(TASK), media_type=_JSON)

    @post(PATH)
    async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
        await create_ours(RequestContext(request, within))
        return Response(msgspec.json.encode(TASK), status_code=201)

    return [read, create]


def bare(within: Any, **options: Any) -> list[HTTPRouteHandler]:
    """Routes as ours, for what is added to them."""

    @get(PATH + "/{task_id:str}", **options)
    async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await read_ours(RequestContext(request, within))

    @post(PATH, **options)
    async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await create_ours(RequestContext(request, within))

    return [read, create]


def dependencies(within: Any) -> list[HTTPRouteHandler]:
    """The request's context injected, and within it the caller: two dependencies."""

    async def caller(request: Request[Any, Any, Any]) -> Principal:
        return RequestContext(request, within).principal

    async def call(request: Request[Any, Any, Any], principal: Principal) -> RequestContext:
        return RequestContext(request, within) if principal else RequestContext(request, None)  # type: ignore[arg-type]  # never

    injected = {"principal": Provide(caller), "call": Provide(call)}

    @get(PATH + "/{task_id:str}", dependencies=injected)
    async def read(call: RequestContext) -> Response[bytes]:
        return await read_ours(call)

    @post(PATH, dependencies=injected)
    async def create(call: RequestContext) -> Response[bytes]:
        return await create_ours(call)

    return [read, create]


def problems_answered(within: Any) -> list[HTTPRouteHandler]:
    """A refusal turned into its problem by the handler, instead of by Litestar's exception handlers."""

    @get(PATH + "/{task_id:str}")
    async def read(request: Request[Any, Any, Any]) -> Response[bytes]:
        try:
            return await read_ours(RequestContext(request, within))
        except TaskflowError as error:
            return _problem(request, error)

    return [read, bare(within)[1]]


def ready_answers(within: Any) -> list[HTTPRouteHandler]:
    """What Litestar sends, made by the handler: no `Response` that it converts first."""

    @get(PATH + "/{task_id:str}")
    async def read(request: Request[Any, Any, Any]) -> ASGIResponse:
        return ready(await read_ours(RequestContext(request, within)))

    @post(PATH)
    async def create(request: Request[Any, Any, Any]) -> ASGIResponse:
        return ready(await create_ours(RequestContext(request, within)))

    return [read, create]


def ready(answer: Response[bytes]) -> ASGIResponse:
    return ASGIResponse(
        body=answer.content,
        status_code=answer.status_code or 200,
        media_type=answer.media_type or _JSON,
        headers={name: str(value) for name, value in answer.headers.items()},
    )


class Nothing(ASGIMiddleware):
    """A middleware that only passes on, and looks at what is sent."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def passed_on(message: Any) -> None:
            await send(message)

        await next_app(scope, receive, passed_on)


def app_of(within: Any, handlers: list[HTTPRouteHandler], **options: Any) -> ASGIApp:
    """As `make_app` builds it: our middleware around Litestar around the routes."""
    app = Litestar(
        route_handlers=handlers,
        exception_handlers={Exception: _problem},
        openapi_config=None,
        request_max_body_size=None,
        logging_config=None,
        **options,
    )
    return Middleware(app, within, Metrics(within))


def without_framework(within: Any) -> ASGIApp:
    """Our middleware around the two routes with no framework between: what Litestar as a router costs."""

    handler = bare(within, request_max_body_size=None)[0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route_handler"] = handler  # asked for the bound of a body, which there is none
        scope["path_params"] = {"task_id": scope["path"].rpartition("/")[2]}
        call = RequestContext(Request(scope, receive, send), within)
        try:
            answer = await (read_ours if scope["method"] == "GET" else create_ours)(call)
        except TaskflowError as error:
            problem = problems.problem_of(error)
            body, status = problem.body(scope["path"]), problem.status
        else:
            body, status = answer.content, answer.status_code or 200
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return Middleware(app, within, Metrics(within))


def variants() -> dict[str, ASGIApp]:
    within = context()
    cors = CORSConfig(allow_origins=["https://example.com"])
    return {
        "ours": app_of(within, ours(within)),
        "no framework": without_framework(within),
        "our check of the session": app_of(within, ours(within, signed_in=True)),
        "the same check as a guard": app_of(within, bare(within, guards=[guard_of(within)])),
        "problems without exception handlers": app_of(within, problems_answered(within)),
        "answers that need no conversion": app_of(within, ready_answers(within)),
        "two dependencies": app_of(within, dependencies(within)),
        "typed path and query": app_of(within, typed_parameters(within)),
        "typed body": app_of(within, typed_body(within)),
        "bytes made twice": app_of(within, answered_twice(within)),
        "bytes made, and a Struct answered": app_of(within, structs_answered(within)),
        "one middleware that passes on": app_of(within, bare(within), middleware=[Nothing()]),
        "five middlewares that pass on": app_of(within, bare(within), middleware=[Nothing() for _ in range(5)]),
        "CORSConfig": app_of(within, bare(within), cors_config=cors),
    }


# --- measuring


def scope_of(method: str, path: str, query: bytes) -> dict[str, Any]:
    headers = [*HEADERS, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http",
        "server": ("127.0.0.1", 8080), "client": ("127.0.0.1", 50_000), "root_path": "", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": query, "headers": headers if method == "POST" else [*HEADERS],
    }  # fmt: skip


REQUESTS: Final = {
    "get": ("GET", f"{PATH}/{TASK_ID}", b"min_position=12&wait_ms=500", 200),
    "create": ("POST", PATH, b"", 201),
    "refused": ("GET", f"{PATH}/{TASK_ID[:-1]}1", b"", 404),
}


WRONG_QUERIES: Final = (
    b"unknown=1", b"wait_ms=1&wait_ms=2", b"wait_ms=1_0", b"wait_ms=%2B5", b"wait_ms=5.0", b"wait_ms=", b"clock=%ff",
    b"at=2026-01-01T00:00:00", b"at=1767225600", b"wait_ms=x&min_position=y", b"&".join([b"wait_ms=1"] * 201),
)  # fmt: skip
WRONG_PATHS: Final = (f"{PATH}/{TASK_ID.replace('-', '')}", f"{PATH}/abc")
WRONG_BODIES: Final = (
    (b'{"title":1,"priority":"x","project_id":"y"}', "application/json"),
    (b'{"title":"a","unknown":1}', "application/json"),
    (b'{"title":"a","project_id":"01890000000070008000000000000000"}', "application/json"),
    (b'{"title":"a","due_at":1767225600}', "application/json"),
    (b"", "application/json"),
    (b"[" * 100_000, "application/json"),
    (b'{"title":"a"}', "application/json; charset=latin-1"),
    (b'{"title":"a"}', "text/plain"),
    (b'{"title":"a"}', ""),
    (b"title=a", "application/x-www-form-urlencoded"),
    (b"\x81\xa5title\xa1a", "application/x-msgpack"),
)


async def status_of(app: ASGIApp, scope: Any, body: bytes) -> int:
    """The status of the answer to one request."""
    status = 0

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope, receive, send)
    return status


async def refusals() -> None:
    """Prints what typed parameters and typed bodies answer to requests that the contract refuses."""
    within = context()
    app, parameters = app_of(within, ours(within)), app_of(within, typed_parameters(within))
    body_app = app_of(within, typed_body(within))
    wrong: list[tuple[str, ASGIApp, dict[str, Any], bytes]] = [
        (f"?{query[:40].decode()}", parameters, scope_of("GET", f"{PATH}/{TASK_ID}", query), b"")
        for query in WRONG_QUERIES
    ]
    wrong += [(path, parameters, scope_of("GET", path, b""), b"") for path in WRONG_PATHS]
    for body, media_type in WRONG_BODIES:
        scope = scope_of("POST", PATH, b"")
        own = [(b"content-type", media_type.encode())] if media_type else []
        scope["headers"] = [*HEADERS, *own, (b"content-length", b"%d" % len(body))]
        wrong.append((f"{body[:60]!r} as {media_type or 'nothing'}", body_app, scope, body))
    print("\n| refused by the contract | ours | typed |\n| --- | --- | --- |")
    for what, typed, scope, body in wrong:
        # The applications write into the scope.
        print(f"| {what} | {await status_of(app, {**scope}, body)} | {await status_of(typed, {**scope}, body)} |")


async def cpu_us(app: ASGIApp, kind: str, requests: int) -> float:
    """Microseconds of CPU that one request takes."""
    method, path, query, expected = REQUESTS[kind]
    body = BODY if method == "POST" else b""
    gc.collect()
    began = time.process_time()
    for _ in range(requests):
        status = await status_of(app, scope_of(method, path, query), body)
        if status != expected:
            raise AssertionError(f"{kind} was answered {status}, expected {expected}")
    return (time.process_time() - began) / requests * 1e6


async def main(*, rounds: int, requests: int) -> None:
    apps = variants()
    figures: dict[tuple[str, str], list[float]] = {(name, kind): [] for name in apps for kind in REQUESTS}
    for number in range(rounds + 1):
        for kind in REQUESTS:
            for name in apps:
                spent = await cpu_us(apps[name], kind, requests)
                if number:  # the first warms up
                    figures[name, kind].append(spent)
    print("| µs of CPU a request | get | create | refused |\n| --- | ---: | ---: | ---: |")
    for name in apps:
        print(f"| {name} | {' | '.join(cell(figures[name, kind], figures['ours', kind]) for kind in REQUESTS)} |")
    await refusals()
    print(f"\nlitestar {version('litestar')}, msgspec {version('msgspec')}, Python {sys.version.split()[0]}")


def cell(taken: list[float], ours: list[float]) -> str:
    """The median, and that of the differences within each round: what slows the machine slows both sides of one."""
    more = statistics.median(one - other for one, other in zip(taken, ours, strict=True))
    return f"{statistics.median(taken):.0f}" if taken is ours else f"{statistics.median(taken):.0f} ({more:+.0f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.framework", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=100)
    given = parser.parse_args()
    uvloop.run(main(rounds=given.rounds, requests=given.requests))
