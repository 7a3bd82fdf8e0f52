"""One HTTP/1.1 connection: uvicorn's protocol, with bounds in bytes, number and time on whatever a client sends.

    bytes ─▶ pieces, counted ─▶ httptools ─▶ one request at a time ─▶ the application
                 └ too much, too slow, no HTTP ─▶ the application answers with that problem, and the connection ends

Deadlines are attributes that `check` compares, a few times a second for all connections: no timer a request.
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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from taskflow.errors import HeadersTooLarge, NoSuchPath, PayloadTooLarge, RequestTimeout, Unavailable, Unparsable

if TYPE_CHECKING:
    from taskflow.errors import TaskflowError
    from taskflow.settings import Settings

HEAD_PIECE_BYTES: Final = 4_096
"""Fed to the parser at a time within a head: the parser copies what it has of a field with each piece, and many
small requests may be in one."""
CHUNKED_PIECE_BYTES: Final = 16_384
FRAMING_BYTES_MAX: Final = 262_144
"""Sizes, extensions and trailers of one chunked body."""
LINGER_S: Final = 10.0
"""How long the rest of a request that was refused is read and dropped, so that its sender reads the answer."""
LINGER_BYTES_MAX: Final = 67_108_864
ROOM_SHARE: Final = 100
"""One in so many of the waiting connections ends where there are too many: looking for them is not free."""

_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_VERSIONS: Final = frozenset(("1.0", "1.1"))
_NO_LINGERING: Final = struct.pack("ii", 1, 0)


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration, and the settings that bound a connection."""

    def __init__(self, app: Any, settings: Settings, *, connections_max: int, **more: Any) -> None:
        super().__init__(app, http=BoundedProtocol, **more)
        self.settings = settings
        self.connections_max = connections_max


class _Cycle(RequestResponseCycle):
    """A request and its answer. A fault in `state` ends the body: the application raises it."""

    async def receive(self) -> Any:
        state: dict[str, Any] = self.scope["state"]
        if "fault" not in state:
            message = await super().receive()
        return {"type": "http.disconnect"} if "fault" in state else message


class _Outgoing:
    """The connection's transport as a cycle knows it: whoever closes it leaves the client time to read."""

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
        """The cycle that the application answers; `cycle` is the newest, which may wait behind it."""
        self._in_head = False
        self._head_bytes = 0
        self._in_body = False
        self._body_left: int | None = None
        """Bytes that the body still has, where its length was said."""
        self._body_bytes = 0
        self._framing_bytes = 0
        self._refusal: TaskflowError | None = None
        """What is wrong with the head that the parser is in."""
        self._unread = b""
        """Behind a request that waits for its turn."""
        self._is_ending = False
        """Whether whatever still comes is dropped."""
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
        """A client that has sent its request and then closes its side is answered."""
        if self._is_ending or not (self._is_busy or self._in_head):
            return None
        if self._is_busy and self.cycle.response_started and not self.pipeline:
            return None  # nobody can tell whether it still reads
        self._is_half_closed = True
        if self._in_head or self._in_body:
            self.refuse(Unparsable("the connection ended within a request"))
        return True

    @property
    def waiting_since(self) -> float | None:
        """Since when no request is under way; None while one is."""
        return None if self._is_busy or self._in_body else self._since

    @property
    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
        """Ends those that have waited longest without a request under way; where there are none, this one."""
        others: list[Any] = [one for one in self.connections if one is not self]
        waiting = [(since, id(one), one) for one in others if (since := one.waiting_since) is not None]
        for _, _, one in nsmallest(1 + len(waiting) // ROOM_SHARE, waiting):
            self.connections.discard(one)
            one.transport.abort()
        if not waiting:
            self.refuse(Unavailable("this process has as many connections as it may; try again shortly"))

    def check(self, now: float) -> None:
        """Ends what has taken too long."""
        if self._stall_deadline <= now:
            self._reset()
        elif self.transport.is_closing():
            if self._stall_deadline == inf:
                # What is still to be written may never be read.
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
        """Ends the connection, and has the kernel drop what it has not sent: it would keep megabytes of it for a client
        that reads next to nothing, for as long as that goes on."""
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
        """Ends the connection after what was written. While more may arrive it is read and dropped: a close would
        make the kernel tell the client of an error before it has read the answer."""
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
                # Nothing is upgraded to: what follows is the next request.
                at += upgrade.args[0] - len(piece)
            except httptools.HttpParserError as error:
                self.refuse(self._refusal or Unparsable(f"expected a request as in RFC 9112: {error}"))
                return
            if self._in_head and self._refusal is None:
                self._head_bytes += len(piece)
                self._refusal = self._excess(self._head_bytes)
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

    def _excess(self, head_bytes: int) -> HeadersTooLarge | None:
        """What is too much of the head, as far as it was read."""
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
        if self._in_head:  # else it is a trailer, which says nothing
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
        excess = self._excess(head_bytes)
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
            # The parser reads the last of several; a proxy that reads another would see other requests than this process.
            return Unparsable("expected no transfer coding but chunked, once")
        if method == b"CONNECT":
            return NoSuchPath("nothing is tunnelled here")
        if self.parser.should_upgrade() and (is_chunked or fields.get(b"content-length", b"0").strip(b"0")):
            return Unparsable("expected no body beside Upgrade")
        return None

    def _target(self) -> None:
        """Of an absolute form only path and query count: whom it names does not matter here."""
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
        """The request is answered once those before it are."""
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
        """Has the application answer with this, where it has not answered yet, and takes nothing more."""
        self._is_ending = True
        self._unread = b""
        if self._in_body:
            if self.cycle.response_complete:
                self.close_gently()
                return
            # Of an answer that has begun the rest is sent.
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
        """For the next request, or the end."""
        self._since = self.loop.time()
        self._deadline = self._since + self._settings.keep_alive_timeout_ms / 1000


def check_all(connections: Iterable[Any], now: float) -> None:
    for connection in list(connections):
        connection.check(now)
