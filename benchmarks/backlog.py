"""A projector on a backlog beside bulk upserts alone; and an import with projectors stopped, with the views following, and
repeated, with the CPU time that each process spends on a row."""

from __future__ import annotations

import asyncio
import csv
import resource
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec
from pymongo import ReplaceOne

from benchmarks.report import Row, Sample
from benchmarks.servers import cpu_s
from benchmarks.tools import output_of
from benchmarks.world import World, wait_ready
from taskflow.client import AsyncClient
from taskflow.projections.collection_names import CHECKPOINTS
from taskflow.projections.mongo import open_database
from taskflow.projections.registry import PROJECTIONS
from taskflow.settings import Settings
from taskflow.store.eventstore import open_event_store

COPIES: Final = 150
"""Of the example's 392 rows: about as many as the whole log that it is taken from."""
BATCH: Final = 1_000
WAIT_S: Final = 300.0
EXAMPLES: Final = Path(str(resources.files("taskflow.importer"))) / "examples"


async def run(world: World, *, rounds: int, seconds: float, smoke: bool = False) -> list[Row]:
    """`seconds` bounds the upserts; a backlog and an import are as long as they are."""
    log = _larger_log(world.folder / "incidents.csv", 3 if smoke else COPIES)
    samples: dict[tuple[str, str], list[Sample]] = {}
    notes: dict[str, str] = {}
    for _ in range(rounds):
        settings = await world.fresh()
        relay = await world.taskflow(settings, "relay")
        api = await world.taskflow(settings, "api")
        await _import(settings, log, await _registered(settings))
        await api.end()
        events = await _published(settings)
        for names in (("tasks",), tuple(PROJECTIONS)):
            label = "projector tasks" if len(names) == 1 else "projector, all"
            own = msgspec.structs.replace(settings, mongodb_database=f"{settings.mongodb_database}_{len(names)}")
            spent = await _drained(world, own, names, events)
            samples.setdefault(("backlog, events", label), []).append(Sample(events / spent, []))
        samples.setdefault(("backlog, events", "bulk upserts alone"), []).append(await _upserts(settings, seconds))
        await relay.end()
        for case, sample, note in await _imports(world, log):
            samples.setdefault((case, "taskflow"), []).append(sample)
            notes[case] = note
        for (case, label), got in samples.items():
            print(f"  {case:18} {label:22} {got[-1].rate:9,.0f}/s  {notes.get(case, '')}", flush=True)
    return [
        Row(bench="backlog", case=case, system=label, rounds=got, note=notes.get(case, ""))
        for (case, label), got in samples.items()
    ]


async def _imports(world: World, log: Path) -> list[tuple[str, Sample, str]]:
    """Each case with what came of it: an import with projectors stopped, the same once more, and one whose views follow."""
    with log.open() as file:
        rows = sum(1 for _ in file) - 1
    found: list[tuple[str, Sample, str]] = []
    for following in (False, True):
        settings = await world.fresh()
        started = {name: await world.taskflow(settings, name) for name in ("relay", "projector", "api")}
        pids = {name: process.pid for name, process in started.items()} | {"postgres": world.pid("postgres")}
        await wait_ready(settings)
        token = await _registered(settings)
        if not following:
            started["projector"].pause()
        cases = ("views following",) if following else ("projectors stopped", "projectors stopped, once more")
        for case in cases:
            before = {name: cpu_s(pid) for name, pid in pids.items()}
            own = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = await _import(settings, log, token)
            after = {name: cpu_s(pid) for name, pid in pids.items()}
            each = ", ".join(f"{name} {(after[name] - before[name]) * 1000 / rows:.3f}" for name in pids)
            importer = (_cpu_s(resource.getrusage(resource.RUSAGE_CHILDREN)) - _cpu_s(own)) * 1000 / rows
            note = f"CPU ms a row: importer {importer:.3f}, {each}"
            if following:
                note += f"; views caught up {await _lag(settings):.1f} s after its end"
            found.append((f"import, rows, {case}", Sample(rows / spent, []), note))
        for process in started.values():
            await process.end()
    return found


def _cpu_s(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def _larger_log(path: Path, copies: int) -> Path:
    with (EXAMPLES / "incidents.csv").open(newline="") as source, path.open("w", newline="") as file:
        header, *rows = csv.reader(source)
        out = csv.writer(file)
        out.writerow(header)
        for copy in range(copies):
            out.writerows([f"{row[0]}-{copy}", *row[1:]] for row in rows)
    return path


async def _import(settings: Settings, log: Path, token: str) -> float:
    """The seconds of one `taskflow import`, its start included."""
    started = time.perf_counter()
    await output_of(
        sys.executable, "-m", "taskflow", "import", str(log), "--mapping", str(EXAMPLES / "incidents.toml"),
        env={"TASKFLOW_URL": _url(settings), "TASKFLOW_TOKEN": token},
    )  # fmt: skip
    return time.perf_counter() - started


def _url(settings: Settings) -> str:
    return f"http://{settings.api_host}:{settings.api_port}"


async def _registered(settings: Settings) -> str:
    """The access token of somebody new, once the API listens."""
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(WAIT_S):
        while True:
            try:
                (await http.get(f"{_url(settings)}/livez")).raise_for_status()
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
    async with AsyncClient(_url(settings)) as client:
        email = f"{uuid4().hex}@example.com"
        token = (await client.auth.register(email, "correct horse battery", "Importer")).access_token
    assert token is not None
    return token


async def _published(settings: Settings) -> int:
    """Waits until the relay has published everything; how many events there are."""
    async with open_event_store(settings, "benchmark") as store:
        head = (await store.log.head()).position
        while await store.pool.fetchval("select position from relay") < head:
            await asyncio.sleep(0.1)
    return head


async def _drained(world: World, settings: Settings, names: tuple[str, ...], head: int) -> float:
    """Seconds from the first saved batch of a projector, started on a full topic, to its last."""
    projector = await world.taskflow(settings, "projector", *names)
    async with open_database(settings) as database:
        began = None
        async with asyncio.timeout(WAIT_S):
            while True:
                positions = [found["position"] async for found in database[CHECKPOINTS].find({}, {"position": 1})]
                now = time.perf_counter()
                if began is None and any(positions):
                    began = now
                full = len(positions) == len(names) * settings.kafka_partitions
                if began is not None and full and min(positions) >= head:
                    break
                await asyncio.sleep(0.02)
    await projector.end()
    return now - began


async def _upserts(settings: Settings, seconds: float) -> Sample:
    """Documents like those of the tasks view, replaced in bulks, nothing else."""
    async with open_database(settings) as database:
        view = PROJECTIONS["tasks"]
        source = database.client[f"{settings.mongodb_database}_1"][view.collection]
        documents: list[dict[str, Any]] = await source.find({}).limit(BATCH).to_list()
        target = database["upserts"]
        await target.create_indexes(list(view.indexes))
        count = 0
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            # Each is another than before: replacing a document by itself writes nothing.
            changed = [one | {"position": count + n, "updated_at": count + n} for n, one in enumerate(documents)]
            await target.bulk_write(
                [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in changed], ordered=False
            )
            count += len(documents)
    return Sample(count / spent, [])


async def _lag(settings: Settings) -> float:
    """Seconds until every view is at the head."""
    started = time.perf_counter()
    async with open_event_store(settings, "benchmark") as store, open_database(settings) as database:
        head = (await store.log.head()).position
        async with asyncio.timeout(WAIT_S):
            while True:
                positions = [found["position"] async for found in database[CHECKPOINTS].find({}, {"position": 1})]
                if positions and min(positions) >= head:
                    return time.perf_counter() - started
                await asyncio.sleep(0.02)
