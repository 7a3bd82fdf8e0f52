"""What the kernel says about a process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

BOUND_S = 20.0


def alive(pid: int) -> bool:
    """Whether it runs; one that ended and that nobody has asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, f"waited {BOUND_S} s"
        time.sleep(0.02)
