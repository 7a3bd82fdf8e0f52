"""Incremental parsers: bytes into lines, and lines into Server-Sent Events, in pieces of any size.

A line ends with LF, CR LF or CR only; `splitlines` would also split at U+2028 and similar characters within a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

_END: Final = re.compile(rb"\r\n|\n|\r")


class Message(Struct, frozen=True):
    """One event. `id` is the last one received, possibly with an earlier event: the one to resume after."""

    type: str
    data: str
    id: str


class Lines:
    """Splits a stream of bytes into lines; `rest` is the unfinished last line."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        text = self.rest + piece
        start = 0
        for end in _END.finditer(text):
            if end[0] == b"\r" and end.end() == len(text):
                break  # the next piece may begin with the LF of this line end
            yield text[start : end.start()]
            start = end.end()
        self.rest = text[start:]


class Messages:
    """Parses a `text/event-stream`. Comments (heartbeats) are ignored; `retry_s` is the pause that the server asked
    for."""

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
                pass  # a comment, or an unknown field
