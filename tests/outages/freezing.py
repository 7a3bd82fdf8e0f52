"""Stopping a server as a hung disk or a hung machine does: it listens, and answers nobody."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from tests.local.processes import below


def freeze(pid: int) -> None:
    """SIGSTOP to a process and all below it: PostgreSQL is many."""
    _signal_all(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    _signal_all(pid, signal.SIGCONT)


def _signal_all(pid: int, number: int) -> None:
    for one in (pid, *below(pid)):
        with suppress(ProcessLookupError):
            os.kill(one, number)
