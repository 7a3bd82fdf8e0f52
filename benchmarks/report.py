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

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


class Sample(Struct, frozen=True):
    """One round: how much a second, and the latencies of the single operations in ms, where there are such."""

    rate: float
    latencies_ms: list[float]
    failed: int = 0


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
        f"| case | system | /s | × {against} | {' | '.join(QUANTILES)} | failed | |",
        "| --- | --- | ---: | ---: |" + " ---: |" * len(QUANTILES) + " ---: | --- |",
    ]
    for row in rows:
        ratio = f"{row.rate / base[row.case]:.2f}" if base.get(row.case) else ""
        quantiles = [row.quantile(q) for q in QUANTILES.values()]
        shown = " | ".join("" if value is None else f"{value:.1f}" for value in quantiles)
        lines.append(f"| {row.case} | {row.system} | {row.rate:,.0f} | {ratio} | {shown} | {row.failed} | {row.note} |")
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
