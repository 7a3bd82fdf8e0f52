"""Bytes into lines, and lines into Server-Sent Events, however the network cuts them.

Lines end with LF, CR LF or CR and with nothing else: a text may hold U+2028 and its kin, at which `splitlines`
would cut it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_END: Final = re.compile(rb"\r\n|\n|\r")


class Message(Struct, frozen=True):
    """`id` is that of the last message which had one, as resuming needs it."""

    type: str
    data: str
    id: str


class Lines:
    """Cuts a stream of bytes into lines; `rest` is what has no end yet."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        text = self.rest + piece
        start = 0
        for end in _END.finditer(text):
            if end[0] == b"\r" and end.end() == len(text):
                break  # whether a LF follows comes with the next piece
            yield text[start : end.start()]
            start = end.end()
        self.rest = text[start:]


class Messages:
    """Reads a `text/event-stream`. Comments (heartbeats) say nothing; `retry_s` is what the server asked for."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._type = ""
        self._data: list[str] = []
        self._id = ""
        self.retry_s: float | None = None

    def feed(self, piece: bytes) -> Iterator[Message]:
        for line in self._lines.feed(piece):
            if line:
                self._take(line)
                continue
            if self._data:
                yield Message(self._type or "message", "\n".join(self._data), self._id)
            self._type, self._data = "", []

    def _take(self, line: bytes) -> None:
        name, _, raw = line.partition(b":")
        value = raw.removeprefix(b" ").decode(errors="replace")
        match name:
            case b"event":
                self._type = value
            case b"data":
                self._data.append(value)
            case b"id" if "\0" not in value:
                self._id = value
            case b"retry" if value.isascii() and value.isdigit():
                self.retry_s = int(value) / 1000
            case _:
                pass  # a comment, or a field of tomorrow
