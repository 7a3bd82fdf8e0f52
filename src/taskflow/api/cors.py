"""CORS headers (the Fetch standard) for pages of the configured origins, on every answer, including refused
requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_AGE_S: Final = 600
"""How long a browser may cache the answer to a preflight request."""
_VARY: Final = (b"vary", b"Origin")
_REQUEST_HEADERS: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-ID",
)
_ANSWER_HEADERS: Final = (
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Taskflow-Position",
    "Taskflow-Stale",
    "X-Request-ID",
)
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", ", ".join(_REQUEST_HEADERS).encode()),
    (b"access-control-max-age", str(MAX_AGE_S).encode()),
)
_READABLE: Final = (b"access-control-expose-headers", ", ".join(_ANSWER_HEADERS).encode())


class Cors:
    """Gives the headers of an answer for an `Origin`; none for an origin that is not configured."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)

    def headers(self, method: str, request: Mapping[bytes, bytes]) -> Sequence[tuple[bytes, bytes]]:
        if not self._origins:
            return ()
        origin = request.get(b"origin")
        if origin not in self._origins:
            return (_VARY,)
        if method == "OPTIONS" and b"access-control-request-method" in request:
            return (_VARY, (b"access-control-allow-origin", origin), *_PREFLIGHT)
        return (_VARY, (b"access-control-allow-origin", origin), _READABLE)
