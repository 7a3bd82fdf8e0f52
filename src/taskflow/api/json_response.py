"""An answer whose JSON was encoded before: sent as it is.

The framework's own response merges headers, cookies and encoders of five layers for each answer, a twelfth of what a
create costs the process. Here there is nothing to merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Response
from litestar.response.base import ASGIResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import Receive, Scope, Send

_CONTENT_TYPE = (b"content-type", b"application/json")


class JsonResponse(Response[bytes]):
    """A status, header fields and the JSON; of no JSON, as of a 304, nothing is said."""

    def __init__(self, body: bytes, *, status_code: int = 200, headers: Mapping[str, str]) -> None:
        self.content = body
        self.status_code = status_code
        self.headers = dict(headers)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """As the framework asks for it."""
        return _Encoded(self.status_code or 200, self.headers, self.content)


class _Encoded(ASGIResponse):
    __slots__ = ("_messages",)

    def __init__(self, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        if body:
            fields += (_CONTENT_TYPE, (b"content-length", b"%d" % len(body)))
        self._messages: tuple[Any, Any] = (
            {"type": "http.response.start", "status": status_code, "headers": fields},
            {"type": "http.response.body", "body": body, "more_body": False},
        )

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        for message in self._messages:
            await send(message)
