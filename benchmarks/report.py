"""From rounds to a table: medians, percentiles, ratios; and what they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from taskflow.errors import TaskflowError

LEAST_CPU_MS: Final = 0.005
"""A process that spent less on an operation took no part in it."""
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


FAILED_SHARE_MAX: Final = 0.01
"""Of the requests of a round: with more than that it measures errors."""


class RoundFailed(TaskflowError):
    """A round did not measure what it was to measure."""


class Sample(Struct, frozen=True):
    """One round: how much a second, and the latencies of the single operations in ms, where there are such."""

    rate: float
    latencies_ms: list[float]
    failed: int = 0
    failure: str = ""
    """The first of those that failed, in words."""
    cpu_ms: dict[str, float] = {}
    """CPU milliseconds an operation that succeeded, by process."""

    def require_success(self, what: str) -> Sample:
        """Itself. Raises RoundFailed where nothing succeeded, or more failed than FAILED_SHARE_MAX."""
        done = len(self.latencies_ms)
        if not done or self.failed > FAILED_SHARE_MAX * (done + self.failed):
            raise RoundFailed(
                f"{what}: {self.failed} failed, {done} succeeded; the first failure: {self.failure or '?'}"
            )
        return self


class Row(Struct, frozen=True, kw_only=True):
    """The rounds of one system at one setting."""

    bench: str
    case: str
    system: str
    rounds: list[Sample]
    note: str = ""

    @property
    def rate(self) -> float:
        return statistics.median(sample.rate for sample in self.rounds)

    def quantile(self, q: float) -> float | None:
        """The median over the rounds of each round's quantile, ms."""
        of_rounds = [_nearest_rank(sample.latencies_ms, q) for sample in self.rounds if sample.latencies_ms]
        return statistics.median(of_rounds) if of_rounds else None

    @property
    def cpu_ms(self) -> dict[str, float]:
        """The median over the rounds, by process."""
        names = dict.fromkeys(name for sample in self.rounds for name in sample.cpu_ms)
        return {name: statistics.median(sample.cpu_ms.get(name, 0.0) for sample in self.rounds) for name in names}

    @property
    def failed(self) -> int:
        return sum(sample.failed for sample in self.rounds)


def _nearest_rank(values: Sequence[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def table(rows: Iterable[Row], *, against: str) -> str:
    """Markdown. `against` names the system whose rate the ratios are to, case by case."""
    rows = list(rows)
    base = {row.case: row.rate for row in rows if row.system == against}
    lines = [
        f"| case | system | /s | × {against} | {' | '.join(QUANTILES)} | failed | CPU ms each | |",
        "| --- | --- | ---: | ---: |" + " ---: |" * len(QUANTILES) + " ---: | --- | --- |",
    ]
    for row in rows:
        ratio = f"{row.rate / base[row.case]:.2f}" if base.get(row.case) else ""
        quantiles = [row.quantile(q) for q in QUANTILES.values()]
        shown = " | ".join("" if value is None else f"{value:.1f}" for value in quantiles)
        cpu = ", ".join(f"{name} {ms:.2f}" for name, ms in row.cpu_ms.items() if ms >= LEAST_CPU_MS)
        lines.append(
            f"| {row.case} | {row.system} | {row.rate:,.0f} | {ratio} | {shown} | {row.failed} | {cpu} | {row.note} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """What all of it ran on, in one line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}; load at the end {os.getloadavg()[0]:.1f}"
    )


def keep(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """The raw rounds, out of git."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(rows))
