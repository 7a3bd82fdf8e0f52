"""The effects that a flow can ask for.

A flow is a generator: it yields an effect, receives its result, and returns an answer. All decisions (retries, tokens,
pages, resuming) are made in flows, once for both clients; `transports` performs the effects, blocking or with `await`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar

import httpx
from msgspec import Struct

A = TypeVar("A")
T = TypeVar("T")


class Send(Struct, frozen=True):
    """Sends a request. Result: the httpx.Response, with its whole body, or the httpx.TransportError."""

    request: httpx.Request


class Open(Struct, frozen=True):
    """As Send, but the body is read later, with Piece. A response that was opened before is closed."""

    request: httpx.Request


class Piece(Struct, frozen=True):
    """Reads on in the open response. Result: bytes, None at its end, or the httpx.TransportError."""


class Pause(Struct, frozen=True):
    """Waits."""

    seconds: float


class Alone(Struct, frozen=True):
    """Runs a flow exclusively: no other call of the same client is in such a flow meanwhile."""

    flow: Generator[Any, Any, None]


class Emit(Struct, Generic[T], frozen=True):
    """Passes an item to the caller, who iterates."""

    item: T


Step = Send | Open | Piece | Pause | Alone
Flow = Generator[Step, Any, A]
EmittingFlow = Generator[Step | Emit[T], Any, None]
"""A flow that also emits items."""
