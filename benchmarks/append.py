"""The append path beside its peers on one PostgreSQL, and beside the limits of that PostgreSQL."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from benchmarks.peers.taskflow_append import DATA, one_event
from benchmarks.report import Row, Sample
from benchmarks.tools import output_of
from benchmarks.world import World, install_peer
from taskflow.ids import new_id, shard_of
from taskflow.local.postgres import binaries
from taskflow.store.append import NOBODY
from taskflow.store.append_group import Writer, arguments

WRITERS = (1, 8, 64, 256)
GROUPS = (64, 256, 1000)

# The same rows as an append of one event makes, one transaction each, without anything that is decided.
_SINGLE = """
insert into events values (nextval('bench_position'), 1, gen_random_uuid(), 1, 0, 'TaskRetitled', 1, gen_random_uuid(),
    now(), now(), null, gen_random_uuid(), null, null, '\\x7b7d');
"""


async def run(world: World, *, rounds: int, seconds: float, smoke: bool = False) -> list[Row]:
    writers = (8,) if smoke else WRITERS
    samples: dict[tuple[str, str], list[Sample]] = {}
    for _ in range(rounds):
        for count in writers:
            for system, measure in SYSTEMS.items():
                sample = await measure(world, count, seconds)
                samples.setdefault((f"{count} writers", system), []).append(sample)
                _say(f"{count} writers", system, sample)
        for size in (64,) if smoke else GROUPS:
            for system, sample in (await _groups(world, size, seconds)).items():
                samples.setdefault((f"groups of {size}", system), []).append(sample)
                _say(f"groups of {size}", system, sample)
    return [Row(bench="append", case=case, system=system, rounds=got) for (case, system), got in samples.items()]


def _say(case: str, system: str, sample: Sample) -> None:
    print(f"  {case:16} {system:26} {sample.rate:10,.0f}/s", flush=True)


def _sample(out: bytes) -> Sample:
    answer = json.loads(out.splitlines()[-1])
    return Sample(len(answer["latencies"]) / answer["seconds"], answer["latencies"])


async def _taskflow(world: World, writers: int, seconds: float) -> Sample:
    settings = await world.fresh()
    env = settings.environ() | {"WRITERS": str(writers), "SECONDS": str(seconds)}
    return _sample(await output_of(sys.executable, "-m", "benchmarks.peers.taskflow_append", env=env))


async def _library(world: World, writers: int, seconds: float) -> Sample:
    url = await world.database(f"library_{uuid4().hex[:12]}")
    env = {"POSTGRES_URL": url, "WRITERS": str(writers), "SECONDS": str(seconds)}
    return _sample(await output_of(sys.executable, "-m", "benchmarks.peers.library_append", env=env))


async def _emmett(world: World, writers: int, seconds: float) -> Sample:
    folder = await install_peer("emmett")
    url = await world.database(f"emmett_{uuid4().hex[:12]}")
    env = {"POSTGRES_URL": url, "WRITERS": str(writers), "SECONDS": str(seconds)}
    return _sample(await output_of("node", "append.js", env=env, folder=folder))


async def _pgbench(world: World, writers: int, seconds: float) -> Sample:
    """Single inserts into the table of events alone: what this PostgreSQL does without us."""
    settings = await world.fresh()
    connection = await asyncpg.connect(settings.postgres_url)
    await connection.execute("create sequence bench_position")
    await connection.close()
    script = world.folder / "single.sql"
    script.write_text(_SINGLE)
    clients = min(writers, 150)
    out = await output_of(
        str(binaries() / "bin" / "pgbench"), "-n", "-f", str(script), "-M", "prepared", "-c", str(clients),
        "-j", str(min(clients, 2)), "-T", str(max(1, int(seconds))), settings.postgres_url,
        env={"LD_LIBRARY_PATH": str(binaries() / "lib")},
    )  # fmt: skip
    rate = next(line.split("=")[1].split()[0] for line in out.decode().splitlines() if line.startswith("tps"))
    return Sample(float(rate), [])


SYSTEMS = {
    "taskflow": _taskflow,
    "eventsourcing": _library,
    "Emmett": _emmett,
    "pgbench, single inserts": _pgbench,
}


async def _groups(world: World, size: int, seconds: float) -> dict[str, Sample]:
    """Encoded events in groups of a fixed size: our function, and COPY of the same rows into the same tables."""
    settings = await world.fresh()
    connection = await asyncpg.connect(settings.postgres_url)
    writer = Writer(settings, 1)
    latencies: list[float] = []
    started = time.perf_counter()
    spent = 0.0
    while time.perf_counter() - started < seconds:
        group = arguments([one_event(new_id(), 0) for _ in range(size)])  # encoding is not what is measured
        before = time.perf_counter()
        await writer.send(group)
        latencies.append((time.perf_counter() - before) * 1000)
        spent += latencies[-1] / 1000
    ours = Sample(len(latencies) * size / spent, latencies)
    writer.drop()
    latencies, spent = [], 0.0
    position = int(await connection.fetchval("select position from log_head"))
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        rows = _rows(position, size)
        before = time.perf_counter()
        async with connection.transaction():
            for table, records in rows.items():
                await connection.copy_records_to_table(table, records=records)
            await connection.execute("update log_head set position = position + $1", size)
        latencies.append((time.perf_counter() - before) * 1000)
        spent += latencies[-1] / 1000
        position += size
    await connection.close()
    return {"taskflow": ours, "COPY": Sample(len(latencies) * size / spent, latencies)}


def _rows(position: int, size: int) -> dict[str, list[tuple[object, ...]]]:
    now = datetime.now(UTC)
    streams = [new_id() for _ in range(size)]
    commands = [new_id() for _ in range(size)]
    return {
        "events": [
            (
                position + n,
                1,
                stream,
                1,
                shard_of(stream),
                "TaskRetitled",
                1,
                new_id(),
                now,
                now,
                None,
                command,
                None,
                None,
                DATA,
            )
            for n, (stream, command) in enumerate(zip(streams, commands, strict=True), 1)
        ],
        "streams": [
            (stream, "task", 1, position + n, position + n, now, None, None) for n, stream in enumerate(streams, 1)
        ],
        "receipts": [
            (NOBODY, command, b"0" * 32, 1, stream, 1, position + n, 1, now)
            for n, (stream, command) in enumerate(zip(streams, commands, strict=True), 1)
        ],
    }
