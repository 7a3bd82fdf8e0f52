"""What a client sends and how it takes what comes back. The wire is a stand-in here, so that every break can be had;
what the server does is tested on the server, in tests/client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.unit.test_client_decisions import TASK, answer

from taskflow.client import (
    AsyncClient,
    Client,
    CommandInProgress,
    Forbidden,
    Gone,
    Invalid,
    Retries,
    Tokens,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Unreadable,
)

URL = "http://taskflow.test"
AT_ONCE = Retries(drawn=lambda: 0.0)

Answer = httpx.Response | Exception


class Wire:
    """Answers in the order given, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def client(self, **more: Any) -> Client:
        return Client(URL, transport=httpx.MockTransport(self), **{"token": "t", "retries": AT_ONCE} | more)

    def header(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.asked]


def ok(body: Any = None, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=TASK if body is None else body, headers=named)


def broken() -> httpx.TransportError:
    return httpx.ReadError("cut off")


class TestRepeating:
    def test_a_write_is_repeated_under_one_key(self) -> None:
        wire = Wire(broken(), answer(503, "unavailable"), answer(409, "command-in-progress"), ok(status=201))
        with wire.client() as client:
            client.tasks.create("x")
        keys = wire.header("idempotency-key")
        assert len(keys) == 4
        assert len(set(keys)) == 1
        assert keys[0]
        assert {request.content for request in wire.asked} == {b'{"title":"x"}'}

    def test_every_write_has_a_key_of_its_own(self) -> None:
        wire = Wire(ok(), ok())
        with wire.client() as client:
            client.tasks.complete("a")
            client.tasks.complete("a")
        assert len(set(wire.header("idempotency-key"))) == 2

    def test_a_read_is_repeated_too_and_has_no_key(self) -> None:
        wire = Wire(broken(), ok())
        with wire.client() as client:
            client.tasks.get("a")
        assert wire.header("idempotency-key") == [None, None]

    def test_it_ends_after_so_many_attempts(self) -> None:
        wire = Wire(*[broken() for _ in range(10)])
        with wire.client() as client, pytest.raises(Unreachable, match=r"taskflow\.test .*5 attempts.*cut off"):
            client.tasks.create("x")
        assert len(wire.asked) == 5
        wire = Wire(*[answer(503, "unavailable") for _ in range(10)])
        with wire.client() as client, pytest.raises(Unavailable, match="said"):
            client.tasks.get("x")
        assert len(wire.asked) == 5

    def test_what_is_refused_is_not_repeated(self) -> None:
        wire = Wire(answer(403, "forbidden"), answer(500, "internal"))
        with wire.client() as client:
            with pytest.raises(Forbidden):
                client.tasks.create("x")
            assert len(wire.asked) == 1

    @pytest.mark.parametrize("failure", [broken(), answer(503, "unavailable")], ids=["broken", "503"])
    def test_signing_in_is_sent_once(self, failure: Answer) -> None:
        wire = Wire(failure)
        with wire.client() as client, pytest.raises((Unreachable, Unavailable)):
            client.auth.register("a@example.com", "password", "A")
        assert len(wire.asked) == 1

    def test_a_first_copy_that_never_ends_is_told(self) -> None:
        wire = Wire(*[answer(409, "command-in-progress") for _ in range(5)])
        with wire.client() as client, pytest.raises(CommandInProgress):
            client.tasks.create("x")

    def test_pauses_are_waited_for(self) -> None:
        async def scenario() -> float:
            wire = Wire(broken(), broken(), ok())
            retries = Retries(first_pause_s=0.05, drawn=lambda: 1.0)
            async with AsyncClient(URL, token="t", retries=retries, transport=httpx.MockTransport(wire)) as client:
                began = asyncio.get_running_loop().time()
                await client.tasks.get("x")
                return asyncio.get_running_loop().time() - began

        assert asyncio.run(scenario()) >= 0.15


class TestFreshness:
    def test_reads_are_as_fresh_as_the_last_write(self) -> None:
        wire = Wire(
            ok(), ok(taskflow_position="7"), ok(taskflow_position="5"), ok(), ok({"items": []}), ok({"items": []})
        )
        with wire.client() as client:
            client.tasks.get("a")
            client.tasks.complete("a")
            client.tasks.complete("b")
            assert client.position == 7
            client.tasks.get("a")
            list(client.tasks.list())
            list(client.tasks.events("a"))
        asked = [request.url.params.get("min_position") for request in wire.asked]
        # Writes take none, and the event store needs none.
        assert asked == [None, None, None, "7", "7", None]

    def test_it_can_be_turned_off(self) -> None:
        wire = Wire(ok(taskflow_position="7"), ok())
        with wire.client(read_your_writes=False) as client:
            client.tasks.complete("a")
            client.tasks.get("a")
        assert "min_position" not in wire.asked[1].url.params

    def test_a_read_does_not_raise_it(self) -> None:
        wire = Wire(ok(taskflow_position="9"))
        with wire.client() as client:
            client.tasks.get("a")
            assert client.position == 0

    def test_a_log_that_ends_before_it_is_another(self) -> None:
        past_head = answer(400, "validation", errors=[{"pointer": "min_position", "code": "past-head", "detail": "d"}])
        wire = Wire(past_head, ok())
        with wire.client(position=900) as client:
            client.tasks.get("a")
        assert [request.url.params.get("min_position") for request in wire.asked] == ["900", None]

    def test_and_is_believed_once(self) -> None:
        wires = [
            answer(400, "validation", errors=[{"pointer": "min_position", "code": "past-head", "detail": "d"}])
            for _ in range(2)
        ]
        with Wire(*wires).client(position=900) as client, pytest.raises(Invalid):
            client.tasks.get("a")


class Tally:
    """A keeper that counts."""

    def __init__(self, tokens: Tokens | None) -> None:
        self.tokens = tokens
        self.writes = 0

    def read(self) -> Tokens | None:
        return self.tokens

    def write(self, tokens: Tokens | None) -> None:
        self.tokens = tokens
        self.writes += 1


class Doorman:
    """Takes the newest access token alone, and gives a new pair for a refresh token."""

    def __init__(self) -> None:
        self.generation = 1
        self.refreshes = 0
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            if request.url.path.endswith("/auth/refresh"):
                assert "authorization" not in request.headers
                if json.loads(request.content)["refresh_token"] != f"r{self.generation}":
                    return answer(401, "unauthenticated", detail="sign in again")
                self.refreshes += 1
                self.generation += 1
                pair = {"access_token": f"a{self.generation}", "refresh_token": f"r{self.generation}", "expires_in": 1}
                return httpx.Response(200, json=pair)
            if request.headers.get("authorization") != f"Bearer a{self.generation}":
                return answer(401, "unauthenticated")
            return ok()


class TestTokens:
    def test_a_refused_one_is_renewed_and_the_call_sent_again(self) -> None:
        door, keeper = Doorman(), Tally(Tokens("old", "r1"))
        with Client(URL, keeper=keeper, transport=httpx.MockTransport(door)) as client:
            client.tasks.get("a")
            client.tasks.get("a")
        assert door.refreshes == 1
        assert keeper.tokens == Tokens("a2", "r2")

    def test_many_threads_renew_it_once(self) -> None:
        door, keeper = Doorman(), Tally(Tokens("old", "r1"))
        with (
            Client(URL, keeper=keeper, transport=httpx.MockTransport(door)) as client,
            ThreadPoolExecutor(16) as threads,
        ):
            list(threads.map(lambda _: client.tasks.get("a"), range(64)))
        assert (door.refreshes, keeper.writes) == (1, 1)

    def test_so_do_many_tasks(self) -> None:
        door, keeper = Doorman(), Tally(Tokens("old", "r1"))

        async def at_the_door(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)  # so that all of them are refused before the first is renewed
            return door(request)

        async def scenario() -> None:
            async with AsyncClient(URL, keeper=keeper, transport=httpx.MockTransport(at_the_door)) as client:
                await asyncio.gather(*[client.tasks.get("a") for _ in range(50)])

        asyncio.run(scenario())
        assert (door.refreshes, keeper.writes) == (1, 1)

    def test_one_that_another_client_renewed_is_taken_from_the_keeper(self) -> None:
        door, keeper = Doorman(), Tally(Tokens("old", "r1"))
        with (
            Client(URL, keeper=keeper, transport=httpx.MockTransport(door)) as first,
            Client(URL, keeper=keeper, transport=httpx.MockTransport(door)) as second,
        ):
            first.tasks.get("a")
            second.tasks.get("a")
        assert door.refreshes == 1

    def test_where_the_session_has_ended_it_is_told_and_forgotten(self) -> None:
        door, keeper = Doorman(), Tally(Tokens("old", "spent"))
        with Client(URL, keeper=keeper, transport=httpx.MockTransport(door)) as client:
            with pytest.raises(Unauthenticated, match="sign in again"):
                client.tasks.get("a")
            assert not client.signed_in
        assert keeper.tokens is None

    def test_one_that_was_given_is_not_renewed(self) -> None:
        wire = Wire(answer(401, "unauthenticated"))
        with wire.client() as client, pytest.raises(Unauthenticated):
            client.tasks.get("a")
        assert len(wire.asked) == 1

    def test_a_new_one_that_is_refused_too_ends_it(self) -> None:
        pair = {"access_token": "a", "refresh_token": "r", "expires_in": 1}
        wire = Wire(answer(401, "unauthenticated"), ok(pair), answer(401, "unauthenticated"))
        with wire.client(token=None, keeper=Tally(Tokens("x", "y"))) as client, pytest.raises(Unauthenticated):
            client.tasks.get("a")

    def test_signing_out_forgets_them_whatever_comes_of_it(self) -> None:
        keeper = Tally(Tokens("x", "y"))
        with Wire(broken()).client(token=None, keeper=keeper) as client, pytest.raises(Unreachable):
            client.auth.logout()
        assert keeper.tokens is None

    def test_no_secret_is_shown(self) -> None:
        assert "secret" not in repr(Tokens("secret", "secret"))


class TestTaking:
    def test_pages_follow_each_other(self) -> None:
        pages = [{"items": [TASK, TASK], "next_cursor": "c1"}, {"items": [], "next_cursor": "c2"}, {"items": [TASK]}]
        wire = Wire(*[ok(page) for page in pages])
        with wire.client() as client:
            assert len(list(client.tasks.list(label=["q"], limit=2))) == 3
        assert [str(request.url.query, "ascii") for request in wire.asked] == [
            "label=q&limit=2",
            "label=q&limit=2&cursor=c1",
            "label=q&limit=2&cursor=c2",
        ]

    def test_a_page_is_asked_for_only_when_it_is_reached(self) -> None:
        wire = Wire(ok({"items": [TASK], "next_cursor": "c1"}))
        with wire.client() as client:
            next(client.tasks.list())
        assert len(wire.asked) == 1

    def test_what_makes_no_sense_is_told_as_that(self) -> None:
        for body in ({"title": "no id"}, [1], "x"):
            with Wire(ok(body)).client() as client, pytest.raises(Unreadable, match="expected Task"):
                client.tasks.get("a")

    def test_a_version_is_expected_by_if_match(self) -> None:
        wire = Wire(ok())
        with wire.client() as client:
            client.tasks.edit("a", title="x", due_at=None, expected_version=3)
        assert wire.header("if-match") == ['"3"']
        assert json.loads(wire.asked[0].content) == {"title": "x", "due_at": None}

    def test_a_url_may_have_a_path(self) -> None:
        wire = Wire(ok())
        with Client(f"{URL}/behind/", transport=httpx.MockTransport(wire)) as client:
            client.tasks.get("a b")
        assert str(wire.asked[0].url) == f"{URL}/behind/api/v1/tasks/a%20b"

    @pytest.mark.parametrize("url", ["", "taskflow.test", "ftp://taskflow.test", "http://"])
    def test_what_is_no_url_is_refused_at_once(self, url: str) -> None:
        with pytest.raises(ValueError, match="expected a URL"):
            Client(url)


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


EVENT_STREAM, NDJSON = "text/event-stream", "application/x-ndjson"


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
        with pytest.raises(Unreachable, match="breaks off every answer"):
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
        assert self.positions(wire, 2, token=None, keeper=Tally(Tokens("a1", "r1"))) == [1, 2]
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
        wire = Wire(answer(410, "gone"), self.changes("a", more=False))
        with wire.client() as client:
            client.sync.token = "old"
            with pytest.raises(Gone):
                list(client.sync.changes())
            list(client.sync.changes())
        assert [request.url.params.get("token") for request in wire.asked] == ["old", None]


def test_both_clients_have_the_same_calls() -> None:
    """One description each: what the one can do, the other can."""
    one, other = Client(URL), AsyncClient(URL)

    def calls(client: Any) -> dict[str, Callable[..., Any]]:
        return {
            f"{name}.{call}": getattr(type(resource), call)
            for name, resource in vars(client).items()
            if not name.startswith("_")
            for call in vars(type(resource))
            if not call.startswith("_")
        }

    assert calls(one) == calls(other)
    assert len(calls(one)) > 40
    one.close()
    asyncio.run(other.close())
