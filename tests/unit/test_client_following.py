"""What a client does with answers that come piece by piece, and break off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from tests.unit.wire import AT_ONCE, TASK, URL, Tally, Wire, answer, broken, ok

from taskflow.client import AsyncClient, Forbidden, Gone, Tokens, Unreachable, Unreadable


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that comes in pieces, and may break off."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def streamed(media_type: str, *pieces: bytes | Exception, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers={"Content-Type": media_type} | named, stream=Pieces(*pieces))


def event(position: int) -> bytes:
    body = {
        "position": position,
        "event_id": TASK["id"],
        "stream_id": TASK["id"],
        "stream_version": position,
        "type": "TaskCreated",
        "occurred_at": TASK["created_at"],
        "recorded_at": TASK["created_at"],
        "actor": "system",
        "command_id": TASK["id"],
        "data": {"title": "a\u2028b"},
        "of_tomorrow": 1,
    }
    return json.dumps(body, ensure_ascii=False).encode()


def sse(position: int) -> bytes:
    return b"id: %d\nevent: TaskCreated\ndata: %b\n\n" % (position, event(position))


EVENT_STREAM, NDJSON, CSV = "text/event-stream", "application/x-ndjson", "text/csv"


class TestFollowing:
    def positions(self, wire: Wire, take: int, **more: Any) -> list[int]:
        with wire.client(**more) as client:
            stream = client.events.stream()
            return [next(stream).position for _ in range(take)]

    def test_it_resumes_after_the_last_event_that_was_told(self) -> None:
        half = sse(4)
        wire = Wire(
            streamed(EVENT_STREAM, b":\n\n", sse(3), half[:20], broken(), taskflow_position="2"),
            broken(),
            streamed(EVENT_STREAM, half, b":\n\n"),
            streamed(EVENT_STREAM, sse(5)),
        )
        assert self.positions(wire, 3) == [3, 4, 5]
        assert wire.header("last-event-id") == [None, "3", "3", "4"]

    def test_a_break_before_the_first_event_loses_none(self) -> None:
        wire = Wire(
            streamed(EVENT_STREAM, b":\n\n", broken(), taskflow_position="41"),
            streamed(EVENT_STREAM, sse(42)),
        )
        assert self.positions(wire, 1) == [42]
        assert wire.header("last-event-id") == [None, "41"]

    def test_one_that_is_always_broken_off_ends(self) -> None:
        wire = Wire(*[streamed(EVENT_STREAM, broken()) for _ in range(9)])
        with pytest.raises(Unreachable, match="closed the connection"):
            self.positions(wire, 1)
        assert len(wire.asked) == 5

    def test_a_heartbeat_shows_that_it_lives(self) -> None:
        wire = Wire(*[streamed(EVENT_STREAM, b":\n\n", broken()) for _ in range(20)], streamed(EVENT_STREAM, sse(1)))
        assert self.positions(wire, 1) == [1]

    def test_access_that_was_lost_is_told(self) -> None:
        wire = Wire(streamed(EVENT_STREAM, sse(1)), answer(403, "forbidden"))
        with wire.client() as client, pytest.raises(Forbidden):
            list(client.events.stream())

    def test_a_token_that_ran_out_is_renewed(self) -> None:
        pair = {"access_token": "a2", "refresh_token": "r2", "expires_in": 1}
        wire = Wire(
            streamed(EVENT_STREAM, sse(1)), answer(401, "unauthenticated"), ok(pair), streamed(EVENT_STREAM, sse(2))
        )
        assert self.positions(wire, 2, token=None, token_store=Tally(Tokens("a1", "r1"))) == [1, 2]
        assert wire.header("authorization") == ["Bearer a1", "Bearer a1", None, "Bearer a2"]

    def test_another_content_type_is_no_stream(self) -> None:
        with pytest.raises(Unreadable, match="expected text/event-stream, found text/html"):
            self.positions(Wire(streamed("text/html", b"<html>")), 1)

    def test_with_await_it_is_the_same(self) -> None:
        wire = Wire(
            streamed(EVENT_STREAM, sse(3), broken()),
            streamed(EVENT_STREAM, sse(4)),
        )

        async def scenario() -> list[int]:
            found = []
            async with AsyncClient(URL, token="t", retries=AT_ONCE, transport=httpx.MockTransport(wire)) as client:
                async for one in client.events.stream(last_event_id=2):
                    found.append(one.position)
                    if len(found) == 2:
                        break
            return found

        assert asyncio.run(scenario()) == [3, 4]
        assert wire.header("last-event-id") == ["2", "3"]

    def test_a_download_goes_on_behind_the_last_whole_line(self) -> None:
        line = event(2) + b"\n"
        wire = Wire(
            streamed(NDJSON, event(1) + b"\n" + line[:30], broken()),
            streamed(NDJSON, line[:50]),
            streamed(NDJSON, line, b"\n", event(3) + b"\n"),
        )
        with wire.client() as client:
            found = list(client.events.download(types=["TaskCreated"]))
        assert [one.position for one in found] == [1, 2, 3]
        assert found[0].data == {"title": "a\u2028b"}
        assert [request.url.params.get("after") for request in wire.asked] == [None, "1", "1"]
        assert {request.headers["accept"] for request in wire.asked} == {NDJSON}


class TestFiles:
    def test_a_file_comes_in_pieces(self) -> None:
        wire = Wire(streamed(CSV, b"id,title\r\n", b"1,x\r\n"))
        with wire.client() as client:
            assert list(client.projects.export("p", csv=True)) == [b"id,title\r\n", b"1,x\r\n"]
        assert wire.header("accept") == [CSV]

    def test_before_its_first_piece_it_is_asked_for_again(self) -> None:
        wire = Wire(streamed(CSV, broken()), broken(), streamed(CSV, b"1"))
        with wire.client() as client:
            assert list(client.events.csv()) == [b"1"]

    def test_a_break_in_the_middle_is_told(self) -> None:
        wire = Wire(streamed(CSV, b"1", broken()), streamed(CSV, b"1"))
        found: list[bytes] = []
        with wire.client() as client, pytest.raises(Unreachable, match=r"in the middle of an answer.*cut off"):
            found += client.events.csv()
        assert len(wire.asked) == 1

    def test_another_form_than_was_asked_for_is_none(self) -> None:
        with (
            Wire(streamed("text/html", b"<html>")).client() as client,
            pytest.raises(Unreadable, match="expected application/json, found text/html"),
        ):
            list(client.projects.export("p"))


class TestKeepingACopy:
    @staticmethod
    def changes(token: str, *, more: bool) -> httpx.Response:
        return ok({"token": token, "projects": [], "tasks": [TASK], "removed": [], "more": more})

    def test_the_token_moves_on_with_what_was_taken(self) -> None:
        wire = Wire(self.changes("a", more=True), self.changes("b", more=False), self.changes("c", more=False))
        with wire.client() as client:
            assert len(list(client.sync.changes())) == 2
            assert client.sync.token == "b"
            list(client.sync.changes())
        assert [request.url.params.get("token") for request in wire.asked] == [None, "a", "b"]

    def test_what_was_not_worked_on_comes_again(self) -> None:
        wire = Wire(self.changes("a", more=True))
        with wire.client() as client:
            for _ in client.sync.changes():
                break
            assert client.sync.token is None

    def test_a_token_that_is_gone_is_forgotten(self) -> None:
        wire = Wire(answer(410, "not-found"), self.changes("a", more=False))
        with wire.client() as client:
            client.sync.token = "old"
            with pytest.raises(Gone):
                list(client.sync.changes())
            list(client.sync.changes())
        assert [request.url.params.get("token") for request in wire.asked] == ["old", None]
