"""Flows that read an answer in pieces and resume it after a break."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import httpx
import msgspec
from msgspec.structs import replace

from taskflow.client.answers import Event
from taskflow.client.call import Call
from taskflow.client.effects import Emit, EmittingFlow, Flow, Pause, Piece
from taskflow.client.errors import Unreachable, Unreadable
from taskflow.client.session import Session
from taskflow.client.sse import Lines, Messages

T = TypeVar("T")

NDJSON: Final = "application/x-ndjson"
EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
CSV: Final = "text/csv"


class BrokenStreams:
    """Counts consecutive breaks without any data between them."""

    def __init__(self, session: Session) -> None:
        self._retries = session.retries
        self._url = session.url
        self._count = 0

    def data_received(self) -> None:
        self._count = 0

    def pause(self, why: object, *, least_s: float = 0.0) -> Flow[None]:
        """Waits before the next attempt. Raises Unreachable after too many breaks."""
        self._count += 1
        if self._count >= self._retries.attempts_max:
            raise Unreachable(
                f"{self._url} closed the connection {self._count} times in a row without an answer: {why}"
            )
        yield Pause(max(least_s, self._retries.jitter(self._count)))


def follow(session: Session, call: Call[Any], last_id: str | None) -> EmittingFlow[Event]:
    """Reads Server-Sent Events without end; after a break it resumes after the last event emitted. Raises ClientError
    if the stream may not be read (any longer)."""
    broken = BrokenStreams(session)
    while True:
        headers = {"Accept": EVENT_STREAM} | ({} if last_id is None else {"Last-Event-ID": last_id})
        response = yield from session.answered(replace(call, headers=headers), streamed=True)
        _must_be(response, EVENT_STREAM)
        if last_id is None:
            # The position where the stream starts, so that a break before its first event loses nothing.
            last_id = response.headers.get("taskflow-position")
        messages = Messages()
        while isinstance(piece := (yield Piece()), bytes):
            broken.data_received()
            for message in messages.feed(piece):
                yield Emit(_event(message.data.encode()))
                last_id = message.id or last_id
        yield from broken.pause(piece or "it ended", least_s=messages.retry_s or 0.0)


def download(session: Session, call: Call[Any]) -> EmittingFlow[Event]:
    """Reads all events as NDJSON; after a break it resumes after the last one emitted."""
    broken = BrokenStreams(session)
    while True:
        response = yield from session.answered(replace(call, headers={"Accept": NDJSON}), streamed=True)
        _must_be(response, NDJSON)
        lines = Lines()
        while isinstance(piece := (yield Piece()), bytes):
            for line in lines.feed(piece):
                if line:
                    event = _event(line)
                    yield Emit(event)
                    broken.data_received()
                    call = replace(call, query={**call.query, "after": event.position})
        if piece is None and not lines.rest:
            return
        yield from broken.pause(piece or "a line has no end")


def pieces(session: Session, call: Call[Any], media_type: str) -> EmittingFlow[bytes]:
    """Reads an answer in pieces. If it breaks off before the first piece, it is requested again; later, Unreachable is
    raised, and the pieces emitted so far are incomplete."""
    broken = BrokenStreams(session)
    emitted = False
    while True:
        response = yield from session.answered(replace(call, headers={"Accept": media_type}), streamed=True)
        _must_be(response, media_type)
        while isinstance(piece := (yield Piece()), bytes):
            yield Emit(piece)
            emitted = True
        if piece is None:
            return
        if emitted:
            raise Unreachable(
                f"{session.url} closed the connection in the middle of an answer; send the request again: {piece}"
            )
        yield from broken.pause(piece)


def _event(line: bytes) -> Event:
    try:
        return msgspec.json.decode(line, type=Event)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"expected an event: {error}") from error


def _must_be(response: httpx.Response, media_type: str) -> None:
    found = response.headers.get("content-type", "").partition(";")[0].strip()
    if found != media_type:
        raise Unreadable(f"expected {media_type}, found {found or 'no content type'}")
