"""What a client sends and how it takes what comes back. The wire is a stand-in here, so that every break can be had;
what the server does is tested on the server, in tests/client."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.unit.wire import TASK, URL, Answer, Tally, Wire, answer, broken, ok

from taskflow.client import (
    AsyncClient,
    Client,
    CommandInProgress,
    Forbidden,
    Invalid,
    Retries,
    Tokens,
    Unauthenticated,
    Unavailable,
    Unreachable,
    Unreadable,
)


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
            retries = Retries(first_pause_s=0.05, random_share=lambda: 1.0)
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


THREADS = 16


class TokenServer:
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
        door, token_store = TokenServer(), Tally(Tokens("old", "r1"))
        with Client(URL, token_store=token_store, transport=httpx.MockTransport(door)) as client:
            client.tasks.get("a")
            client.tasks.get("a")
        assert door.refreshes == 1
        assert token_store.tokens == Tokens("a2", "r2")

    def test_many_threads_renew_it_once(self) -> None:
        door, token_store = TokenServer(), Tally(Tokens("old", "r1"))
        together, another = threading.Barrier(THREADS), threading.Event()
        refreshes: list[httpx.Request] = []

        def at_the_door(request: httpx.Request) -> httpx.Response:
            if request.headers.get("authorization") == "Bearer old":
                together.wait(10)  # so that all of them are refused before the first is renewed
            if request.url.path.endswith("/auth/refresh"):
                refreshes.append(request)
                if len(refreshes) > 1:
                    another.set()
                another.wait(0.3)  # a second refresh has this long to come beside the first
            return door(request)

        with (
            Client(URL, token_store=token_store, transport=httpx.MockTransport(at_the_door)) as client,
            ThreadPoolExecutor(THREADS) as threads,
        ):
            list(threads.map(lambda _: client.tasks.get("a"), range(THREADS)))
        assert (door.refreshes, token_store.writes) == (1, 1)

    def test_so_do_many_tasks(self) -> None:
        door, token_store = TokenServer(), Tally(Tokens("old", "r1"))

        async def at_the_door(request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)  # so that all of them are refused before the first is renewed
            return door(request)

        async def scenario() -> None:
            async with AsyncClient(URL, token_store=token_store, transport=httpx.MockTransport(at_the_door)) as client:
                await asyncio.gather(*[client.tasks.get("a") for _ in range(50)])

        asyncio.run(scenario())
        assert (door.refreshes, token_store.writes) == (1, 1)

    def test_one_that_another_client_renewed_is_taken_from_the_keeper(self) -> None:
        door, token_store = TokenServer(), Tally(Tokens("old", "r1"))
        with (
            Client(URL, token_store=token_store, transport=httpx.MockTransport(door)) as first,
            Client(URL, token_store=token_store, transport=httpx.MockTransport(door)) as second,
        ):
            first.tasks.get("a")
            second.tasks.get("a")
        assert door.refreshes == 1

    def test_where_the_session_has_ended_it_is_told_and_forgotten(self) -> None:
        door, token_store = TokenServer(), Tally(Tokens("old", "spent"))
        with Client(URL, token_store=token_store, transport=httpx.MockTransport(door)) as client:
            with pytest.raises(Unauthenticated, match="sign in again"):
                client.tasks.get("a")
            assert not client.signed_in
        assert token_store.tokens is None

    def test_one_that_was_given_is_not_renewed(self) -> None:
        wire = Wire(answer(401, "unauthenticated"))
        with wire.client() as client, pytest.raises(Unauthenticated):
            client.tasks.get("a")
        assert len(wire.asked) == 1

    def test_a_new_one_that_is_refused_too_ends_it(self) -> None:
        pair = {"access_token": "a", "refresh_token": "r", "expires_in": 1}
        wire = Wire(answer(401, "unauthenticated"), ok(pair), answer(401, "unauthenticated"))
        with wire.client(token=None, token_store=Tally(Tokens("x", "y"))) as client, pytest.raises(Unauthenticated):
            client.tasks.get("a")

    def test_whoever_signs_in_sends_no_old_token_and_renews_none(self) -> None:
        wire = Wire(answer(401, "unauthenticated", detail="wrong address or password"))
        with wire.client(token=None, token_store=Tally(Tokens("old", "r"))) as client:
            with pytest.raises(Unauthenticated, match="wrong address"):
                client.auth.login("a@example.com", "another one")
            assert client.signed_in
        assert wire.header("authorization") == [None]

    def test_a_refresh_is_given_up_before_its_token_would_end_the_session(self) -> None:
        """The server takes a spent token for ten seconds: no attempt may begin, or wait, beyond that."""
        wire = Wire(answer(401, "unauthenticated"), *[httpx.ReadTimeout("slow") for _ in range(9)])
        retries = Retries(random_share=lambda: 0.0, attempts_max=3, total_s=3600)
        with wire.client(token=None, token_store=Tally(Tokens("x", "y")), retries=retries) as client:
            with pytest.raises(Unreachable):
                client.tasks.get("a")
            assert client.signed_in
        waits = [request.extensions["timeout"]["read"] for request in wire.asked]
        assert waits == [30, 3, 3, 3]

    def test_signing_out_forgets_them_whatever_comes_of_it(self) -> None:
        token_store = Tally(Tokens("x", "y"))
        with Wire(broken()).client(token=None, token_store=token_store) as client, pytest.raises(Unreachable):
            client.auth.logout()
        assert token_store.tokens is None

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
