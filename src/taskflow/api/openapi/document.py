"""The OpenAPI 3.1 document of the table of routes: all requests, and all possible answers.

Headers and statuses that routes have in common are given here, by the sort of route: read or write, signed in or not.
Further error statuses of a route are in its `refusals`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from taskflow import __version__
from taskflow.api.bodies import JSON, PATCH
from taskflow.api.openapi import operators
from taskflow.api.openapi.parameters import HEADERS, IN_PATH, Schema, parameters_of
from taskflow.api.openapi.schemas import event_stream_schema, schemas_of
from taskflow.api.preferences import MinimalBody
from taskflow.api.problems import MEDIA_TYPE, ProblemBody
from taskflow.api.route import BASE
from taskflow.api.routes.stream import MEDIA_TYPE as STREAM
from taskflow.commands.catalog import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.api.route import Route

_AUTH: Final = f"{BASE}/auth/"
_COMMANDS: Final = f"{BASE}/commands"
_RESOURCE_PARAMETERS: Final = frozenset(("project", "stream"))
"""Query parameters with ids of resources that the caller may not be allowed to see."""
_INFO: Final = (
    "Times are RFC 3339 in UTC with six digits, ids are UUIDs, errors are RFC 9457 problems. Unknown fields and unknown "
    "parameters are refused. A request may bring an `X-Request-ID` of 1 to 128 visible ASCII characters, which its answer "
    "and its events carry."
)
_DESCRIPTIONS: Final = {
    304: "As the ETag that was sent says",
    400: "The request is not valid: `errors` says where, everywhere at once",
    401: "No access token, or one that does not count",
    403: "A member whose role is too low, or a token without the scope",
    404: "There is none, or none that the caller may know of",
    408: "The request did not arrive in time",
    409: "A rule forbids it, which `code` names; or the first copy of the request still runs",
    410: "What the token goes on from is no more: start again without one",
    412: "The resource is at another version: `current_version`, and `events` since",
    413: "The body is too large",
    415: "The body is of another content type",
    431: "The request line or the header fields are too large",
    422: "The id of the command, or the key, stands for another request",
    429: "Too many requests, or too many of one caller's under way at once",
    500: "It is logged under the request's id",
    503: "A server that this needs is away, or a view is not as fresh as was asked for",
}

_VISIBLE: Final[Schema] = {"type": "string", "pattern": "^[!-~]{1,128}$"}
_ANSWER_HEADERS: Final[dict[str, Schema]] = {
    "ETag": {
        "description": "Begins with the version where the answer is one resource; opaque otherwise.",
        "schema": {"type": "string", "pattern": '^"[0-9a-f-]+"$'},
    },
    "Idempotency-Replayed": {
        "description": "The command was accepted before, and this is its answer.",
        "schema": {"type": "string", "const": "true"},
    },
    "Link": {
        "description": "The next page, `rel=next`.",
        "schema": {"type": "string", "pattern": '^<[!-~]+>; rel="next"$'},
    },
    "Location": {
        "description": "What was created.",
        "schema": {"type": "string", "pattern": f"^{BASE}/[!-~]+$"},
    },
    "Preference-Applied": {
        "description": "What was preferred, and is so.",
        "schema": {"type": "string", "const": "return=minimal"},
    },
    "Retry-After": {"description": "In seconds.", "schema": {"type": "integer", "minimum": 0}},
    "Taskflow-Position": {
        "description": "Of a write, its last event's; of a read, how fresh it is.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Taskflow-Stale": {
        "description": "Something in question could not be taken in yet.",
        "schema": {"type": "string", "const": "true"},
    },
    "WWW-Authenticate": {"schema": {"type": "string", "pattern": "^Bearer "}},
    "X-Request-ID": {"description": "The request's own, or one made for it.", "schema": _VISIBLE},
}
"""Header fields of answers, defined once and referenced."""


def openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    schema_of, schemas = schemas_of(routes, [MinimalBody, *operators.STRUCTS])
    always = {"X-Request-ID": _header(_always("X-Request-ID"))}
    paths: dict[str, dict[str, Any]] = operators.paths(schema_of, always)
    tags = list(dict.fromkeys(_tag(route) for route in routes))
    for route in sorted(routes, key=lambda route: tags.index(_tag(route))):
        path = IN_PATH.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "taskflow",
            "version": __version__,
            "description": _INFO,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": HEADERS,
            "headers": {
                **_ANSWER_HEADERS,
                **{_always(name): {"required": True} | header for name, header in _ANSWER_HEADERS.items()},
            },
            "responses": {_name(status): _problem(status, schema_of[ProblemBody]) for status in _DESCRIPTIONS},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route, schema_of: dict[type[Struct], Schema], schemas: dict[str, Schema]) -> Schema:
    operation: Schema = {
        "summary": route.summary,
        "operationId": "_".join([route.method.lower(), *_words(route.path)]),
        "tags": [_tag(route)],
        "parameters": parameters_of(route, _request_headers(route)),
        "responses": {str(route.status): _answer(route, schema_of)}
        | {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(_others(route))},
        "security": [{"bearer": []}] if route.signed_in else [],
    }
    # A DELETE whose command has no fields accepts a body, but the document does not mention it.
    if route.body is not None and (route.method != "DELETE" or route.body.__struct_fields__):
        schema = schemas[route.body.__name__]
        required = bool(schema.get("required")) or "anyOf" in schema
        forms = PATCH if route.method == "PATCH" else JSON
        content = {form: {"schema": schema_of[route.body]} for form in forms}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _tag(route: Route) -> str:
    """The tag of a route, by which the document groups routes: the first word of its path."""
    return _words(route.path.removeprefix(BASE))[0]


def _words(path: str) -> list[str]:
    return [word for word in IN_PATH.sub(r"\1", path).replace(".", "/").replace("-", "_").split("/") if word]


def _is_command(route: Route) -> bool:
    """Whether the route is that of one command, with headers for idempotency key and version; `/commands` has both in
    the body."""
    return route.body in {entry.body for entry in COMMANDS.values()}


def _reads(route: Route) -> bool:
    """Whether the route is a read, whose answer has a position."""
    return "min_position" in route.query


def _request_headers(route: Route) -> list[str]:
    if _is_command(route):
        return ["Idempotency-Key", "If-Match", "Prefer"]
    if route.method == "POST" and route.path.startswith(_COMMANDS):
        return ["Prefer"]
    if route.also and route.answer is None:
        return ["Last-Event-ID"]
    return ["If-None-Match"] if _reads(route) and not route.also else []


def _others(route: Route) -> set[int]:
    """The statuses that the route may answer in addition to its success."""
    if not route.path.startswith(BASE):
        return set(route.refusals)
    # Any request may have an invalid token or a body, or be one too many.
    statuses = {400, 401, 408, 413, 429, 431, 500, 503, *route.refusals}
    if route.signed_in:
        statuses.add(403)
    if "{" in route.path or _RESOURCE_PARAMETERS & set(route.query):
        statuses.add(404)
    if route.method != "GET":
        statuses.add(415)
        if not route.path.startswith(_AUTH):
            statuses |= {404, 409, 412, 422}
    elif _reads(route) and not (route.also and route.answer is None):
        statuses.add(304)
    return statuses


def _answer(route: Route, schema_of: dict[type[Struct], Schema]) -> Schema:
    content: Schema = {}
    if route.answer is not None:
        schema = schema_of[route.answer]
        if _is_command(route):
            schema = {"anyOf": [schema, schema_of[MinimalBody]]}
        content[JSON[0]] = {"schema": schema}
    for form in route.also:
        content[form] = {"schema": event_stream_schema() if form == STREAM else {"type": "string"}}
    answer: Schema = {"description": route.summary, "headers": _headers(route)}
    return answer | {"content": content} if content else answer


def _headers(route: Route) -> Schema:
    always, perhaps = ["X-Request-ID"], []
    if _is_command(route) or route.path == _COMMANDS:
        always += ["ETag", "Taskflow-Position"]
        perhaps += ["Idempotency-Replayed", "Preference-Applied"]
    elif route.path.startswith(_COMMANDS) and route.method == "POST":
        perhaps += ["Idempotency-Replayed", "Preference-Applied", "Taskflow-Position"]
    elif _reads(route):
        # A file is made while it is sent, and has no ETag.
        (perhaps if route.also else always).append("ETag")
        always.append("Taskflow-Position")
        perhaps += ["Link", "Taskflow-Stale"] if "cursor" in route.query else ["Taskflow-Stale"]
    elif route.path.startswith(_AUTH):
        perhaps.append("Taskflow-Position")
    if route.status == 201 and _is_command(route):  # noqa: PLR2004 - created
        always.append("Location")
    return {name: _header(_always(name)) for name in always} | {name: _header(name) for name in perhaps}


def _always(name: str) -> str:
    return f"{name}.always"


def _header(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}


def _name(status: int) -> str:
    return f"Status{status}"


def _problem(status: int, schema: Schema) -> Schema:
    """The response for an error status, a problem; for 304, a response without a body."""
    response: Schema = {
        "description": _DESCRIPTIONS[status],
        "headers": {"X-Request-ID": _header(_always("X-Request-ID"))},
    }
    match status:
        case 304:
            return response | {
                "headers": response["headers"]
                | {"ETag": _header(_always("ETag")), "Taskflow-Position": _header(_always("Taskflow-Position"))}
            }
        case 401:
            response["headers"]["WWW-Authenticate"] = _header(_always("WWW-Authenticate"))
        case 429:
            response["headers"]["Retry-After"] = _header(_always("Retry-After"))
        case 409 | 503:
            response["headers"]["Retry-After"] = _header("Retry-After")
        case _:
            pass
    return response | {"content": {MEDIA_TYPE: {"schema": schema}}}
