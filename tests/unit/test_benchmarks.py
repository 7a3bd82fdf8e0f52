"""Benchmarks: what a round must have measured, what the table shows, and that nothing stays paused behind them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from benchmarks.report import RoundFailed, Row, Sample, table

ROOT = Path(__file__).parent.parent.parent
PAUSED = """
import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from benchmarks.interruptible import interruptible
from benchmarks.world import Process

async def work():
    async with AsyncExitStack() as stack:
        process = await Process.start(["sleep", "600"], {}, Path("/dev/null"))
        stack.push_async_callback(process.end)
        process.pause()
        print(process.pid, flush=True)
        await asyncio.sleep(600)

raise SystemExit(asyncio.run(interruptible(work())))
"""


@pytest.mark.parametrize(
    ("latencies", "failed", "fails"), [([], 0, True), ([], 5, True), ([1.0] * 98, 2, True), ([1.0] * 99, 1, False)]
)
def test_a_round_in_which_requests_failed_measured_nothing(latencies: list[float], failed: int, *, fails: bool) -> None:
    sample = Sample(10.0, latencies, failed, "503 the views cannot be read")
    if not fails:
        assert sample.require_success("list of 50") is sample
        return
    with pytest.raises(RoundFailed, match=r"list of 50: .*503 the views cannot be read"):
        sample.require_success("list of 50")


def test_the_table_shows_the_median_of_what_each_process_spent() -> None:
    rounds = [Sample(100.0, [1.0], cpu_ms={"api": ms, "kafka": 0.001, "postgres": 0.5}) for ms in (0.9, 0.7, 5.0)]
    row = Row(bench="http", case="create, 16", system="taskflow", rounds=rounds)
    assert row.cpu_ms == {"api": 0.9, "kafka": 0.001, "postgres": 0.5}
    shown = table([row], against="Express")
    assert "| api 0.90, postgres 0.50 |" in shown
    assert "kafka" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_no_paused_process_stays_behind_a_benchmark_that_is_ended(number: signal.Signals) -> None:
    benchmark = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PAUSED, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    paused = 0
    try:
        assert benchmark.stdout is not None
        paused = int(await benchmark.stdout.readline())
        assert _is_there(paused)
        benchmark.send_signal(number)
        code = await benchmark.wait()
        assert code == (-number if number == signal.SIGKILL else 128 + number)
        async with asyncio.timeout(10):
            while _is_there(paused):
                await asyncio.sleep(0.01)
    finally:
        for pid in (benchmark.pid, paused):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL) if pid else None


def _is_there(pid: int) -> bool:
    """A process that nobody has waited for yet is gone all the same."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
