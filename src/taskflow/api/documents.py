"""`/openapi.json`, made from the same table and Structs that serve, and `/docs`, the same to look at."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response, get
from msgspec import Struct

from taskflow import __version__
from taskflow.api.reads import LIMIT, LIMIT_MAX, WAIT_MS, WAIT_MS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.handlers import HTTPRouteHandler

    from taskflow.api.routes import Route

_PARAMETER: Final = re.compile(r"\{(\w+):(?:str|path)\}")
_VERSION: Final[dict[str, Any]] = {"type": "integer", "minimum": 1}
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_INTEGERS: Final = {
    "after": {"type": "integer", "minimum": 0, "default": 0},
    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
    "min_position": {"type": "integer", "minimum": 0},
    "wait_ms": {"type": "integer", "minimum": 0, "maximum": WAIT_MS_MAX, "default": WAIT_MS},
}
_OTHERS: Final[dict[str, dict[str, Any]]] = {
    "version": _VERSION,
    "at": _TIME,
    "clock": {"type": "string", "enum": ["occurred", "recorded"], "default": "occurred"},
}
_REPEATABLE: Final = frozenset(
    ("project", "status", "category", "assignee", "label", "priority", "parent", "type", "stream", "actor")
)
_PAGE_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


class ProblemBody(Struct, frozen=True, kw_only=True):
    """RFC 9457. `errors` where a request is not valid, `code` where a rule forbids it, `current_version`
    and `events` where the resource has changed, `command_id` where one command refuses a whole batch."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[dict[str, str]] | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET
    current_version: int | msgspec.UnsetType = msgspec.UNSET
    events: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    command_id: str | msgspec.UnsetType = msgspec.UNSET


def openapi(routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    named = {struct for route in routes for struct in (route.body, route.answer) if struct is not None}
    structs = sorted(named | {ProblemBody}, key=lambda struct: struct.__name__)
    schemas, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(structs, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "taskflow", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route, schema_of: dict[type[Struct], Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _in_path(name)}
        for name in _PARAMETER.findall(route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": _query(name, route)} for name in route.query
    ]
    answer: dict[str, Any] = {"description": route.summary}
    if route.answer is not None:
        answer["content"] = {"application/json": {"schema": schema_of[route.answer]}}
    for form in route.also:
        answer.setdefault("content", {})[form] = {"schema": {"type": "string"}}
    problem = {"application/problem+json": {"schema": schema_of[ProblemBody]}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", _PARAMETER.sub(r"\1", route.path))]),
        "parameters": parameters,
        "responses": {str(route.status): answer, "default": {"description": "A problem", "content": problem}},
    }
    if route.body is not None:
        required = any(field.required for field in msgspec.structs.fields(route.body))
        content = {"application/json": {"schema": schema_of[route.body]}}
        operation["requestBody"] = {"required": required, "content": content}
    if route.signed_in:
        operation["security"] = [{"bearer": []}]
    return operation


def _in_path(name: str) -> dict[str, Any]:
    return {"type": "string", "format": "uuid"} if name.endswith("_id") else {"type": "string"}


def _query(name: str, route: Route) -> dict[str, Any]:
    if name in _INTEGERS:
        return _INTEGERS[name]
    if name in _OTHERS:
        return _OTHERS[name]
    if route.path.endswith("/diff"):
        return _VERSION
    return {"type": "array", "items": {"type": "string"}} if name in _REPEATABLE else {"type": "string"}


def page(document: dict[str, Any]) -> str:
    """The document as one page, without a script and without anything from elsewhere."""
    rows = "".join(
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
        f"</summary><pre>{escape(_pretty(operation))}</pre></details>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    schemas = "".join(
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<pre>{escape(_pretty(schema))}</pre></details>"
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        "<title>taskflow API</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;"
        "padding:0 1rem;color:#222}summary{cursor:pointer;padding:.3rem 0}summary b{display:inline-block;"
        "min-width:4.5rem}pre{background:#f5f5f5;padding:1rem;overflow:auto;font-size:.85rem}"
        "@media (prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#242424}a{color:#8bf}}"
        f"</style><h1>taskflow {escape(document['info']['version'])}</h1>"
        "<p>The same as <a href='/openapi.json'>openapi.json</a>. Errors are <code>application/problem+json</code>."
        f"</p><h2>Routes</h2>{rows}<h2>Schemas</h2>{schemas}</html>"
    )


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def handlers(routes: Sequence[Route]) -> list[HTTPRouteHandler]:
    document = openapi(routes)
    encoded, html = msgspec.json.encode(document), page(document).encode()

    @get("/openapi.json")
    async def openapi_json() -> Response[bytes]:
        return Response(encoded, media_type="application/json")

    @get("/docs")
    async def docs() -> Response[bytes]:
        return Response(html, media_type="text/html", headers={"Content-Security-Policy": _PAGE_CSP})

    return [openapi_json, docs]
