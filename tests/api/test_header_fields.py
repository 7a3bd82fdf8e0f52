"""Whatever stands in a header field or a parameter: it counts, or it is refused, and it is never a fault of ours."""

from __future__ import annotations

import pytest

from tests.api.raw import RawAnswer, ask, get
from tests.api.stack import Caller, Stack, accepted, refused
from tests.api.test_middleware import HEADERS

ODD = [
    "", ",", ";", ";;==;", "q", "=", '"', '"\\', "'", "*", "*/*", "é", "\xff\xfe", "a" * 4_000, "; " * 2_000,
    ";q=1e400", ";q=-1e400", ";q=nan", ";q=1_0", ";q=\u00b2", ";q=" + "9" * 5_000, "text/csv;q=1e400",
    "application/json;q=1e400, text/csv;q=0.1", "1" * 5_000, "-1", "+1", "1e400", "0x10", "null", "%00", "%", "W/",
    'W/"', '"3', '"' + "9" * 30 + '"', "bytes=0-", "bytes=-1", "bytes=9-1,,5", "=?utf-8?q?x?=", "a=b; a=c; $x",
    "Basic eA==", "Bearer", "Bearer ", "Bearer .", "Bearer ..", "Bearer " + "W" * 4_000, "Bearer eyJhbGciOiJub25lIn0..",
    "utf-8''%ff", "http://", "http://[", "http://[::1", "http://x:99999999999", "null, null", "Thu, 99 Foo 0000",
]  # fmt: skip
NAMES = [
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Content-Encoding"),
    *("Content-Type", "Cookie", "Date", "Expect", "Forwarded", "If-Match", "If-Modified-Since", "If-None-Match"),
    *("If-Range", "If-Unmodified-Since", "Idempotency-Key", "Last-Event-ID", "Origin", "Prefer", "Range", "Referer"),
    *("TE", "Trailer", "Upgrade", "User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID"),
    *("Access-Control-Request-Method", "Access-Control-Request-Headers", "traceparent", "tracestate", "Host"),
]  # fmt: skip


def judge(answer: RawAnswer | None, what: object) -> RawAnswer:
    assert answer is not None, what
    assert answer.status < 500, (what, answer)
    assert answer.headers.keys() >= HEADERS, (what, answer)
    return answer


@pytest.mark.parametrize("name", NAMES)
async def test_an_odd_value_is_no_fault(stack: Stack, ada: Caller, name: str) -> None:
    task = (await ada.task())["id"]
    token = [] if name == "Authorization" else [f"Authorization: Bearer {ada.token}"]
    for value in ODD:
        host = [] if name == "Host" else ["Host: x"]
        for method, target in (
            ("GET", "/api/v1/tasks"),
            ("GET", f"/api/v1/tasks/{task}"),
            ("GET", "/api/v1/events?limit=1"),
            ("GET", f"/api/v1/projects/{ada.inbox or task}/export"),
            ("POST", "/api/v1/tasks"),
            ("OPTIONS", "/api/v1/tasks"),
            ("GET", "/readyz"),
        ):
            fields = "".join(f"{line}\r\n" for line in [*host, *token, f"{name}: {value}"])
            body = 'Content-Length: 13\r\n\r\n{"title":"x"}' if method == "POST" else "\r\n"
            raw = f"{method} {target} HTTP/1.1\r\n{fields}{body}".encode("latin-1")
            judge(await ask(stack.urls[0], raw), (method, target, name, value[:80]))


@pytest.mark.parametrize(
    "name", ["Authorization", "Content-Type", "Host", "If-Match", "Idempotency-Key", "Last-Event-ID", "Origin"]
)
async def test_what_may_stand_once_is_refused_twice(stack: Stack, ada: Caller, name: str) -> None:
    value = f"Bearer {ada.token}" if name == "Authorization" else "x"
    first = [] if name == "Host" else [f"{name}: {value}"]
    answer = judge(await ask(stack.urls[0], get("/api/v1/tasks", *first, f"{name}: {value}")), name)
    problem = answer.problem(400, "validation")
    assert [fault["code"] for fault in problem["errors"]] == ["repeated"]


@pytest.mark.parametrize("accept", ["text/csv;q=1e400", "a/b;q=1e400, text/csv", "image/png", ";;", "text/csv;q=nan"])
async def test_an_accept_that_cannot_be_read_is_ignored(ada: Caller, accept: str) -> None:
    response = await ada.get("/events", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] in {"application/json", "text/csv"}


@pytest.mark.parametrize(
    "value", ["١", "５", "1_000", "+1", "-1", " 1", "1 ", "1e3", "0x1", "1.0", "9" * 5_000, "", "%31", "²", "\x00", "𝟏"]
)
async def test_a_number_is_written_in_ascii_digits(ada: Caller, value: str) -> None:
    for path, name in (("/tasks", "limit"), ("/tasks", "min_position"), ("/tasks", "wait_ms"), ("/events", "after")):
        problem = refused(await ada.get(path, params={name: value}), 400, "validation")
        assert [fault["pointer"] for fault in problem["errors"]] == [name]


@pytest.mark.parametrize(
    "value",
    [
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2031-02-30T00:00:00Z", "2031-01-01T24:00:00Z"),
        *("2031-01-01", "2031-01-01T00:00:00", "２０３１-01-01T00:00:00Z", "2031-01-01T00:00:60Z", "now", "1e400", "0"),
        *("2031-01-01T00:00:00+99:99", "2031-01-01T00:00:00.1234567890123Z", "99999-01-01T00:00:00Z", "\x00"),
    ],
)
async def test_a_time_counts_or_is_refused(ada: Caller, value: str) -> None:
    task = await ada.task()
    for name in ("due_before", "due_after", "at"):
        assert (await ada.get("/tasks", params={name: value})).status_code in {200, 400}
    assert (await ada.get(f"/tasks/{task['id']}", params={"at": value})).status_code in {200, 400, 404}
    for name in ("from", "to"):
        assert (await ada.get("/events", params={name: value})).status_code in {200, 400}
    assert (await ada.patch(f"/tasks/{task['id']}", {"due_at": value})).status_code in {200, 400}
    accepted(await ada.get(f"/tasks/{task['id']}/events"))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"%", b"%zz", b"%ff", b"a=%c3%28", b"\xff=1", b"limit=1\x80", b"?" * 100, b"&" * 3_000, b"a=1;b=2", b"="),
        *(b"limit=1&limit=1", b"cursor=%00", b"cursor=" + b"A" * 6_000, b"q=%00", b"q=" + b"%F0%9F%98%80" * 400),
    ],
)
async def test_an_odd_query_is_refused_or_counts(stack: Stack, ada: Caller, raw: bytes) -> None:
    for path in (b"/api/v1/tasks?", b"/api/v1/projects?", b"/readyz?", b"/health?", b"/metrics?"):
        answer = await ask(stack.urls[0], get(path + raw, f"Authorization: Bearer {ada.token}"))
        judge(answer, (path, raw[:80]))
