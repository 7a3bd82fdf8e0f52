"""Requests damaged at random: whatever they became, they are answered in order, and never by a fault of ours."""

from __future__ import annotations

import random

import pytest

from tests.api.raw import connection, get
from tests.api.stack import Caller, Stack
from tests.api.test_middleware import HEADERS

EACH = 60
PIECES = [
    *(b"\r\n", b"\n", b"\r", b"\x00", b"\xff", b" ", b"\t", b":", b"/", b"//", b"..", b"%", b"%2e", b"%00", b"?", b"#"),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"0\r\n\r\n",
    ),
    *(
        b"Connection: close\r\n",
        b"Host: y\r\n",
        b"Expect: 100-continue\r\n",
        b"HTTP/1.0",
        b"9" * 30,
        b"a" * 5_000,
        b";",
    ),
]


def damaged(dice: random.Random, raw: bytes) -> bytes:
    """A few places of it cut out, doubled or filled with something else."""
    for _ in range(dice.randint(1, 4)):
        at, size = dice.randrange(len(raw) + 1), dice.randint(0, 6)
        between = dice.choice([b"", dice.choice(PIECES), raw[at : at + dice.randint(0, 40)], dice.randbytes(2)])
        raw = raw[:at] + between + raw[at + size :]
    return raw


@pytest.mark.parametrize("seed", range(10))
async def test_no_damage_is_a_fault_of_ours(stack: Stack, ada: Caller, seed: int) -> None:
    dice = random.Random(seed)
    token = f"Authorization: Bearer {ada.token}"
    body = b'{"title": "x"}'
    json = (b"Content-Type: application/json", f"Content-Length: {len(body)}".encode())
    head = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + token.encode() + b"\r\n"
    whole = [
        get("/api/v1/tasks?limit=2", token, "Accept: application/json;q=0.5", 'If-None-Match: "x"'),
        get("/api/v1/stream", token, "Last-Event-ID: 1", method="HEAD"),
        head + b"\r\n".join(json) + b"\r\n\r\n" + body,
        head
        + json[0]
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n"
        + body[:7]
        + b"\r\n7;a=b\r\n"
        + body[7:]
        + b"\r\n0\r\n\r\n",
        get("/livez") * 3,
    ]
    for _ in range(EACH):
        raw = damaged(dice, dice.choice(whole))
        async with connection(stack.urls[0]) as one:
            await one.send(raw)
            one.writer.write_eof()
            answer = await one.answer(head=True)
            assert answer is not None or not raw.strip(b"\r\n"), raw
            if answer is not None:
                assert answer.status < 500, (raw, answer)
                assert answer.headers.keys() >= HEADERS, (raw, answer)
