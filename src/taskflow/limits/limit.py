"""The two kinds of rate limit, window and token bucket, and the result of counting against one."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Window(Struct, frozen=True):
    """A fixed window: at most `quota` requests in `window_s` seconds, beginning with the first request."""

    name: str
    quota: int
    window_s: int
    remembered: bool = False
    """Whether the local count also limits when Redis has lost its own (a restart, an eviction). For limits that guard
    passwords. Local counts of a process with many keys may be too high, so other limits do without."""


class Bucket(Struct, frozen=True):
    """A token bucket: holds `size` tokens and gains `per_s` every second."""

    name: str
    size: int
    per_s: int


class Counted(NamedTuple):
    """The result: `left` is what remains of the quota, or -1 if the request was refused and not counted."""

    left: int
    reset_s: int
    """Seconds until more is available; for a window, until it ends."""

    @property
    def is_refused(self) -> bool:
        return self.left < 0
