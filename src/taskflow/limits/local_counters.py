"""Local counters of one process in a fixed amount of memory; a count may be too high, never too low.

They are count-min sketches: each key adds to one cell in every row, and the count of a key is the smallest of its
cells. Nothing is evicted, so a caller cannot reset their own count by sending many other keys. A flood of keys makes
some counts too high instead: a limit is then reached earlier, never later. Cells are chosen by a keyed hash, so that a
caller cannot choose keys that share another caller's cells.
"""

from __future__ import annotations

import math
import secrets
from array import array
from hashlib import blake2b
from typing import Final, Literal

from taskflow.limits.limit import Bucket, Counted, Window

ROWS: Final = 4
CELLS: Final = 65_536
"""Cells of each row. The cells of a window take 1 MiB, those of a bucket 2 MiB. After 65,536 keys with one request
each, one in six new keys starts with a count of one instead of zero."""
_TOLERANCE: Final = 1e-3
"""Tolerance for comparing sums of fractional weights."""


class LocalWindows:
    """Counts within fixed windows of the monotonic clock."""

    def __init__(self, limit: Window) -> None:
        self._limit = limit
        self._salt = secrets.token_bytes(16)
        self._window = -1
        self._rows: list[array[float]] = []

    def look(self, key: str, now: float) -> float:
        """The count of a key in the current window, never too low."""
        self._turn(now)
        return min(row[cell] for row, cell in zip(self._rows, _cells(key, self._salt), strict=True))

    def add(self, key: str, weight: float, now: float) -> None:
        """Adds to the count of a key; a negative weight subtracts what was added before in this window."""
        self._turn(now)
        for row, cell in zip(self._rows, _cells(key, self._salt), strict=True):
            row[cell] = max(0.0, row[cell] + weight)

    def reset_s(self, now: float) -> int:
        return max(1, math.ceil(self._limit.window_s - now % self._limit.window_s))

    def take(self, key: str, cost: int, processes: int, now: float) -> Counted:
        """Counts against this process's share of the limit, unless that is used up."""
        weight = weight_of(self._limit.quota, processes) * cost
        counted = self.look(key, now)
        if counted + weight > self._limit.quota + _TOLERANCE:
            return Counted(-1, self.reset_s(now))
        self.add(key, weight, now)
        return Counted(int((self._limit.quota - counted - weight + _TOLERANCE) / weight * cost), self.reset_s(now))

    def _turn(self, now: float) -> None:
        window = int(now // self._limit.window_s)
        if window != self._window:
            self._window = window
            self._rows = _zeros("f")


class LocalBuckets:
    """Token buckets; each is stored as the time at which it will be full again."""

    def __init__(self, limit: Bucket) -> None:
        self._limit = limit
        self._salt = secrets.token_bytes(16)
        self._rows: list[array[float]] = _zeros("d")

    def add(self, key: str, cost: int, now: float) -> None:
        """Records tokens that Redis has granted."""
        self._fill(key, cost / self._limit.per_s, now)

    def take(self, key: str, cost: int, processes: int, now: float) -> Counted:
        """Takes tokens from this process's share of the bucket, which is smaller and fills more slowly by the same
        factor."""
        token_s = weight_of(self._limit.size, processes) / self._limit.per_s
        full_s = self._limit.size / self._limit.per_s
        missing_s = self._full_at(key, now) + cost * token_s - now
        if missing_s > full_s + _TOLERANCE:
            return Counted(-1, max(1, math.ceil(missing_s - full_s)))
        self._fill(key, cost * token_s, now)
        return Counted(int((full_s - missing_s + _TOLERANCE) / token_s), max(1, math.ceil(token_s)))

    def _full_at(self, key: str, now: float) -> float:
        return max(now, min(row[cell] for row, cell in zip(self._rows, _cells(key, self._salt), strict=True)))

    def _fill(self, key: str, by_s: float, now: float) -> None:
        full_at = self._full_at(key, now) + by_s
        for row, cell in zip(self._rows, _cells(key, self._salt), strict=True):
            # The maximum, not the sum: a cell shared with another key needs only the later of the two times.
            row[cell] = max(row[cell], full_at)


def weight_of(quota: int, processes: int) -> float:
    """The weight of one request counted locally, such that a process's share (at least one request) fills the whole
    quota."""
    return quota / max(1, quota // processes)


def _zeros(kind: Literal["f", "d"]) -> list[array[float]]:
    return [array(kind, [0.0]) * CELLS for _ in range(ROWS)]


def _cells(key: str, salt: bytes) -> tuple[int, ...]:
    digest = blake2b(key.encode(), digest_size=4 * ROWS, key=salt).digest()
    return tuple(int.from_bytes(digest[at : at + 4], "big") % CELLS for at in range(0, 4 * ROWS, 4))
