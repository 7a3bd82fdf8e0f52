"""vegeta, as a closed model: so many connections, each sending its next request once it is answered."""

from __future__ import annotations

import csv
import json
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks.report import Sample
from benchmarks.tools import VEGETA, installed, output_of

_OK = range(200, 400)


class Target(Struct, frozen=True, kw_only=True):
    """One request, sent again and again."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any = None

    def line(self) -> str:
        target: dict[str, Any] = {
            "method": self.method,
            "url": self.url,
            "header": {name: [value] for name, value in self.headers.items()},
        }
        if self.body is not None:
            target["body"] = b64encode(json.dumps(self.body).encode()).decode()
            target["header"]["Content-Type"] = ["application/json"]
        return json.dumps(target) + "\n"


async def attack(
    target: Target, *, connections: int, seconds: float, cpu_s: Callable[[], dict[str, float]] = dict
) -> Sample:
    """Successful answers a second and the latency of every request; answers that are errors are counted apart.
    `cpu_s`: what the measured processes have spent so far, by name."""
    vegeta = await installed(VEGETA)
    with tempfile.TemporaryDirectory(prefix="taskflow-attack-") as name:
        targets, results, rows = (Path(name) / part for part in ("targets", "results", "rows"))
        targets.write_text(target.line())
        before = cpu_s()
        await output_of(
            vegeta, "attack", "-format=json", f"-targets={targets}", f"-output={results}", "-rate=0",
            f"-max-workers={connections}", f"-workers={connections}", f"-duration={seconds}s", "-timeout=30s",
        )  # fmt: skip
        spent = {name: after - before[name] for name, after in cpu_s().items()}
        await output_of(vegeta, "encode", "-to=csv", f"-output={rows}", str(results))
        latencies, failed, failure, first, last = [], 0, "", float("inf"), 0.0
        with rows.open(newline="") as file:
            for row in csv.reader(file):
                sent_ns, code, latency_ns = int(row[0]), int(row[1]), int(row[2])
                first, last = min(first, sent_ns), max(last, sent_ns + latency_ns)
                if code in _OK:
                    latencies.append(latency_ns / 1e6)
                else:
                    failed += 1
                    failure = failure or f"{code} {row[5]} {b64decode(row[6])[:200].decode(errors='replace')}"
    done = len(latencies)
    return Sample(
        rate=done / ((last - first) / 1e9) if done else 0.0,
        latencies_ms=latencies,
        failed=failed,
        failure=failure,
        cpu_ms={name: seconds * 1000 / done for name, seconds in spent.items()} if done else {},
    )
