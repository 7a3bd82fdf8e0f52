"""One HTTP/1.1 connection: uvicorn's protocol, with limits in bytes, number and time on everything that a client sends.

    bytes ─▶ pieces, counted ─▶ httptools ─▶ one request at a time ─▶ the application
                 └ too much, too slow, not HTTP ─▶ the application answers with a problem, and the connection is closed

Deadlines are attributes that `check` compares, a few times per second for all connections, so that no request needs a
timer.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Iterable
from heapq import nsmallest
from math import inf
from typing import TYPE_CHECKING, Any, Final

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from taskflow.errors import HeadersTooLarge, NoSuchPath, PayloadTooLarge, RequestTimeout, Unavailable, Unparsable

if TYPE_CHECKING:
    from taskflow.errors import TaskflowError
    from taskflow.settings import Settings

HEAD_PIECE_BYTES: Final = 4_096
"""Bytes that the parser gets at once within a head. Larger pieces may contain many small requests; with smaller ones,
the parser copies an unfinished field more often."""
CHUNKED_PIECE_BYTES: Final = 16_384
FRAMING_BYTES_MAX: Final = 262_144
"""Sizes, extensions and trailers of one chunked body."""
LINGER_S: Final = 10.0
"""How long the rest of a request that was refused is read and dropped, so that its sender reads the answer."""
LINGER_BYTES_MAX: Final = 67_108_864
ROOM_SHARE: Final = 100
"""The share of waiting connections that is closed when there are too many: one in 100, as searching them takes time."""

_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_VERSIONS: Final = frozenset(("1.0", "1.1"))
_CONTROLS: Final = bytes((*range(0x09), *range(0x0A, 0x20), 0x7F))
"""The bytes that no header field may contain: all control characters but the tab."""
_NO_LINGERING: Final = struct.pack("ii", 1, 0)


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration, with the settings that limit a connection."""

    def __init__(self, app: Any, settings: Settings, *, connections_max: int, **more: Any) -> None:
        super().__init__(app, http=BoundedProtocol, **more)
        self.settings = settings
        self.connections_max = connections_max


class _Cycle(RequestResponseCycle):
    """A request and its answer. A fault in `state` ends the body, and the application raises that fault."""

    async def receive(self) -> Any:
        state: dict[str, Any] = self.scope["state"]
        if "fault" not in state:
            message = await super().receive()
        return {"type": "http.disconnect"} if "fault" in state else message

    async def send(self, message: Any) -> None:
        """As uvicorn's, which looks at each header field of an answer alone. Here the whole head of an answer with a
        length is made and checked at once. Names of fields are in lower case. Raises RuntimeError for a control
        character in a field."""
        length = None
        if message["type"] == "http.response.start" and not (self.response_started or self.disconnected):
            fields = dict(message["headers"])
            length = fields.get(b"content-length")
        if length is None or self.flow.write_paused:
            await super().send(message)
            return
        self.response_started, self.waiting_for_100_continue = True, False
        self.expected_content_length, self.chunked_encoding = int(length), False
        lines = [b"%b: %b\r\n" % field for field in (*self.default_headers, *message["headers"])]
        if fields.get(b"connection") == b"close":
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if len(head) - len(head.translate(None, _CONTROLS)) != len(lines) * len(b"\r\n"):
            raise RuntimeError("expected no control character in a header field")
        self.transport.write(b"%b%b\r\n" % (STATUS_LINE[message["status"]], head))


class _Outgoing:
    """The connection's transport for a cycle; closing it gives the client time to read the answer."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, protocol: BoundedProtocol) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = protocol.close_gently


class BoundedProtocol(HttpToolsProtocol):
    config: BoundedConfig

    def __init__(self, config: BoundedConfig, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = config.settings
        self._outgoing: Any = None
        self._under_way: Any = None
        """The cycle that the application is answering; `cycle` is the newest one, which may be queued."""
        self._in_head = False
        self._head_bytes = 0
        self._in_body = False
        self._body_left: int | None = None
        """Bytes of the body that are still to come, if its length was given."""
        self._body_bytes = 0
        self._framing_bytes = 0
        self._refusal: TaskflowError | None = None
        """The fault of the head that is being parsed."""
        self._unread = b""
        """Bytes received after a request that is queued."""
        self._is_ending = False
        """Whether everything that still arrives is dropped."""
        self._is_half_closed = False
        self._dropped_bytes = 0
        self._since = 0.0
        self._deadline = inf
        self._stall_deadline = inf

    # --- the connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._outgoing = _Outgoing(transport, self)
        self._since = self.loop.time()
        self._deadline = self._since + self._settings.request_head_timeout_ms / 1000
        if len(self.connections) > self.config.connections_max:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._under_way is not None and not self._under_way.response_complete:
            self._under_way.disconnected = True
            self._under_way.message_event.set()
        super().connection_lost(exc)
        self._unread = b""
        self.pipeline.clear()
        self._deadline = self._stall_deadline = inf

    def eof_received(self) -> Any:
        """Still answers a client that closes its side after its request."""
        if self._is_ending or not (self._is_busy or self._in_head):
            return None
        if self._is_busy and self.cycle.response_started and not self.pipeline:
            return None  # it is unknown whether the client still reads
        self._is_half_closed = True
        if self._in_head or self._in_body:
            self.refuse(Unparsable("the connection ended within a request"))
        return True

    @property
    def waiting_since(self) -> float | None:
        """The time since which no request is running; None while one is."""
        return None if self._is_busy or self._in_body else self._since

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
        """Closes the connections that have been idle for longest; if none is idle, refuses this one."""
        others: list[Any] = [one for one in self.connections if one is not self]
        waiting = [(since, id(one), one) for one in others if (since := one.waiting_since) is not None]
        for _, _, one in nsmallest(1 + len(waiting) // ROOM_SHARE, waiting):
            self.connections.discard(one)
            one.transport.abort()
        if not waiting:
            self.refuse(Unavailable("this process has as many connections as it may; try again shortly"))

    def check(self, now: float) -> None:
        """Ends the connection or its request if a deadline has passed."""
        if self._stall_deadline <= now:
            self._reset()
        elif self.transport.is_closing():
            if self._stall_deadline == inf:
                # The client may never read the rest of what is to be written.
                self._stall_deadline = now + self._settings.response_stall_timeout_ms / 1000
        elif self._deadline <= now:
            self._deadline = inf
            if self._is_ending:
                self._reset()
            elif self._in_head:
                bound_ms = self._settings.request_head_timeout_ms
                self.refuse(RequestTimeout(f"expected the whole of a request's head within {bound_ms} ms"))
            elif self._in_body:
                floor = self._settings.request_body_bytes_per_s_min
                self.refuse(RequestTimeout(f"expected a body at {floor} bytes a second or more"))
            elif self.transport.get_write_buffer_size():
                self._reset()
            else:
                self.transport.close()

    def _reset(self) -> None:
        """Resets the connection, so that the kernel drops unsent data: it would otherwise keep megabytes for a client
        that hardly reads, without a time limit."""
        connected: socket.socket | None = self.transport.get_extra_info("socket")
        if connected is not None and connected.fileno() >= 0:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        settings = self._settings
        seconds = settings.response_stall_timeout_ms / 1000
        seconds += self.transport.get_write_buffer_size() / settings.response_bytes_per_s_min
        self._stall_deadline = self.loop.time() + seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall_deadline = inf

    def close_gently(self) -> None:
        """Closes the connection after everything was written. If the client may still send, its bytes are read and
        dropped first: otherwise the kernel would reset the connection before the client has read the answer."""
        if self.transport.is_closing():
            return
        if not (self._in_head or self._in_body or self._unread or self._is_ending) or self._is_half_closed:
            self.transport.close()
            return
        self._is_ending = True
        self._unread = b""
        self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.time() + LINGER_S

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > LINGER_BYTES_MAX:
                self.transport.abort()
        elif self._unread or self.pipeline:
            self._unread += data
            self.flow.pause_reading()
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self._is_ending:
            piece = data[at : at + self._piece_bytes()]
            at += len(piece)
            in_chunks, body_bytes = self._in_body and self._body_left is None, self._body_bytes
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                # No upgrade is supported: what follows is the next request.
                at += upgrade.args[0] - len(piece)
            except httptools.HttpParserError as error:
                self.refuse(self._refusal or Unparsable(f"expected a request as in RFC 9112: {error}"))
                return
            if self._in_head and self._refusal is None:
                self._head_bytes += len(piece)
                self._refusal = self._headers_fault(self._head_bytes)
            elif in_chunks:
                self._framing_bytes += len(piece) - (self._body_bytes - body_bytes)
                if self._framing_bytes > FRAMING_BYTES_MAX:
                    self.refuse(PayloadTooLarge(f"expected at most {FRAMING_BYTES_MAX} bytes between a body's chunks"))
            if self._refusal is not None:
                self.refuse(self._refusal)
            elif self.pipeline:
                self._unread = data[at:]
                return

    def _piece_bytes(self) -> int:
        if not self._in_body:
            return HEAD_PIECE_BYTES
        return CHUNKED_PIECE_BYTES if self._body_left is None else max(self._body_left, 1)

    def _headers_fault(self, head_bytes: int) -> HeadersTooLarge | None:
        """The error for the part of the head that was read so far, if it exceeds a limit."""
        settings = self._settings
        if len(self.url) > settings.request_line_bytes_max:
            return HeadersTooLarge(f"expected a request line of at most {settings.request_line_bytes_max} bytes")
        if len(self.headers) > settings.request_fields_max:
            return HeadersTooLarge(f"expected at most {settings.request_fields_max} header fields")
        if head_bytes > settings.request_head_bytes_max:
            return HeadersTooLarge(f"expected a head of at most {settings.request_head_bytes_max} bytes")
        return None

    # --- what the parser finds

    def on_message_begin(self) -> None:
        if self._refusal is not None:
            return
        super().on_message_begin()
        self.scope["state"]["abort"] = self.transport.abort
        self._in_head, self._head_bytes = True, 0
        self._deadline = self.loop.time() + self._settings.request_head_timeout_ms / 1000

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are ignored
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._refusal is not None:
            return
        fields, method, version = dict(self.headers), self.parser.get_method(), self.parser.get_http_version()
        self._refusal = self._head_fault(fields, method, version)
        if self._refusal is not None:
            return
        self._in_head = False
        self._in_body, self._body_bytes, self._framing_bytes = True, 0, 0
        length = fields.get(b"content-length")
        self._body_left = int(length) if length is not None else None if b"transfer-encoding" in fields else 0
        self._deadline = self.loop.time() + self._settings.request_body_timeout_ms / 1000
        self.scope["method"] = method.decode("ascii")
        self.scope["http_version"] = version
        self._target()
        self._take(
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            expects=fields.get(b"expect", b"").lower() == b"100-continue",
        )

    def _head_fault(self, fields: dict[bytes, bytes], method: bytes, version: str) -> TaskflowError | None:
        head_bytes = self._head_bytes
        if head_bytes + HEAD_PIECE_BYTES > self._settings.request_head_bytes_max:
            head_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        excess = self._headers_fault(head_bytes)
        if excess is not None:
            return excess
        if version not in _VERSIONS:
            return Unparsable("expected HTTP/1.1 or HTTP/1.0")
        if version == "1.1" and b"host" not in fields:
            return Unparsable("expected the header field Host")
        is_chunked = b"transfer-encoding" in fields
        if is_chunked and version == "1.0":
            return Unparsable("expected no Transfer-Encoding in HTTP/1.0")
        if is_chunked and [value.lower() for name, value in self.headers if name == b"transfer-encoding"] != [
            b"chunked"
        ]:
            # The parser uses the last of several; a proxy that uses another would see different requests.
            return Unparsable("expected no transfer coding but chunked, once")
        if method == b"CONNECT":
            return NoSuchPath("nothing is tunnelled here")
        if self.parser.should_upgrade() and (is_chunked or fields.get(b"content-length", b"0").strip(b"0")):
            return Unparsable("expected no body beside Upgrade")
        return None

    def _target(self) -> None:
        """Sets path and query. In an absolute URL, the host is ignored."""
        target, found = self.url, _ABSOLUTE.match(self.url)
        if found is not None:
            target = target[found.end() :]
            if not target.startswith(b"/"):
                target = b"/" + target
        path, _, self.scope["query_string"] = target.partition(b"?")
        self.scope["raw_path"] = path
        self.scope["path"] = path.decode("latin-1")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._under_way = cycle
        super()._start_asgi_task(cycle, app)

    def _take(self, *, keep_alive: bool, expects: bool) -> None:
        """Starts the request, or queues it until those before it are answered."""
        before = self.cycle
        self.cycle = _Cycle(
            scope=self.scope,
            transport=self._outgoing,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        if self._refusal is not None:
            return
        self._body_bytes += len(body)
        if self._body_left is not None:
            self._body_left -= len(body)
        self._deadline += len(body) / self._settings.request_body_bytes_per_s_min
        if self.cycle.response_complete:
            if self._body_bytes > self._settings.body_drain_bytes_max:
                self.close_gently()
            return
        self.cycle.body += body
        if len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._refusal is not None:
            return
        self._in_body = False
        self._deadline = inf
        if self.cycle.response_complete:
            self._wait()
        else:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    # --- what is answered

    def refuse(self, error: TaskflowError) -> None:
        """Makes the application answer with this error, unless it has answered already, and reads no more requests."""
        self._is_ending = True
        self._unread = b""
        if self._in_body:
            if self.cycle.response_complete:
                self.close_gently()
                return
            # The rest of an answer that has begun is still sent.
            self.cycle.keep_alive = False
            self.cycle.scope["state"]["fault"] = error
            self.cycle.message_event.set()
            return
        if not self._in_head:
            super().on_message_begin()
            self.scope["state"]["abort"] = self.transport.abort
        self.scope["state"]["fault"] = error
        self.scope["method"] = self.parser.get_method().decode("ascii") if self.url else "NONE"
        self._target()
        self._take(keep_alive=False, expects=False)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._is_half_closed:
            self.transport.close()
        elif self._unread:
            data, self._unread = self._unread, b""
            self.flow.resume_reading()
            self._feed(data)
        else:
            self.flow.resume_reading()
            if not (self._in_head or self._in_body or self._is_ending):
                self._wait()

    def _wait(self) -> None:
        """Waits for the next request, until the keep-alive timeout."""
        self._since = self.loop.time()
        self._deadline = self._since + self._settings.keep_alive_timeout_ms / 1000


def check_all(connections: Iterable[Any], now: float) -> None:
    for connection in list(connections):
        connection.check(now)
