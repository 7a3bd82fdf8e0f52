"""Circuit breaker for the reads of MongoDB by one API process.

Without a breaker, every read would wait for an unavailable server until the driver's timeout, and longer for a server
that hangs. Here the watcher of checkpoints, which reads all the time anyway, detects the failure, and all other reads
fail at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from pymongo.errors import ConnectionFailure

from taskflow.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

UNANSWERED_S_MAX: Final = 2.0
"""After this time without an answer MongoDB counts as unavailable. Longer than one read of the watcher, so that a busy
process does not mistake its own delay for a failure."""


class MongoBreaker:
    """The state of the breaker, updated by the watcher of checkpoints."""

    def __init__(self) -> None:
        self._answered_at = time.monotonic()
        self.unanswered = False
        """Whether the watcher's last read had no answer."""

    @property
    def away(self) -> bool:
        return self.unanswered and time.monotonic() - self._answered_at > UNANSWERED_S_MAX

    def answered(self) -> None:
        self._answered_at = time.monotonic()
        self.unanswered = False

    def failed(self) -> None:
        self.unanswered = True

    def require_available(self) -> None:
        """Raises Unavailable while MongoDB is unavailable."""
        if self.away:
            raise Unavailable("the views cannot be read now; try again shortly")


class Reader(Protocol):
    """A class that reads the views, with its breaker."""

    breaker: MongoBreaker


S = TypeVar("S", bound=Reader)


def read_within(
    seconds: float,
) -> Callable[
    [Callable[Concatenate[S, P], Coroutine[Any, Any, T]]], Callable[Concatenate[S, P], Coroutine[Any, Any, T]]
]:
    """Makes a read raise Unavailable after a timeout, and at once while MongoDB is unavailable."""

    def bound(
        read: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
        @wraps(read)
        async def ask(self: S, /, *arguments: P.args, **named: P.kwargs) -> T:
            self.breaker.require_available()
            try:
                async with asyncio.timeout(seconds):
                    return await read(self, *arguments, **named)
            except (ConnectionFailure, TimeoutError) as error:
                raise Unavailable("the views do not answer; try again shortly") from error

        return ask

    return bound
