"""Child processes: they start once, stop when told to, and never outlive their launcher."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow.local.program import CannotStart, Program, Running, finish, free_port, taken, unused_port
from tests.local.processes import alive, until


async def _yes() -> bool:
    return True


def _program(place: Path, *code: str, **fields: object) -> Program:
    given = {
        "name": "child",
        "argv": [sys.executable, "-c", "\n".join(code)],
        "log": place / "child.log",
        "ready": _yes,
    }
    return Program(**(given | fields))  # type: ignore[arg-type]  # a test names only what it is about


def _says_hello(folder: Path) -> Program:
    """Ready when the signal handlers are installed."""

    async def ready() -> bool:
        return (folder / "hello").exists()

    code = (
        "import pathlib, signal, time",
        "signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit(7)))",
        f"pathlib.Path({str(folder / 'hello')!r}).touch()",
        "time.sleep(600)",
    )
    return _program(folder, *code, ready=ready)


async def test_it_is_stopped_by_its_signal(tmp_path: Path) -> None:
    running = Running(_says_hello(tmp_path))
    await running.start()
    await running.stop()
    assert await running.wait() == 7
    assert not running.alive


async def test_a_paused_process_is_stopped_too(tmp_path: Path) -> None:
    running = Running(_says_hello(tmp_path))
    await running.start()
    running.pause()
    await running.stop()
    assert await running.wait() == 7


async def test_a_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "hello"
    code = (
        "import pathlib, signal, time",
        "signal.signal(15, signal.SIG_IGN)",
        f"open({str(ready)!r}, 'w')",
        "time.sleep(600)",
    )

    async def deaf() -> bool:
        return ready.exists()

    running = Running(_program(tmp_path, *code, ready=deaf, stop_timeout_s=0.2))
    await running.start()
    await running.stop()
    assert await running.wait() == -signal.SIGKILL


async def test_the_error_of_a_process_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    with pytest.raises(CannotStart, match=r"child ended at once; the end of .*child\.log:\nno such disk"):
        await Running(_program(tmp_path, "raise SystemExit('no such disk')", ready=never)).start()


async def test_a_process_that_never_becomes_ready_is_killed(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    running = Running(_program(tmp_path, "import time; time.sleep(600)", ready=never, ready_timeout_s=0.3))
    with pytest.raises(CannotStart, match="child is not ready"):
        await running.start()
    assert not running.alive


async def test_the_error_of_a_failed_step_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"(?s)making it failed \(3\).*no luck"):
        await finish(["sh", "-c", "echo no luck; exit 3"], what="making it", log=tmp_path / "step.log")


async def test_the_launchers_secrets_are_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_MASTER_KEY", "hidden")
    code = "import os; print(sorted(name for name in os.environ if name.startswith('TASKFLOW_')))"
    running = Running(_program(tmp_path, code, env={"TASKFLOW_API_PORT": "1"}))
    await running.spawn()
    await running.wait()
    assert running.program.log.read_text() == "['TASKFLOW_API_PORT']\n"


_LAUNCHER = """
import asyncio, pathlib, sys, uvloop
from taskflow.local.program import Program, Running
async def ready(): return True
async def main():
    one = Running(Program(name="child", argv=["sleep", "600"], log=pathlib.Path(sys.argv[1]), ready=ready))
    await one.start()
    print(one.pid, flush=True)
    await asyncio.sleep(600)
uvloop.run(main())
"""


def test_it_dies_with_a_killed_launcher(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _LAUNCHER, str(tmp_path / "child.log")]
    launcher = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    child = int(launcher.stdout.readline())
    assert alive(child)
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    until(lambda: not alive(child))


async def test_it_waits_for_the_process_of_an_earlier_run_and_no_other(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    mine.mkdir()
    others.mkdir()
    shell = shutil.which("tail") or ""
    before = subprocess.Popen(["sleep", "1"], cwd=mine)
    elsewhere = subprocess.Popen(["sleep", "600"], cwd=others)
    visitor = subprocess.Popen([shell, "-f", os.devnull], cwd=mine)
    running = Running(_program(tmp_path, argv=["sleep", "600"], folder=mine))
    try:
        await running.spawn()
        assert before.poll() == 0
        assert elsewhere.poll() is None
        assert visitor.poll() is None
    finally:
        await running.kill()
        for process in (elsewhere, visitor):
            process.kill()
            process.wait()


async def test_the_error_of_a_taken_port_names_its_variable() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"^port {port} for kafka is taken; free it or set TASKFLOW_KAFKA_PORT"):
            await free_port("kafka", port, "TASKFLOW_KAFKA_PORT")
    await free_port("kafka", port, "TASKFLOW_KAFKA_PORT")


def test_unused_ports_differ_and_are_not_assigned_to_clients_or_other_processes() -> None:
    ports = [unused_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert not any(taken(port) for port in ports)
    assert {port // 500 for port in ports} == {ports[0] // 500}
    other = subprocess.run(
        [sys.executable, "-c", "from taskflow.local.program import unused_port; print(unused_port())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(other.stdout) // 500 != ports[0] // 500, "another process answers others"
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < least
