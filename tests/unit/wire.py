"""A wire for clients to be tried on: it answers what it was told to, and keeps what was asked."""

from __future__ import annotations

from typing import Any

import httpx

from taskflow.client import Client, Retries, Tokens

URL = "http://taskflow.test"
AT_ONCE = Retries(random_share=lambda: 0.0)

Answer = httpx.Response | Exception


TASK = {
    "id": "01a20e8c-46be-743b-ace1-62ad7a0754dd",
    "project_id": "01a20e8c-46be-743b-ace1-62ad7a0754dd",
    "title": "t",
    "status": "todo",
    "status_category": "todo",
    "priority": "medium",
    "created_at": "2026-11-27T12:00:00.000000Z",
    "updated_at": "2026-11-27T12:00:00.000000Z",
    "version": 1,
}


def answer(status: int, slug: str = "", headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    body = {"type": f"/problems/{slug}", "title": "T", "status": status, "detail": "said", "instance": "/x"} | more
    return httpx.Response(status, json=body, headers=headers or {})


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
        given: dict[str, Any] = {"token": "t", "retries": AT_ONCE}
        return Client(URL, transport=httpx.MockTransport(self), **(given | more))

    def header(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.asked]


def ok(body: Any = None, status: int = 200, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=TASK if body is None else body, headers=named)


def broken() -> httpx.TransportError:
    return httpx.ReadError("cut off")


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
