"""Creates, gets and lists through HTTP, one process each, beside the Express app on the same MongoDB.

In turns: while one is measured the other's processes are stopped (SIGSTOP), and so are taskflow's
projectors where the case says so; views that fell behind have caught up before the next turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.account import Account
from benchmarks.load.attack import Target, attack
from benchmarks.report import Row, Sample
from benchmarks.servers import cpu_s
from benchmarks.world import Process, World, wait_ready
from taskflow.settings import Settings

CONNECTIONS: Final = (1, 16, 64, 256)
TASKS: Final = 500
"""In the project whose list is read."""
WARM_S: Final = 1.0
CATCH_UP_S: Final = 120.0


class System(Struct):
    """One side: its processes by name, those of them that are paused while the other side is measured, and its requests
    by the name of the operation. `headers`: what every request carries besides, valid for so many seconds."""

    name: str
    targets: dict[str, Target]
    processes: list[Process]
    pids: dict[str, int]
    headers: Callable[[float], Awaitable[dict[str, str]]]

    def cpu_s(self) -> dict[str, float]:
        """What its processes have spent so far, each with those that it started."""
        return {name: cpu_s(pid) for name, pid in self.pids.items()}

    def pause(self) -> None:
        for process in self.processes:
            process.pause()

    def resume(self) -> None:
        for process in self.processes:
            process.resume()


async def run(world: World, *, rounds: int, seconds: float, smoke: bool = False) -> list[Row]:
    settings = await world.fresh()
    own = {name: await world.taskflow(settings, name) for name in ("api", "projector", "relay")}
    projector = own["projector"]
    ours = await _taskflow(world, settings, own)
    node, about = await world.express()
    peer = await _express(world, node, about)
    samples: dict[tuple[str, str], list[Sample]] = {}
    lag = 0.0
    for _ in range(rounds):
        for count in (16,) if smoke else CONNECTIONS:
            for operation in ours.targets:
                for system, paused in _turns(operation, ours, peer):
                    (peer if system is ours else ours).pause()
                    system.resume()
                    if system is ours:
                        await wait_ready(settings)
                    if paused:
                        projector.pause()
                    label = f"{system.name}{', projectors paused' if paused else ''}"
                    sample = await _measure(system, operation, count, seconds)
                    sample.require_success(f"{operation} at {count} connections, {label}")
                    if system is ours:
                        projector.resume()
                        behind = await caught_up(settings)
                        if operation == "create" and not paused:
                            lag = max(lag, behind)
                    samples.setdefault((f"{operation}, {count}", label), []).append(sample)
                    print(f"  {operation:10} {count:4} {label:28} {sample.rate:9,.0f}/s", flush=True)
    note = f"views caught up at most {lag:.1f} s after the load ended"
    return [
        Row(
            bench="http",
            case=case,
            system=label,
            rounds=got,
            note=note if (case[:6], label) == ("create", "taskflow") else "",
        )
        for (case, label), got in samples.items()
    ]


def _turns(operation: str, ours: System, peer: System) -> list[tuple[System, bool]]:
    turns = [(ours, False), (peer, False)]
    return [*turns, (ours, True)] if operation == "create" else turns


async def _measure(system: System, operation: str, connections: int, seconds: float) -> Sample:
    target = system.targets[operation]
    target = replace(target, headers=target.headers | await system.headers(WARM_S + seconds))
    await attack(target, connections=connections, seconds=WARM_S)
    return await attack(target, connections=connections, seconds=seconds, cpu_s=system.cpu_s)


async def caught_up(settings: Settings) -> float:
    """Seconds until every view had all that was written."""
    started = time.monotonic()
    url = f"http://127.0.0.1:{settings.api_port}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        while time.monotonic() - started < CATCH_UP_S:
            lines = (await client.get(url)).text.splitlines()
            lags = [
                float(line.split()[-1])
                for line in lines
                if line.startswith(("taskflow_view_lag", "taskflow_relay_lag_events"))
            ]
            if not any(lags):
                return time.monotonic() - started
            await asyncio.sleep(0.05)
    raise TimeoutError(f"the views are {max(lags):,.0f} events behind")


async def _taskflow(world: World, settings: Settings, processes: dict[str, Process]) -> System:
    await wait_ready(settings)
    api = f"http://127.0.0.1:{settings.api_port}/api/v1"
    account = await Account.register(api)
    headers = await account.headers(for_s=0)
    async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=30, headers=headers) as client:
        project = (await client.post("/projects", json={"name": "Benchmark"})).raise_for_status().json()["id"]
        listed = (await client.post("/projects", json={"name": "Listed"})).raise_for_status().json()["id"]
        body = task_body(listed, account.user_id, "project_id", "assignee_id")
        for _ in range(TASKS):
            task = (await client.post("/tasks", json=body)).raise_for_status().json()
        one = f"/tasks/{task['id']}"
        known = await client.get(one, params={"min_position": task["position"], "wait_ms": 10_000})
        etag = known.raise_for_status().headers["etag"]
    create = task_body(project, account.user_id, "project_id", "assignee_id")
    servers = {"postgres": "postgres", "mongod": "mongodb", "kafka": "kafka", "valkey": "valkey"}
    return System(
        name="taskflow",
        targets=_targets(api, create, one, f"/tasks?project={listed}&limit=50", etag),
        processes=list(processes.values()),
        pids={
            **{name: process.pid for name, process in processes.items()},
            **{name: world.pid(server) for name, server in servers.items()},
        },
        headers=lambda seconds: account.headers(for_s=seconds),
    )


async def _express(world: World, node: Process, about: dict[str, Any]) -> System:
    api = f"{about['url']}/api"
    headers = {"Authorization": f"Bearer {about['token']}"}
    body = task_body(about["project"], about["user"], "project", "assignee")
    async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=30, headers=headers) as client:
        for _ in range(TASKS):
            task = (await client.post("/tasks", json=body)).raise_for_status().json()
        one = f"/tasks/{task['_id']}"
        etag = (await client.get(one)).raise_for_status().headers["etag"]

    async def signed_in(_seconds: float) -> dict[str, str]:
        return headers  # its tokens are good for twelve hours

    return System(
        name="Express",
        targets=_targets(api, body, one, f"/tasks?project={about['project']}&limit=50", etag),
        processes=[node],
        pids={"express": node.pid, "mongod": world.pid("mongodb")},
        headers=signed_in,
    )


def _targets(api: str, body: dict[str, Any], one: str, listing: str, etag: str) -> dict[str, Target]:
    return {
        "create": Target(method="POST", url=f"{api}/tasks", headers={}, body=body),
        "get": Target(method="GET", url=f"{api}{one}", headers={}),
        "list of 50": Target(method="GET", url=f"{api}{listing}", headers={}),
        "304": Target(method="GET", url=f"{api}{one}", headers={"If-None-Match": etag}),
    }


def task_body(project: str, user: str, project_field: str, user_field: str) -> dict[str, Any]:
    return {
        project_field: project,
        user_field: user,
        "title": "Write the report about the incident of last week",
        "description": "What happened, **why**, and what we change. " * 5,
        "priority": "high",
        "labels": ["report", "q4"],
    }
