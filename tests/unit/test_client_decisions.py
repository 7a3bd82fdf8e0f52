"""What a client decides without a network: when to try again, what an error is, where an event ends."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.wire import TASK, answer

from taskflow.client import errors
from taskflow.client.answers import Board, Changes, Event, Outcome, Page, Project, Task
from taskflow.client.call import Value, at, read, write
from taskflow.client.errors import problem_of, retry_after
from taskflow.client.retries import ONCE, Retries, is_transient
from taskflow.client.sse import Lines, Message, Messages

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
MOST = Retries(random_share=lambda: 1.0)


class TestTryingAgain:
    @pytest.mark.parametrize(
        "outcome",
        [
            httpx.ConnectError("refused"),
            httpx.ReadTimeout("slow"),
            httpx.RemoteProtocolError("cut off"),
            answer(429, "rate-limited"),
            answer(503, "unavailable"),
            answer(503, "projection-behind"),
            answer(409, "command-in-progress"),
        ],
        ids=repr,
    )
    def test_what_passes_is_tried_again(self, outcome: httpx.Response | httpx.TransportError) -> None:
        assert is_transient(outcome)
        assert MOST.pause(outcome, attempts=1, spent_s=0) is not None

    @pytest.mark.parametrize(
        "outcome",
        [
            httpx.UnsupportedProtocol("gopher"),
            httpx.LocalProtocolError("a bad header"),
            *[answer(status) for status in (200, 201, 304, 400, 401, 403, 404, 410, 412, 413, 415, 422, 500, 502, 504)],
            answer(409, "command-rejected", code="cycle"),
            answer(409, "nothing-to-undo"),
            httpx.Response(409, text="of a proxy"),
        ],
        ids=repr,
    )
    def test_nothing_else_is(self, outcome: httpx.Response | httpx.TransportError) -> None:
        assert MOST.pause(outcome, attempts=1, spent_s=0) is None

    def test_pauses_double_up_to_a_bound(self) -> None:
        retries = Retries(attempts_max=100, random_share=lambda: 1.0)
        pauses = [retries.jitter(failures) for failures in range(1, 10)]
        assert pauses == [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8]
        assert retries.jitter(10**9) == 8

    @given(st.floats(0, 1), st.integers(1, 100))
    def test_jitter_is_full(self, random_share: float, failures: int) -> None:
        retries = Retries(random_share=lambda: random_share)
        assert retries.jitter(failures) == random_share * Retries(random_share=lambda: 1.0).jitter(failures)

    def test_a_named_time_is_waited_for_in_full_and_then_spread(self) -> None:
        asked = answer(503, "unavailable", {"Retry-After": "7"})
        assert Retries(random_share=lambda: 0.0).pause(asked, attempts=1, spent_s=0) == 7
        assert MOST.pause(asked, attempts=1, spent_s=0) == 7.25

    def test_attempts_are_bounded(self) -> None:
        retries = Retries(attempts_max=3)
        broken = httpx.ConnectError("refused")
        assert retries.pause(broken, attempts=2, spent_s=0) is not None
        assert retries.pause(broken, attempts=3, spent_s=0) is None
        assert ONCE.pause(broken, attempts=1, spent_s=0) is None

    def test_so_is_the_time(self) -> None:
        broken = httpx.ConnectError("refused")
        assert MOST.pause(broken, attempts=1, spent_s=29.75) == 0.25
        assert MOST.pause(broken, attempts=1, spent_s=29.76) is None
        # An hour is not waited for at all: whoever calls hears of it at once.
        assert MOST.pause(answer(429, "rate-limited", {"Retry-After": "3600"}), attempts=1, spent_s=0) is None

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0),
            (" 12 ", 12),
            ("Fri, 27 Nov 2026 12:01:30 GMT", 90),
            ("Fri, 27 Nov 2026 11:00:00 GMT", 0),
            ("Fri, 27 Nov 2026 12:00:05 -0000", 5),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("9" * 400, None),
            ("", None),
            (None, None),
        ],
    )
    def test_retry_after_is_seconds_or_a_date(self, value: str | None, seconds: float | None) -> None:
        assert retry_after(value, NOW) == seconds


class TestProblems:
    @pytest.mark.parametrize(
        ("status", "slug", "kind"),
        [
            (400, "validation", errors.Invalid),
            (401, "unauthenticated", errors.Unauthenticated),
            (403, "forbidden", errors.Forbidden),
            (404, "not-found", errors.NotFound),
            (405, "method-not-allowed", errors.Problem),
            (409, "command-rejected", errors.Rejected),
            (409, "nothing-to-undo", errors.NothingToUndo),
            (409, "command-in-progress", errors.CommandInProgress),
            (410, "not-found", errors.Gone),
            (412, "version-conflict", errors.VersionConflict),
            (413, "payload-too-large", errors.TooLarge),
            (422, "idempotency-key-reused", errors.KeyReused),
            (429, "rate-limited", errors.RateLimited),
            (500, "internal", errors.ServerFault),
            (503, "unavailable", errors.Unavailable),
            (503, "projection-behind", errors.Behind),
            (409, "of-tomorrow", errors.Conflict),
            (418, "of-tomorrow", errors.Problem),
        ],
    )
    def test_each_slug_has_its_error(self, status: int, slug: str, kind: type[errors.Problem]) -> None:
        problem = problem_of(answer(status, slug))
        assert type(problem) is kind
        assert (str(problem), problem.status, problem.slug) == ("said", status, slug)

    def test_it_holds_what_the_server_said(self) -> None:
        conflict = problem_of(
            answer(
                412,
                "version-conflict",
                {"X-Request-ID": "r-1"},
                current_version=7,
                events=[{"version": 7, "type": "TaskRetitled", "actor": "a", "occurred_at": "2026-11-27T12:00:00Z"}],
            )
        )
        assert isinstance(conflict, errors.VersionConflict)
        assert conflict.current_version == 7
        assert [(one.version, one.type, one.occurred_at) for one in conflict.events] == [(7, "TaskRetitled", NOW)]
        assert conflict.request_id == "r-1"
        invalid = problem_of(answer(400, "validation", errors=[{"pointer": "/title", "code": "length", "detail": "d"}]))
        assert isinstance(invalid, errors.Invalid)
        assert invalid.errors == (errors.Fault("/title", "length", "d"),)
        limited = problem_of(answer(429, "rate-limited", {"Retry-After": "30"}))
        assert limited.retry_after_s == 30
        refused = problem_of(answer(401, "unauthenticated", otp_required=True))
        assert isinstance(refused, errors.Unauthenticated)
        assert refused.otp_required
        assert problem_of(answer(409, "command-rejected", code="cycle")).code == "cycle"

    @pytest.mark.parametrize(
        ("response", "kind", "said"),
        [
            (httpx.Response(502, html="<h1>Bad gateway</h1>"), errors.Unavailable, "the server answered 502"),
            (httpx.Response(404), errors.NotFound, "the server answered 404"),
            (httpx.Response(500, content=b"\xff{"), errors.ServerFault, "the server answered 500"),
            (httpx.Response(400, json=["no", "object"]), errors.Invalid, "the server answered 400"),
            (httpx.Response(503, json={"title": "T", "status": "x"}), errors.Unavailable, "the server answered 503"),
            (httpx.Response(307, headers={"Location": "/"}), errors.Problem, "the server answered 307"),
            (answer(404, "not-found", detail=""), errors.NotFound, "T"),
        ],
    )
    def test_what_is_no_problem_document_goes_by_its_status(
        self, response: httpx.Response, kind: type[errors.Problem], said: str
    ) -> None:
        problem = problem_of(response)
        assert (type(problem), str(problem)) == (kind, said)


STREAM = (
    b":\n\n"
    b'id: 5\nevent: TaskCreated\ndata: {"a":\ndata: 1}\n\n'
    b"retry: 1500\r\n\r\n"
    b"data:no id here\r\r"
    b"id: 7\ndata: \xe2\x80\xa8\xe6\x97\xa5\n\n"
    b"event: nothing\n\n"
    b"data\n\n"
    b"id: 8\ndata: unfinished"
)  # fmt: skip
MESSAGES = [
    Message("TaskCreated", '{"a":\n1}', "5"),
    Message("message", "no id here", "5"),
    Message("message", "\u2028日", "7"),
    Message("message", "", "7"),
]


class TestStreams:
    @given(st.lists(st.integers(0, len(STREAM)), max_size=20))
    def test_messages_are_the_same_however_they_are_cut(self, cuts: list[int]) -> None:
        edges = [0, *sorted(cuts), len(STREAM)]
        reader = Messages()
        found = [
            message
            for start, end in pairwise(edges)
            for message in reader.feed(STREAM[start:end])
        ]  # fmt: skip
        assert found == MESSAGES
        assert reader.retry_s == 1.5

    def test_a_line_ends_where_json_cannot(self) -> None:
        """`splitlines` would cut at each of these."""
        text = "a\u2028b\u0085c\x0bd\x1ce".encode()
        lines = Lines()
        assert list(lines.feed(text + b"\nrest")) == [text]
        assert lines.rest == b"rest"


class TestCalls:
    def test_no_id_breaks_out_of_its_place(self) -> None:
        assert at("tasks", "../users/me?x=#", "start") == "/tasks/..%2Fusers%2Fme%3Fx%3D%23/start"

    def test_parameters_repeat_and_what_is_none_is_left_out(self) -> None:
        query: dict[str, Value] = {
            "status": ["a", "b"],
            "q": "é &",
            "trashed": True,
            "limit": None,
            "due_before": NOW,
            "label": (),
        }
        assert read("/x", Task, query).parameters == [
            ("status", "a"),
            ("status", "b"),
            ("q", "é &"),
            ("trashed", "true"),
            ("due_before", "2026-11-27T12:00:00Z"),
        ]

    def test_a_read_from_a_view_says_so_and_a_write_is_one(self) -> None:
        assert read("/x", Task).fresh
        assert read("/x", Task).kind == "read"
        assert write("POST", "/x", Task).kind == "write"


class TestAnswers:
    def test_a_newer_server_is_understood(self) -> None:
        """New fields anywhere, and values of today's that are of tomorrow."""
        body = TASK | {
            "status_category": "blocked",
            "priority": "someday",
            "attachments": [{"id": 1}],
            "checklist": [{"id": TASK["id"], "text": "x", "done": False, "due_at": None}],
            "assignee": {"id": TASK["id"], "name": None, "avatar_url": "x"},
        }
        page = msgspec.json.decode(msgspec.json.encode({"items": [body], "next_cursor": None, "n": 1}), type=Page[Task])
        assert page.items[0].status_category == "blocked"
        assert page.items[0].assignee is not None

    def test_an_older_server_is_too(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(TASK), type=Task).labels == ()

    @pytest.mark.parametrize("kind", [Task, Project, Event, Board, Changes, Outcome])
    def test_answers_do_not_change_and_ignore_what_they_do_not_know(self, kind: Any) -> None:
        assert kind.__struct_config__.frozen
        assert not kind.__struct_config__.forbid_unknown_fields
