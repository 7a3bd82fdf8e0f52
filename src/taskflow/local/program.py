"""A child process with a log file, a readiness check and a bounded stop."""

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
from pathlib import Path
from typing import Final

from msgspec import Struct

from taskflow.errors import TaskflowError
from taskflow.local.private import UMASK, open_private
from taskflow.settings import PREFIX

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)
_TEST_PORTS: Final = range(20_000, 32_000)
"""Below the ports that Linux gives to outgoing connections: a client that knocks at a dead server's port
could otherwise be given that very port, connect to itself, and keep the server from coming back."""
_answered: Final[set[int]] = set()
POLL_S: Final = 0.05
ORPHANS_S: Final = 0.5
LEAVE_S: Final = 15.0
"""What a killed launcher left behind has its signal already; after this long it is killed."""


class CannotStart(TaskflowError):
    """A local server or process did not come up; the message says which, why, and where its log is."""


class User(Struct, frozen=True):
    """Whom to become before the program runs."""

    uid: int
    gid: int


class Program(Struct, frozen=True, kw_only=True):
    """What to run. `ready` is asked until it answers True; `user` of None is the launcher's own."""

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] = {}
    folder: Path | None = None
    """Where it works, and nobody else: who is found there belongs to a run before."""
    before: Callable[[], None] | None = None
    """Done at each start, when nobody is left in the folder."""
    user: User | None = None
    stop_signal: int = signal.SIGTERM
    ready_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0


class Running:
    """A started Program. The signals reach the process alone; it has a session of its own, so that
    Ctrl-C is the launcher's to pass on."""

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
        """Starts and waits until it is ready. Raises CannotStart with the end of its log."""
        await self.spawn()
        await self.wait_ready()

    async def spawn(self) -> None:
        """Starts it, once nothing of a run before holds its files."""
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
        """Waits until nothing of a run before works in the program's folder, and in the end kills it.

        A killed launcher's servers write a last checkpoint and hold their lock files meanwhile, and a killed
        PostgreSQL's sessions hold its shared memory until they notice.
        """
        folder = self.program.folder
        # After an end that this launcher has seen, only orphans are left; a busy one would never notice.
        deadline = time.monotonic() + (LEAVE_S if self._process is None else ORPHANS_S)
        while folder is not None and (left := _at_work(folder, self.program.argv[0])):
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
        """Until it ends; its return code."""
        if self._process is None:
            raise AssertionError(f"{self.program.name} was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Asks it to stop, and kills it if it does not in time."""
        if self._process is None or not self.alive:
            return
        self.signal(self.program.stop_signal)
        self.signal(signal.SIGCONT)  # a paused process would not hear
        try:
            await asyncio.wait_for(self._process.wait(), self.program.stop_timeout_s)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
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
    """Runs a step of a preparation to its end. Raises CannotStart with the end of its log."""
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

    # Not the `user` argument of asyncio: uvloop has none, and the order below matters.
    def become() -> None:
        os.umask(UMASK)
        if user is not None:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
        # After the change of user, which would clear it: no orphan outlives a killed launcher. It is tied to
        # the thread that forks: an event loop's, which lives as long as what it starts.
        _LIBC.prctl(_PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:
            os._exit(1)

    # The launcher's own settings hold secrets, which are no server's business; processes get theirs in `env`.
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
            preexec_fn=become,
        )


def _at_work(folder: Path, executable: str) -> list[int]:
    """The processes of that executable, and no other, whose working directory is the folder."""
    binary = Path(shutil.which(executable) or executable).resolve()
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _link(process / "cwd") == folder and _link(process / "exe") == binary
    ]


def _link(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:  # it ended meanwhile, or is another user's
        return None


async def free_port(name: str, port: int, variable: str, *, wait_s: float = 0.0) -> None:
    """Waits a moment for a port to be free. Raises CannotStart naming the variable that moves it."""
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
    """A port that nobody listens on now, that no outgoing connection is given, and that was not answered before."""
    port = next(
        port for port in random.sample(_TEST_PORTS, len(_TEST_PORTS)) if port not in _answered and not taken(port)
    )
    _answered.add(port)
    return port


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
