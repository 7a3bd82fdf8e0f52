"""Counters of one process in a fixed amount of memory, that never count less than there was.

A count-min sketch: each key adds to one cell in every row, and its count is the least of its cells. There is nothing
to evict, so nobody can push their own count out by sending many other keys. What a flood of keys does instead is that
some are counted higher than they were: a limit then holds earlier, never later. Cells are chosen by a keyed hash, so
nobody can choose keys that meet another's.
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
"""Of each row. A window's cells weigh 1 MiB, a bucket's 2; after 65,536 keys with one count each, a sixth of all new keys
begin at one instead of none."""
_NEAR: Final = 1e-3
"""Sums of shares that are not whole are compared with this slack."""


class LocalWindows:
    """Counts within fixed windows of the monotonic clock."""

    def __init__(self, limit: Window) -> None:
        self._limit = limit
        self._salt = secrets.token_bytes(16)
        self._window = -1
        self._rows: list[array[float]] = []

    def look(self, key: str, now: float) -> float:
        """What was counted for a key in this window, at least."""
        self._turn(now)
        return min(row[cell] for row, cell in zip(self._rows, _cells(key, self._salt), strict=True))

    def add(self, key: str, weight: float, now: float) -> None:
        """Counts; a negative weight gives back what was counted before, in this window."""
        self._turn(now)
        for row, cell in zip(self._rows, _cells(key, self._salt), strict=True):
            row[cell] = max(0.0, row[cell] + weight)

    def reset_s(self, now: float) -> int:
        return max(1, math.ceil(self._limit.window_s - now % self._limit.window_s))

    def take(self, key: str, cost: int, processes: int, now: float) -> Counted:
        """Counts against one process's share of the limit, where that is not used up."""
        weight = weight_of(self._limit.quota, processes) * cost
        counted = self.look(key, now)
        if counted + weight > self._limit.quota + _NEAR:
            return Counted(-1, self.reset_s(now))
        self.add(key, weight, now)
        return Counted(int((self._limit.quota - counted - weight + _NEAR) / weight * cost), self.reset_s(now))

    def _turn(self, now: float) -> None:
        window = int(now // self._limit.window_s)
        if window != self._window:
            self._window = window
            self._rows = _zeros("f")


class LocalBuckets:
    """Token buckets, each as the time at which it will be full again."""

    def __init__(self, limit: Bucket) -> None:
        self._limit = limit
        self._salt = secrets.token_bytes(16)
        self._rows: list[array[float]] = _zeros("d")

    def add(self, key: str, cost: int, now: float) -> None:
        """Notes what another counter has granted."""
        self._fill(key, cost / self._limit.per_s, now)

    def take(self, key: str, cost: int, processes: int, now: float) -> Counted:
        """Takes from one process's share of the bucket: so much smaller, and filled so much more slowly."""
        token_s = weight_of(self._limit.size, processes) / self._limit.per_s
        full_s = self._limit.size / self._limit.per_s
        missing_s = self._full_at(key, now) + cost * token_s - now
        if missing_s > full_s + _NEAR:
            return Counted(-1, max(1, math.ceil(missing_s - full_s)))
        self._fill(key, cost * token_s, now)
        return Counted(int((full_s - missing_s + _NEAR) / token_s), max(1, math.ceil(token_s)))

    def _full_at(self, key: str, now: float) -> float:
        return max(now, min(row[cell] for row, cell in zip(self._rows, _cells(key, self._salt), strict=True)))

    def _fill(self, key: str, by_s: float, now: float) -> None:
        full_at = self._full_at(key, now) + by_s
        for row, cell in zip(self._rows, _cells(key, self._salt), strict=True):
            # Not added to what others left in the cell: the later of the two is enough for both.
            row[cell] = max(row[cell], full_at)


def weight_of(quota: int, processes: int) -> float:
    """What one of a process's own counts as, so that its share fills the whole quota: at least one goes through."""
    return quota / max(1, quota // processes)


def _zeros(kind: Literal["f", "d"]) -> list[array[float]]:
    return [array(kind, [0.0]) * CELLS for _ in range(ROWS)]


def _cells(key: str, salt: bytes) -> tuple[int, ...]:
    digest = blake2b(key.encode(), digest_size=4 * ROWS, key=salt).digest()
    return tuple(int.from_bytes(digest[at : at + 4], "big") % CELLS for at in range(0, 4 * ROWS, 4))
