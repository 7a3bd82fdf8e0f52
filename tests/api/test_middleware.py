"""What holds on every path: problems, limits on bodies, request ids, headers."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.api.stack import Caller, Stack, accepted, refused

HEADERS = {
    "strict-transport-security", "x-content-type-options", "content-security-policy", "referrer-policy",
    "cross-origin-opener-policy", "cross-origin-resource-policy", "x-frame-options", "permissions-policy",
    "x-request-id", "traceparent",
}  # fmt: skip
MIB = 1024 * 1024


class TestProblems:
    @pytest.mark.parametrize(
        "path", ["/", "/nope", "/api", "/api/v1", "/api/v1/nope", "/api/v2/tasks", "/api/v1/tasks/a/b/c"]
    )
    async def test_a_path_that_nobody_serves(self, http: httpx.AsyncClient, path: str) -> None:
        response = await http.get(path)
        problem = refused(response, 404, "not-found")
        assert problem["instance"] == path
        assert problem.keys() >= {"type", "title", "status", "detail", "instance"}
        assert response.headers.keys() >= HEADERS

    @pytest.mark.parametrize(
        ("method", "path"), [("PUT", "/api/v1/tasks"), ("DELETE", "/health"), ("TRACE", "/api/v1/tasks")]
    )
    async def test_a_method_that_a_path_does_not_take(self, http: httpx.AsyncClient, method: str, path: str) -> None:
        response = await http.request(method, path)
        refused(response, 405, "method-not-allowed")
        assert "GET" in response.headers["allow"]
        assert response.headers.keys() >= HEADERS

    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            ("/api/v1/tasks", {"GET", "HEAD", "POST", "OPTIONS"}),
            ("/api/v1/auth/login", {"POST", "OPTIONS"}),
            (f"/api/v1/projects/{uuid4()}/labels/on/hold", {"PUT", "DELETE", "OPTIONS"}),
            (f"/api/v1/projects/{uuid4()}/members/{uuid4()}", {"PUT", "DELETE", "OPTIONS"}),
            ("/health", {"GET", "HEAD", "OPTIONS"}),
        ],
    )
    async def test_every_method_that_a_path_takes_is_named(
        self, http: httpx.AsyncClient, path: str, methods: set[str]
    ) -> None:
        asked = await http.request("OPTIONS", path)
        assert (asked.status_code, asked.content) == (204, b"")
        refusal = await http.request("TRACE", path)
        refused(refusal, 405, "method-not-allowed")
        for response in (asked, refusal):
            assert set(response.headers["allow"].split(", ")) == methods

    async def test_a_body_that_is_no_json(self, ada: Caller) -> None:
        headers = {"Content-Type": "application/json"}
        for raw in (b"{", b'{"title": "\xff"}', b"[1]", b"null", b'{"title": "a"} x', b"[" * 100_000):
            refused(await ada.call("POST", "/tasks", content=raw, headers=headers), 400, "validation")

    @pytest.mark.parametrize("media", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
    async def test_a_body_of_another_type(self, ada: Caller, media: str) -> None:
        headers = {"Content-Type": media}
        refused(await ada.call("POST", "/tasks", content=b"{}", headers=headers), 415, "unsupported-media-type")

    async def test_no_answer_tells_of_the_inside(self, http: httpx.AsyncClient, ada: Caller) -> None:
        for response in (
            await http.get("/nope"),
            await ada.get("/tasks", params={"cursor": "%00"}),
            await ada.get("/tasks/%00"),
            await ada.get(f"/tasks/{'9' * 5000}"),
            await ada.post("/tasks", {"title": "x", "project_id": "'; drop table events"}),
        ):
            assert response.status_code in {400, 404}
            assert "Traceback" not in response.text
            assert "server" not in response.headers
            assert "x-powered-by" not in response.headers


class TestBodies:
    async def test_up_to_a_mebibyte_are_read(self, ada: Caller) -> None:
        body = json.dumps({"title": "x", "description": "y" * 99_000}).encode()
        padded = body + b" " * (MIB - len(body))
        headers = {"Content-Type": "application/json"}
        accepted(await ada.call("POST", "/tasks", content=padded, headers=headers), 201)
        refused(await ada.call("POST", "/tasks", content=padded + b" ", headers=headers), 413, "payload-too-large")

    async def test_too_large_a_body_is_drained_so_that_the_answer_is_read(self, ada: Caller) -> None:
        async def endless() -> Any:
            for _ in range(6 * 16):
                yield b" " * (MIB // 16)

        headers = {"Content-Type": "application/json"}
        refused(await ada.call("POST", "/tasks", content=endless(), headers=headers), 413, "payload-too-large")

    async def test_without_end_are_cut_off(self, stack: Stack) -> None:
        host, port = stack.urls[0].removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 64 * MIB:
                writer.write(chunk)
                sent += 0x10000
                async with asyncio.timeout(10):
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        answer = await reader.read(100_000)
        assert b" 413 " in answer.split(b"\r\n")[0]
        writer.close()

    async def test_may_be_left_out_where_every_field_may(self, ada: Caller) -> None:
        task = await ada.task()
        response = await ada.call("POST", f"/tasks/{task['id']}/complete")
        assert accepted(response)["status"] == "done"
        problem = refused(await ada.call("POST", "/tasks"), 400, "validation")
        assert problem["errors"] == [
            {"pointer": "/title", "code": "required", "detail": "expected a value; the field is missing"}
        ]

    @pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
    async def test_is_as_it_is(self, ada: Caller, encoding: str) -> None:
        """Nothing is unpacked here."""
        body = gzip.compress(b'{"title":"packed"}')
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        refused(await ada.call("POST", "/tasks", content=body, headers=headers), 415, "unsupported-media-type")
        headers["Content-Encoding"] = "identity"
        accepted(await ada.call("POST", "/tasks", content=b'{"title":"plain"}', headers=headers), 201)

    async def test_is_told_where_a_value_under_any_name_is_wrong(self, ada: Caller) -> None:
        problem = refused(await ada.patch("/users/me", {"settings": {"theme": 1.5}}), 400, "validation")
        assert [fault["pointer"] for fault in problem["errors"]] == ["/settings"]

    async def test_a_whole_number_is_one_however_it_is_written(self, ada: Caller) -> None:
        task = await ada.task()
        await ada.patch(f"/tasks/{task['id']}", {"title": "other"})
        headers = {"Content-Type": "application/json"}
        for number, status in ((b"2.0", 200), (b"2.5", 400), (b"1e300", 400), (b"1e400", 400), (b"NaN", 400)):
            raw = b'{"version": %b}' % number
            response = await ada.call("POST", f"/tasks/{task['id']}/undo", content=raw, headers=headers)
            assert response.status_code == status, response.text

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\x85", "\x00"])
    async def test_a_text_with_a_form_ends_where_its_form_does(self, ada: Caller, end: str) -> None:
        project = await ada.project()
        refused(await ada.patch("/users/me", {"avatar_url": f"https://example.com/a.png{end}"}), 400, "validation")
        refused(await ada.put(f"/projects/{project['id']}/labels/a", {"colour": f"#ffffff{end}"}), 400, "validation")
        refused(await ada.put(f"/projects/{project['id']}/labels/a", {"colour": f"#fffff{end[0]}"}), 400, "validation")

    @pytest.mark.parametrize("unseen", ["\x00", "\x1f", "\x85", "\u200b", "\ufeff", " \t\n\u3000"])
    async def test_a_title_has_something_to_be_seen(self, ada: Caller, unseen: str) -> None:
        refused(await ada.post("/tasks", {"title": unseen}), 400, "validation")
        title = f"{unseen}a{unseen}"
        assert accepted(await ada.post("/tasks", {"title": title}), 201)["title"] == title


class TestPaths:
    async def test_an_encoded_slash_is_a_part_of_a_name(self, ada: Caller) -> None:
        task = (await ada.task())["id"]
        for path in (f"/tasks/{task}%2Fcomments", f"/tasks%2F{task}", f"/tasks/{task}%2f"):
            refused(await ada.get(path), 404, "not-found")
        accepted(await ada.get(f"/tasks/{task}/comments"))


class TestRequestIds:
    async def test_are_kept_and_become_the_events_correlation(self, ada: Caller) -> None:
        response = await ada.post("/tasks", {"title": "x"}, headers={"X-Request-ID": "my/request:1~!"})
        assert response.headers["x-request-id"] == "my/request:1~!"
        task = accepted(response, 201)["id"]
        [event] = accepted(await ada.get(f"/tasks/{task}/events"))["items"]
        assert UUID(event["correlation_id"]).version == 8, "what the client said is nobody else's to read"
        again = accepted(await ada.post("/tasks", {"title": "y"}, headers={"X-Request-ID": "my/request:1~!"}), 201)
        [other] = accepted(await ada.get(f"/tasks/{again['id']}/events"))["items"]
        assert other["correlation_id"] == event["correlation_id"], "the same for the same"

    @pytest.mark.parametrize("form", [str.lower, str.upper])
    async def test_that_are_uuids_are_the_correlation(self, ada: Caller, form: Callable[[str], str]) -> None:
        given = form(str(uuid4()))
        response = await ada.post("/tasks", {"title": "x"}, headers={"X-Request-ID": given})
        assert response.headers["x-request-id"] == given
        [event] = accepted(await ada.get(f"/tasks/{accepted(response, 201)['id']}/events"))["items"]
        assert event["correlation_id"] == given.lower()

    @pytest.mark.parametrize("form", ["{%s}", "urn:uuid:%s", "%s0", "(%s)"])
    async def test_that_only_look_like_uuids_are_derived_from(self, ada: Caller, form: str) -> None:
        given = uuid4()
        for text in (form % given, given.hex):
            task = accepted(await ada.post("/tasks", {"title": "x"}, headers={"X-Request-ID": text}), 201)["id"]
            [event] = accepted(await ada.get(f"/tasks/{task}/events"))["items"]
            assert UUID(event["correlation_id"]).version == 8
            assert event["correlation_id"] != str(given)

    @pytest.mark.parametrize("given", ["", "a b", "x" * 129, "tab\there"])
    async def test_of_another_form_are_replaced(self, http: httpx.AsyncClient, given: str) -> None:
        response = await http.get("/livez", headers={"X-Request-ID": given})
        assert response.headers["x-request-id"] != given
        assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-request-id"])

    async def test_a_trace_goes_on(self, http: httpx.AsyncClient) -> None:
        trace = "0af7651916cd43dd8448eb211c80319c"
        response = await http.get("/livez", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
        assert response.headers["traceparent"].split("-")[1] == trace
        for bad in ("x", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{trace}-short-01"):
            begun = (await http.get("/livez", headers={"traceparent": bad})).headers["traceparent"]
            assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", begun)
            assert trace not in begun


class TestHeaders:
    async def test_stand_on_every_answer(self, http: httpx.AsyncClient, ada: Caller) -> None:
        task = await ada.task()
        read = await ada.read(f"/tasks/{task['id']}", task["position"])
        answers = [
            read,
            await ada.get(f"/tasks/{task['id']}", headers={"If-None-Match": read.headers["etag"]}),
            await http.get("/api/v1/tasks"),
            await http.get("/health"),
            await http.get("/metrics"),
            await http.get("/openapi.json"),
        ]
        assert [answer.status_code for answer in answers] == [200, 304, 401, 200, 200, 200]
        for answer in answers:
            assert answer.headers.keys() >= HEADERS
            assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert read.headers["cache-control"] == "no-store"

    async def test_an_accept_that_cannot_be_met_is_ignored(self, ada: Caller) -> None:
        accepted(await ada.get("/tasks", headers={"Accept": "image/png"}))

    async def test_head_is_get_without_the_body(self, http: httpx.AsyncClient, ada: Caller) -> None:
        response = await ada.call("HEAD", "/projects")
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["content-length"]) > 0
        assert (await http.head("/docs")).status_code == 200

    async def test_the_documents_say_what_is_served(self, http: httpx.AsyncClient) -> None:
        document = accepted(await http.get("/openapi.json"))
        assert document["openapi"].startswith("3.1")
        assert set(document["paths"]["/api/v1/tasks/{task_id}"]) == {"get", "patch", "delete"}
        operations = [one["operationId"] for path in document["paths"].values() for one in path.values()]
        assert len(operations) == len(set(operations))
        page = await http.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "/api/v1/tasks/{task_id}" in page.text
        assert "<script" not in page.text
