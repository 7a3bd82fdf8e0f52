"""Runs a child process with a log file, a readiness check and a time limit for stopping."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from taskflow.errors import TaskflowError
from taskflow.local.private import UMASK, open_private
from taskflow.settings import PREFIX

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_TEST_PORTS: Final = [range(start, start + 500) for start in range(20_000, 32_000, 500)]
"""One range for each process that asks. All are below the ports that Linux assigns to outgoing connections: a client
that connects to the port of a dead server could otherwise be assigned that same port, connect to itself, and prevent the
server from restarting."""
_answered: Final[set[int]] = set()
POLL_S: Final = 0.05
ORPHANS_NOTICE_S: Final = 0.5
ORPHANS_TIMEOUT_S: Final = 15.0
"""Processes left by a killed launcher have already been told to stop; after this time they are killed."""


class CannotStart(TaskflowError):
    """A local server or process did not come up; the message says which, why, and where its log is."""


class User(Struct, frozen=True):
    """The user to run the program as."""

    uid: int
    gid: int


class Program(Struct, frozen=True, kw_only=True):
    """A program to run. `ready` is called until it returns True; without `user` it runs as the launcher's user."""

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = {}
    folder: Path | None = None
    """Its exclusive working directory: any process found there belongs to an earlier run."""
    before: Callable[[], None] | None = None
    """Called before each start, when no process is left in the folder."""
    user: User | None = None
    stop_signal: int = signal.SIGTERM
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0


class Running:
    """A running Program. It has its own session, so that Ctrl-C reaches only the launcher, which then stops it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise AssertionError(f"{self.program.name} was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it and waits until it is ready. Raises CannotStart with the end of its log."""
        await self.spawn()
        await self.wait_ready()

    async def spawn(self) -> None:
        """Starts it after all processes of an earlier run have ended."""
        await self.settle()
        program = self.program
        if program.before is not None:
            program.before()
        self._process = await _spawn(
            program.argv,
            program.log,
            program.user,
            stop_signal=program.stop_signal,
            env=program.env,
            folder=program.folder,
        )

    async def settle(self) -> None:
        """Waits until no process of an earlier run is left in the program's folder; kills those that take too long.

        Servers of a killed launcher hold their lock files while they write a last checkpoint, and the sessions of a
        killed PostgreSQL hold its shared memory until they notice.
        """
        folder = self.program.folder
        # If this launcher started it, only orphaned children can be left; a busy one would never end by itself.
        deadline = time.monotonic() + (ORPHANS_TIMEOUT_S if self._process is None else ORPHANS_NOTICE_S)
        while folder is not None and (left := _pids_running(folder, self.program.argv[0])):
            if time.monotonic() > deadline:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(POLL_S)

    async def wait_ready(self) -> None:
        deadline = time.monotonic() + self.program.ready_timeout_s
        while self.alive and time.monotonic() < deadline:
            if await self.program.ready():
                return
            await asyncio.sleep(POLL_S)
        why = "is not ready" if self.alive else "ended at once"
        await self.kill()
        raise CannotStart(f"{self.program.name} {why}; the end of {self.program.log}:\n{_tail(self.program.log)}")

    async def wait(self) -> int:
        """Waits until it ends; returns its exit code."""
        if self._process is None:
            raise AssertionError(f"{self.program.name} was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Tells it to stop, and kills it if it takes too long."""
        if self._process is None or not self.alive:
            return
        self.signal(self.program.stop_signal)
        self.signal(signal.SIGCONT)  # a stopped process would not handle the signal
        try:
            await asyncio.wait_for(self._process.wait(), self.program.stop_timeout_s)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Kills it with SIGKILL, like a crash."""
        if self._process is not None and self.alive:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


async def finish(argv: Sequence[str], *, what: str, log: Path, user: User | None = None) -> None:
    """Runs a preparation step until it ends. Raises CannotStart with the end of its log."""
    process = await _spawn(argv, log, user, stop_signal=signal.SIGKILL)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise
    if code:
        raise CannotStart(f"{what} failed ({code}); the end of {log}:\n{_tail(log)}")


async def _spawn(
    argv: Sequence[str],
    log: Path,
    user: User | None,
    *,
    stop_signal: int,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> asyncio.subprocess.Process:
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    parent = os.getpid()

    # Instead of the `user` argument of asyncio, because uvloop has none and the order below matters.
    def prepare_child() -> None:
        os.umask(UMASK)
        if user is not None:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
        # So that the process dies with a killed launcher. Set after the change of user, which would clear it. It is
        # tied to the thread that forks: that of the event loop, which lives as long as the process.
        _LIBC.prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:
            os._exit(1)

    # The launcher's settings hold secrets that servers must not get; taskflow's processes get theirs in `env`.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with open_private(log, "ab") as output:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**inherited, **(env or {})},
            cwd=folder,
            start_new_session=True,
            preexec_fn=prepare_child,
        )


def _pids_running(folder: Path, executable: str) -> list[int]:
    """The ids of processes that run this executable in this working directory."""
    binary = Path(shutil.which(executable) or executable).resolve()
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _link(process / "cwd") == folder and _link(process / "exe") == binary
    ]


def _link(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:  # it has ended, or belongs to another user
        return None


async def free_port(name: str, port: int, variable: str, *, wait_s: float = 0.0) -> None:
    """Waits up to `wait_s` for a free port. Raises CannotStart with the variable that sets another port."""
    deadline = time.monotonic() + wait_s
    while taken(port):
        if time.monotonic() >= deadline:
            raise CannotStart(f"port {port} for {name} is taken; free it or set {variable} to another")
        await asyncio.sleep(POLL_S)


def taken(port: int) -> bool:
    """Whether the port cannot be bound on the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def unused_port() -> int:
    """A port that is free now, is not assigned to outgoing connections, and was not returned before.

    Nor is it returned to another process. A port stays free for a while, before its server starts or after that server
    was killed; two servers of two test runs must not have the same one.
    """
    ports, _ = _reserved_ports()
    port = next(port for port in random.sample(ports, len(ports)) if port not in _answered and not taken(port))
    _answered.add(port)
    return port


@cache
def _reserved_ports() -> tuple[range, socket.socket]:
    """A range of ports for this process alone, and the socket that reserves it: the kernel gives a name to one socket,
    until that is closed."""
    reservation = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    for ports in random.sample(_TEST_PORTS, len(_TEST_PORTS)):
        with suppress(OSError):
            reservation.bind(f"\0taskflow-ports-{ports.start}")
            return ports, reservation
    raise CannotStart(f"{len(_TEST_PORTS)} processes have reserved ports for tests: wait until one of them has ended")


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
