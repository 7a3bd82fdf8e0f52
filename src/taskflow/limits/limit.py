"""What a limit is, and what counting against it answers."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Window(Struct, frozen=True):
    """At most `quota` in `window_s` seconds, from the first one on."""

    name: str
    quota: int
    window_s: int
    remembered: bool = False
    """Whether this process's own count holds also where Redis has lost its own (a restart, an eviction): for what
    guards passwords. A process that counts many keys may count some too high, which other limits do not need."""


class Bucket(Struct, frozen=True):
    """A token bucket: `size` at once, and `per_s` more every second."""

    name: str
    size: int
    per_s: int


class Counted(NamedTuple):
    """What is left after something was counted; -1: it was refused, and was not counted."""

    left: int
    reset_s: int
    """Until there is more: of a window, until it ends."""

    @property
    def is_refused(self) -> bool:
        return self.left < 0
