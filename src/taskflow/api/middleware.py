"""What holds for every request and every answer, whatever route it is for, and where there is none.

request id and trace ─▶ the canonical path ─▶ the gate ─▶ the whole body, bounded ─▶ the application
answer: security headers, CORS, `X-Request-ID`, a line in the log, a count in the metrics; an error: a problem
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from typing import TYPE_CHECKING, Any, Final

from litestar.enums import ScopeType

from taskflow.api import problems
from taskflow.api.authentication import address_of, admit, header
from taskflow.api.cors import Cors
from taskflow.api.paths import canonical_path
from taskflow.errors import Fault, Malformed, NoSuchPath, PayloadTooLarge, Unavailable
from taskflow.ids import new_id_text
from taskflow.log_fields import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import ASGIApp, Message, Receive, Scope, Send

    from taskflow.api.context import Context
    from taskflow.api.metrics import Metrics

log = logging.getLogger(__name__)

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TRACE: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")

SECURITY: Final = (
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"accelerometer=(), camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_CSP: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE: Final = (b"cache-control", b"no-store")
_CLOSE: Final = (b"connection", b"close")
_ONCE: Final = frozenset(
    (b"authorization", b"content-type", b"host", b"idempotency-key", b"if-match", b"last-event-id", b"origin")
)
"""Header fields of which a request may have one: two readers could each take another of several."""
INSTANCE_MAX: Final = 1_000
"""Characters of a path that a problem repeats."""


class Middleware:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, context: Context, metrics: Metrics) -> None:
        self._app = app
        self._context = context
        self._metrics = metrics
        self._cors = Cors(context.settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        await _Exchange(self._context, self._metrics, self._cors, scope, send).run(self._app, receive)


class _Exchange:
    """One request and its answer."""

    def __init__(self, context: Context, metrics: Metrics, cors: Cors, scope: Any, send: Send) -> None:
        self._context = context
        self._metrics = metrics
        self._cors = cors
        self._scope: Any = dict(scope)
        self._send = send
        # The first line of a field counts, where several are allowed.
        self._headers: Mapping[bytes, bytes] = dict(reversed(scope["headers"]))
        path = canonical_path(scope["raw_path"])
        self._is_canonical = path is not None
        # What is not canonical is only repeated in the problem, and never judged or routed.
        self._path = self._scope["path"] = scope["raw_path"].decode("latin-1") if path is None else path
        self._method: str = scope["method"]
        self._under_api = path is not None and path.startswith("/api/")
        given = header(self._headers, b"x-request-id")
        self._request_id = given if given is not None and _REQUEST_ID.fullmatch(given) else new_id_text()
        trace = _TRACE.fullmatch(header(self._headers, b"traceparent") or "")
        self._trace_id = trace[1] if trace else _hex(128)
        self._trace_flags = trace[2] if trace else "01"
        self._extra: dict[str, str] = {}
        """Header fields that the gate adds to the answer."""
        self._is_expecting = b"expect" in self._headers
        """Whether the client may wait to be asked for the body: of one that it does not send nothing else is known."""
        self._is_last = False
        """Whether the answer is the connection's last: what is still to come of the request is not read."""
        self._status = 0
        self._started = time.perf_counter()

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        settings = self._context.settings
        peer = self._scope["client"][0] if self._scope.get("client") else ""
        state = self._scope.setdefault("state", {})
        state["request_id"] = self._request_id
        state["headers"] = self._headers
        state["address"] = address_of(
            peer, self._forwarded_for() if settings.trusted_proxies else None, trusted_proxies=settings.trusted_proxies
        )
        state["principal"] = None
        state["limit_headers"] = self._extra
        state["held"] = None
        LOG_FIELDS.set({"request_id": self._request_id, "trace_id": self._trace_id})
        if self._method == "HEAD":
            # The server sees in its own scope what was asked, and leaves the body out.
            self._scope["method"] = "GET"
            state["head"] = True
        try:
            self._judge_head()
            state["principal"] = await admit(
                self._context,
                under_api=self._under_api and self._method != "OPTIONS",
                address=state["address"],
                authorization=header(self._headers, b"authorization"),
                headers=self._extra,
                path=self._path,
            )
            body = await self._body(receive)
            if body is None:
                return
            state["body"] = body
            await app(self._scope, _once(body, receive), self._answer)
        except asyncio.CancelledError:
            # The server stops, and this took longer than it waits: another process will answer.
            if self._status:
                raise
            await self.problem(Unavailable("this process is stopping; send the request again"))
        except Exception as error:
            if self._status:
                raise
            await self.problem(error)
        finally:
            if state["held"] is not None:
                state["held"].close()
            self._note(state["principal"])

    def _judge_head(self) -> None:
        """Raises what is wrong with the request whoever sent it."""
        fault: Exception | None = self._scope["state"].get("fault")
        if fault is not None:
            self._is_last = True
            raise fault
        if not self._is_canonical:
            raise NoSuchPath(
                "no route has this path: expected a path without empty segments, dot segments and a trailing slash"
            )
        if len(self._headers) < len(self._scope["headers"]):
            names = [name for name, _ in self._scope["headers"]]
            repeated = sorted(name.decode("latin-1") for name in _ONCE if names.count(name) > 1)
            if repeated:
                raise Malformed([Fault(name, "repeated", "expected this header field once") for name in repeated])

    def _forwarded_for(self) -> str | None:
        """The field's lines as one: each proxy may add a line of its own."""
        lines = [value.decode("latin-1") for name, value in self._scope["headers"] if name == b"x-forwarded-for"]
        return ",".join(lines) if lines else None

    async def problem(self, error: Exception) -> None:
        problem = problems.problem_of(error)
        body = problem.body(self._path[:INSTANCE_MAX])
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        headers += [(b"content-type", problems.MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        await self._answer({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self._answer({"type": "http.response.body", "body": body, "more_body": False})

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None where the client left. Raises PayloadTooLarge, what was sent having been
        read up to a bound, so that a client that is still sending gets to read the answer."""
        settings = self._context.settings
        parts: list[bytes] = []
        # A length that is too much is not waited for, nor is a client asked to go on with it.
        length = int(self._headers.get(b"content-length", b"0"))
        too_much = settings.body_bytes_max if self._is_expecting else settings.body_drain_bytes_max
        if length > too_much:
            self._is_last = True
            raise PayloadTooLarge(f"expected a body of at most {settings.body_bytes_max} bytes, found {length}")
        size, self._is_expecting = 0, False
        while True:
            message: Any = await receive()
            if message["type"] == "http.disconnect":
                fault: Exception | None = self._scope["state"].get("fault")
                if fault is not None:
                    self._is_last = True
                    raise fault
                return None
            part: bytes = message.get("body", b"")
            size += len(part)
            if size <= settings.body_bytes_max:
                parts.append(part)
            if not message.get("more_body", False):
                break
            if size > settings.body_drain_bytes_max:
                self._is_last = True
                break
        if size > settings.body_bytes_max:
            raise PayloadTooLarge(f"expected a body of at most {settings.body_bytes_max} bytes")
        return b"".join(parts)

    async def _answer(self, message: Message) -> None:
        """Sends a part of the answer, its beginning with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [*message["headers"], *self._every(dict(message["headers"]))]
        await self._send(message)

    def _every(self, present: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"x-request-id", self._request_id.encode("latin-1")),
            (b"traceparent", f"00-{self._trace_id}-{_hex(64)}-{self._trace_flags}".encode()),
            *SECURITY,
            *self._cors.headers(self._method, self._headers),
        ]
        if self._is_last or self._is_expecting:
            headers.append(_CLOSE)
        if b"content-security-policy" not in present:
            headers.append(_CSP)
        if (self._under_api or not self._is_canonical) and b"cache-control" not in present:
            headers.append(_NO_STORE)
        headers += [(name.lower().encode(), value.encode()) for name, value in self._extra.items()]
        return headers

    def _note(self, principal: Any) -> None:
        seconds = time.perf_counter() - self._started
        # The route's template, never the path: a label for each id would be one for each task.
        template = str(self._scope.get("path_template") or "none")
        self._metrics.answered(self._method, template, self._status, seconds)
        if (self._under_api or not self._is_canonical) and log.isEnabledFor(logging.INFO):
            # As `log.info` does it, but for looking up the line in the source that says it.
            record = logging.LogRecord(
                log.name, logging.INFO, __file__, 0, "%s %s", (self._method, template), exc_info=None
            )
            vars(record).update(
                status=self._status,
                ms=round(seconds * 1000, 2),
                address=self._scope["state"]["address"],
                user=None if principal is None else str(principal.user_id),
            )
            log.handle(record)


def _hex(bits: int) -> str:
    """A trace's or a span's id: told apart from others, and no secret. Never all zeros."""
    return f"{random.getrandbits(bits) | 1:0{bits // 4}x}"


def _once(body: bytes, receive: Receive) -> Receive:
    """Hands out the body that was read already; after that, what the connection says."""
    parts: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_part() -> Any:
        return parts.pop() if parts else await receive()

    return next_part
