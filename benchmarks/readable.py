"""From an acknowledged command to the view that shows it, at a constant rate of arrivals."""

from __future__ import annotations

import json
from typing import Final

import httpx

from benchmarks.report import Row, Sample
from benchmarks.tools import output_of
from benchmarks.world import HERE, World, wait_ready

RATE: Final = 300


async def run(world: World, *, rounds: int, seconds: float, smoke: bool = False) -> list[Row]:
    rate = 50 if smoke else RATE
    settings = await world.fresh()
    for name in ("relay", "projector", "api"):
        await world.taskflow(settings, name)
    await wait_ready(settings)
    base = f"http://127.0.0.1:{settings.api_port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        person = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada"}
        token = (await client.post("/api/v1/auth/register", json=person)).raise_for_status().json()["access_token"]
    found: dict[str, list[Sample]] = {"acknowledged": [], "readable": []}
    env = {"URL_BASE": base, "TOKEN": token, "RATE": str(rate)}
    await output_of("node", str(HERE / "load" / "readable.js"), env=env | {"SECONDS": "2"})
    for _ in range(rounds):
        out = await output_of("node", str(HERE / "load" / "readable.js"), env=env | {"SECONDS": str(int(seconds))})
        answer = json.loads(out)
        for what, samples in found.items():
            samples.append(Sample(len(answer[what]) / answer["seconds"], answer[what], answer["failed"]))
            print(f"  {what:14} {samples[-1].rate:8.0f}/s", flush=True)
    return [Row(bench="readable", case=f"{rate}/s", system=what, rounds=samples) for what, samples in found.items()]
