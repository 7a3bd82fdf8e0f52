"""Decides whether a call is retried, and after how long, from the outcome of the last attempt. Pure.

A call is retried if it cannot take effect twice: a read, or a write under its idempotency key. The reasons are a broken
connection, 429, 503, and 409 `command-in-progress` (only a repeat meets it: the first copy still runs). The bound of
the pause doubles each time, and the pause is uniformly random between zero and the bound (full jitter), so that many
clients do not return at once. A `Retry-After` is waited for in full, and the jitter is added to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import httpx
from msgspec import Struct

from taskflow.client.errors import CommandInProgress, problem_of, retry_after

ATTEMPTS_MAX: Final = 5
TOTAL_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.25
PAUSE_MAX_S: Final = 8.0

_TRANSIENT_STATUS_CODES: Final = frozenset((429, 503))
_BROKEN_CONNECTION: Final = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)

Outcome = httpx.Response | httpx.TransportError
"""The outcome of one attempt."""


class Retries(Struct, frozen=True, kw_only=True):
    """The bounds of retrying: the number of attempts; no attempt begins later than `total_s` after the first."""

    attempts_max: int = ATTEMPTS_MAX
    total_s: float = TOTAL_S
    first_pause_s: float = FIRST_PAUSE_S
    pause_max_s: float = PAUSE_MAX_S
    random_share: Callable[[], float] = random.random
    """The random source of the jitter: a number from 0 to 1."""

    def jitter(self, failures: int) -> float:
        """Seconds to wait after this many consecutive failures (at least one)."""
        bound = min(self.pause_max_s, self.first_pause_s * 2.0 ** min(failures - 1, 30))
        return self.random_share() * bound

    def pause(self, outcome: Outcome, *, attempts: int, spent_s: float) -> float | None:
        """Seconds to wait before the next attempt; None if this outcome is final."""
        if attempts >= self.attempts_max or not is_transient(outcome):
            return None
        pause = self.jitter(attempts)
        if isinstance(outcome, httpx.Response):
            pause += retry_after(outcome.headers.get("retry-after"), datetime.now(UTC)) or 0.0
        return pause if spent_s + pause <= self.total_s else None


ONCE: Final = Retries(attempts_max=1)
"""For calls that could take effect twice."""


def is_transient(outcome: Outcome) -> bool:
    """Whether the outcome is transient, so that the same request may succeed later."""
    if isinstance(outcome, httpx.Response):
        if outcome.status_code == httpx.codes.CONFLICT:
            return isinstance(problem_of(outcome), CommandInProgress)
        return outcome.status_code in _TRANSIENT_STATUS_CODES
    return isinstance(outcome, _BROKEN_CONNECTION)
