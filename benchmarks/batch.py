"""Creates in batches of a hundred, from four senders, beside as many requests of one command each; and the CPU time that
each process spends on a command."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from benchmarks.http import caught_up, task_body
from benchmarks.report import Row, Sample
from benchmarks.servers import cpu_s
from benchmarks.world import World, wait_ready
from taskflow.api.routes.batches import COMMANDS_MAX

SENDERS: Final = 4
CASES: Final = (("projectors paused", True), ("views following", False))
WARM_S: Final = 1.0
HEADERS: Final = {"Prefer": "return=minimal", "Content-Type": "application/json"}

Sender = Callable[[], Awaitable[int]]
"""Sends one request; how many commands of it were applied."""


async def run(world: World, *, rounds: int, seconds: float, smoke: bool = False) -> list[Row]:
    settings = await world.fresh()
    started = {name: await world.taskflow(settings, name) for name in ("relay", "projector", "api")}
    pids = {name: process.pid for name, process in started.items()} | {"postgres": world.pid("postgres")}
    await wait_ready(settings)
    api = f"http://127.0.0.1:{settings.api_port}/api/v1"
    samples: dict[tuple[str, str], list[Sample]] = {}
    spent: dict[tuple[str, str], str] = {}
    limits = httpx.Limits(max_keepalive_connections=SENDERS)
    async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=30, limits=limits) as client:
        create = await _create(client)
        senders: dict[str, Sender] = {
            "one command a request": lambda: _single(client, create),
            f"batches of {COMMANDS_MAX}": lambda: _batch(client, create),
        }
        for _ in range(rounds):
            for case, paused in CASES[-1:] if smoke else CASES:
                for system, sender in senders.items():
                    if paused:
                        started["projector"].pause()
                    await _load(sender, WARM_S)
                    before = {name: cpu_s(pid) for name, pid in pids.items()}
                    sample, commands = await _load(sender, seconds)
                    after = {name: cpu_s(pid) for name, pid in pids.items()}
                    started["projector"].resume()
                    behind = await caught_up(settings)
                    key = (f"creates, {SENDERS} senders, {case}", system)
                    samples.setdefault(key, []).append(sample)
                    each = ", ".join(f"{name} {(after[name] - before[name]) * 1000 / commands:.3f}" for name in pids)
                    spent[key] = f"CPU ms a command: {each}" + (
                        "" if paused else f"; views caught up {behind:.1f} s later"
                    )
                    print(f"  {case:18} {system:22} {sample.rate:9,.0f}/s  {spent[key]}", flush=True)
    return [
        Row(bench="batch", case=case, system=system, rounds=got, note=spent[case, system])
        for (case, system), got in samples.items()
    ]


async def _create(client: httpx.AsyncClient) -> dict[str, Any]:
    """Signs up; the body of a create in a project of the caller's."""
    person = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada Lovelace"}
    answer = (await client.post("/auth/register", json=person)).raise_for_status().json()
    client.headers["Authorization"] = f"Bearer {answer['access_token']}"
    project = (await client.post("/projects", json={"name": "Benchmark"})).raise_for_status().json()["id"]
    return task_body(project, answer["user"]["id"], "project_id", "assignee_id")


async def _single(client: httpx.AsyncClient, create: dict[str, Any]) -> int:
    body = msgspec.json.encode({"id": uuid4(), "type": "CreateTask", "data": create})
    (await client.post("/commands", content=body, headers=HEADERS)).raise_for_status()
    return 1


async def _batch(client: httpx.AsyncClient, create: dict[str, Any]) -> int:
    commands = [{"id": uuid4(), "type": "CreateTask", "data": create} for _ in range(COMMANDS_MAX)]
    answer = await client.post("/commands/batch", content=msgspec.json.encode({"commands": commands}), headers=HEADERS)
    results = msgspec.json.decode(answer.raise_for_status().content)["results"]
    return sum(one["outcome"] == "applied" for one in results)


async def _load(sender: Sender, seconds: float) -> tuple[Sample, int]:
    """A closed model. Commands a second, and the latency of each request."""
    latencies: list[float] = []
    applied = 0
    began = time.perf_counter()

    async def send() -> None:
        nonlocal applied
        while (sent := time.perf_counter()) < began + seconds:
            applied += await sender()
            latencies.append((time.perf_counter() - sent) * 1000)

    await asyncio.gather(*[send() for _ in range(SENDERS)])
    return Sample(applied / (time.perf_counter() - began), latencies), applied
