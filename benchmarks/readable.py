"""From an acknowledged command to the view that shows it, at a constant rate of arrivals."""

from __future__ import annotations

import json
from typing import Any, Final

from benchmarks.account import Account
from benchmarks.report import Row, Sample
from benchmarks.servers import cpu_s
from benchmarks.tools import output_of
from benchmarks.world import HERE, World, wait_ready

RATE: Final = 300


async def run(world: World, *, rounds: int, seconds: float, smoke: bool = False) -> list[Row]:
    rate = 50 if smoke else RATE
    settings = await world.fresh()
    processes = {name: await world.taskflow(settings, name) for name in ("relay", "projector", "api")}
    await wait_ready(settings)
    base = f"http://127.0.0.1:{settings.api_port}"
    account = await Account.register(f"{base}/api/v1")
    found: dict[str, list[Sample]] = {"acknowledged": [], "readable": []}
    await _round(base, account, rate, 2)
    for _ in range(rounds):
        before = {name: cpu_s(process.pid) for name, process in processes.items()}
        answer = await _round(base, account, rate, int(seconds))
        done = max(1, len(answer["readable"]))
        cpu_ms = {name: (cpu_s(process.pid) - before[name]) * 1000 / done for name, process in processes.items()}
        for what, samples in found.items():
            sample = Sample(
                rate=len(answer[what]) / answer["seconds"],
                latencies_ms=answer[what],
                failed=answer["failed"],
                failure=answer["failure"],
                cpu_ms=cpu_ms if what == "readable" else {},
            )
            samples.append(sample.require_success(f"{what} at {rate}/s"))
            print(f"  {what:14} {samples[-1].rate:8.0f}/s", flush=True)
    return [Row(bench="readable", case=f"{rate}/s", system=what, rounds=samples) for what, samples in found.items()]


async def _round(base: str, account: Account, rate: int, seconds: int) -> dict[str, Any]:
    headers = await account.headers(for_s=seconds)
    env = {"URL_BASE": base, "AUTHORIZATION": headers["Authorization"], "RATE": str(rate), "SECONDS": str(seconds)}
    answer: dict[str, Any] = json.loads(await output_of("node", str(HERE / "load" / "readable.js"), env=env))
    return answer
