"""Whether MongoDB answers the readers of one API process.

A driver waits for a server that is gone, each time anew, and for one that hangs even longer. Here one
task finds out for all (the watcher of checkpoints, who asks all the time anyway), and nobody else waits.
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

AWAY_S: Final = 2.0
"""Without an answer for so long MongoDB is away. More than one question of the watcher fits into it, so
that a process that is only busy does not turn on itself."""


class MongoBreaker:
    """What the last answer says about the next question."""

    def __init__(self) -> None:
        self._answered_at = time.monotonic()
        self.silent = False
        """Whether the last question had no answer."""

    @property
    def away(self) -> bool:
        return self.silent and time.monotonic() - self._answered_at > AWAY_S

    def answered(self) -> None:
        self._answered_at = time.monotonic()
        self.silent = False

    def failed(self) -> None:
        self.silent = True

    def must_answer(self) -> None:
        """Raises Unavailable while MongoDB is away."""
        if self.away:
            raise Unavailable("the views cannot be read now; try again shortly")


class Reader(Protocol):
    """Whoever reads the views."""

    reach: MongoBreaker


S = TypeVar("S", bound=Reader)


def read_within(
    seconds: float,
) -> Callable[
    [Callable[Concatenate[S, P], Coroutine[Any, Any, T]]], Callable[Concatenate[S, P], Coroutine[Any, Any, T]]
]:
    """Makes a read raise Unavailable after so long, and at once while MongoDB is away."""

    def bound(
        read: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
        @wraps(read)
        async def ask(self: S, /, *arguments: P.args, **named: P.kwargs) -> T:
            self.reach.must_answer()
            try:
                async with asyncio.timeout(seconds):
                    return await read(self, *arguments, **named)
            except (ConnectionFailure, TimeoutError) as error:
                raise Unavailable("the views do not answer; try again shortly") from error

        return ask

    return bound
