"""Stopping a server as a hung disk or a hung machine does: it listens, and answers nobody."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def freeze(pid: int) -> None:
    """SIGSTOP to a process and all below it: PostgreSQL is many."""
    _signal_all(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    _signal_all(pid, signal.SIGCONT)


def _signal_all(pid: int, number: int) -> None:
    for one in (pid, *_below(pid)):
        with suppress(ProcessLookupError):
            os.kill(one, number)


def _below(pid: int) -> list[int]:
    """The processes that descend from one."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(path.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = parents.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
