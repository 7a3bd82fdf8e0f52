"""Something that runs and is broken on purpose: a server, or a process of taskflow."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from taskflow.local.program import Running


class Victim:
    """A child that is killed, frozen and started again; it knows whether its end was meant."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._down = False
        self._frozen: list[int] = []
        self.falls: list[str] = []
        """Ends that nobody asked for, each with the end of the log."""

    @property
    def name(self) -> str:
        return self._running.program.name

    @property
    def alive(self) -> bool:
        return self._running.alive

    async def raise_if_fallen(self) -> None:
        """Started again if it ended without being told to, which is written down."""
        if self._note_fall():
            await self.start()

    def _note_fall(self) -> bool:
        fell = not self._down and not self.alive
        if fell:
            self.falls.append(f"{self.name} ended by itself; the end of its log:\n{self.log_tail()}")
        return fell

    async def start(self) -> None:
        await self._running.start()
        self._down = False

    async def kill(self) -> None:
        self._note_fall()
        self._down = True
        await self._running.kill()

    async def stop(self) -> None:
        """In order."""
        self._note_fall()
        self._down = True
        await self._running.stop()

    async def end(self) -> int:
        """Waits until it ends by itself; its exit code."""
        return await self._running.wait()

    def replace(self, running: Running) -> None:
        """Another program in its place; the old one must have ended."""
        self._running = running

    def freeze(self) -> None:
        """SIGSTOP, to it and to all that it started: PostgreSQL is a process a connection."""
        self._send(signal.SIGSTOP, [self._running.pid])
        self._frozen = [self._running.pid, *_children(self._running.pid)]
        self._send(signal.SIGSTOP, self._frozen)

    def thaw(self) -> None:
        self._send(signal.SIGCONT, self._frozen)
        self._frozen = []

    @staticmethod
    def _send(number: int, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def log_tail(self, characters: int = 3000) -> str:
        path = self._running.program.log
        return path.read_text(errors="replace")[-characters:] if path.exists() else "(no log)"


def _children(parent: int) -> list[int]:
    """All that a process has started, and they in turn."""
    started: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                started.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [parent]
    while waiting:
        children = started.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
