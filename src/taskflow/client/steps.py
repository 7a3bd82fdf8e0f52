"""What a client has to do, apart from doing it.

A flow is a generator: it yields a step, is sent what came of it, and returns an answer. Everything that is
decided (retries, tokens, pages, resuming) stands in flows, once; `faces` carries the steps out, with and
without `await`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

import httpx
from msgspec import Struct

A = TypeVar("A")
T = TypeVar("T")


class Send(Struct, frozen=True):
    """Sent back: the httpx.Response, read whole, or the httpx.TransportError."""

    request: httpx.Request


class Open(Struct, frozen=True):
    """As Send, for an answer that is read piece by piece. The one that was open before is closed."""

    request: httpx.Request


class Piece(Struct, frozen=True):
    """The next bytes of the open answer. Sent back: bytes, None at its end, or the httpx.TransportError."""


class Pause(Struct, frozen=True):
    seconds: float


class Alone(Struct, frozen=True):
    """A flow that no two calls of a client are in at once."""

    flow: Generator[Any, Any, None]


class Emit(Struct, Generic[T], frozen=True):
    """An item for whoever iterates."""

    item: T


Step = Send | Open | Piece | Pause | Alone
Flow = Generator[Step, Any, A]
Telling = Generator[Step | Emit[T], Any, None]
"""A flow that emits items on its way."""
