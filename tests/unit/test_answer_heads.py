"""The head of an answer, written at once, is what uvicorn writes field by field."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from taskflow.api.protocol import _Cycle

CONTROLS = [*range(0x09), *range(0x0A, 0x20), 0x7F]
Fields = list[tuple[bytes, bytes]]

names = st.from_regex(rb"x-[a-z]{1,10}", fullmatch=True)
values = st.binary(max_size=30).map(lambda value: bytes(byte for byte in value if byte not in CONTROLS))
fields = st.lists(st.tuples(names, values), max_size=8)
connections = st.sampled_from([[], [(b"connection", b"close")], [(b"connection", b"keep-alive")]])


class Written(asyncio.Transport):
    """Keeps what is written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True


def answer(
    cycle: type[RequestResponseCycle], headers: Fields, body: bytes, *, method: str = "GET", keep_alive: bool = True
) -> tuple[bytes, bool]:
    """What the client of an answer gets, and whether the connection was closed."""

    async def run() -> tuple[bytes, bool]:
        transport = Written()
        scope: Any = {"type": "http", "method": method, "state": {}, "headers": []}
        one = cycle(
            scope=scope,
            transport=transport,
            flow=FlowControl(transport),
            logger=logging.getLogger(__name__),
            access_logger=logging.getLogger(__name__),
            access_log=False,
            default_headers=[(b"date", b"Tue, 01 Dec 2026 10:00:00 GMT")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=lambda: None,
        )
        await one.send({"type": "http.response.start", "status": 201, "headers": headers, "trailers": False})
        await one.send({"type": "http.response.body", "body": body, "more_body": False})
        return transport.data, transport.closed

    return asyncio.run(run())


@given(fields, connections, st.binary(max_size=40), st.booleans(), st.sampled_from(["GET", "HEAD"]), st.booleans())
def test_an_answer_is_as_uvicorn_sends_it(
    some: Fields, connection: Fields, body: bytes, with_length: bool, method: str, keep_alive: bool
) -> None:
    length = [(b"content-length", b"%d" % len(body))] if with_length else []
    headers = [*some, *connection, *length]
    ours = answer(_Cycle, headers, body, method=method, keep_alive=keep_alive)
    assert ours == answer(RequestResponseCycle, headers, body, method=method, keep_alive=keep_alive)


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_character_in_a_field_is_refused(control: int) -> None:
    headers = [(b"x-name", b"a" + bytes([control]) + b"b"), (b"content-length", b"2")]
    with pytest.raises(RuntimeError, match="control character"):
        answer(_Cycle, headers, b"{}")


@pytest.mark.parametrize("lengths", [b"1", b"3"])
def test_a_body_of_another_length_is_refused(lengths: bytes) -> None:
    with pytest.raises(RuntimeError, match="Content-Length"):
        answer(_Cycle, [(b"content-length", lengths)], b"{}")
