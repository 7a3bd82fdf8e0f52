"""Makes the C allocator give memory back that large batches used (ADR 34).

glibc keeps freed memory in up to eight arenas a core, each for the threads that took it, and raises by itself the size
from which a block is given back at once. A process that caught up after a pause would keep several times what it uses.
"""

from __future__ import annotations

import ctypes
from typing import Final

ARENAS_MAX: Final = 2
MMAP_BYTES_MIN: Final = 262_144
"""A block of this size has pages of its own, which are given back once it is free. Setting it stops glibc from raising
it."""
TRIM_BYTES: Final = 1_048_576
"""Free memory at an arena's end above this is given back."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def limit_free_memory() -> bool:
    """Sets the limits for this process, before it starts threads. Returns whether the C library knows them."""
    libc = ctypes.CDLL(None)
    mallopt = getattr(libc, "mallopt", None)
    if mallopt is None:
        return False
    limits = {_M_ARENA_MAX: ARENAS_MAX, _M_MMAP_THRESHOLD: MMAP_BYTES_MIN, _M_TRIM_THRESHOLD: TRIM_BYTES}
    return all([mallopt(name, value) for name, value in limits.items()])


def give_back() -> None:
    """Gives free memory back at once, also from the middle of an arena: a millisecond for each 100 MB or so."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
