"""The routes `/openapi.json`, with the OpenAPI document, and `/docs`, with the document as a page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response, get

from taskflow.api.openapi.document import openapi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.handlers import HTTPRouteHandler

    from taskflow.api.route import Route

_PAGE_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


def page(document: dict[str, Any]) -> str:
    """The document as an HTML page, without scripts or external resources."""
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
