"""Measures how late this process's event loop runs timers: while one piece of work blocks it, no request is
answered."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from prometheus_client.core import HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEASURE_INTERVAL_S: Final = 0.02
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LoopLag:
    """A histogram of how late each beat was. Made by `open_loop_lag`."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    async def measure(self) -> None:
        """Beats until cancelled."""
        while True:
            due = time.monotonic() + MEASURE_INTERVAL_S
            await asyncio.sleep(MEASURE_INTERVAL_S)
            self.count(max(0.0, time.monotonic() - due))

    def count(self, late_s: float) -> None:
        self._counts[bisect_left(BUCKETS_S, late_s)] += 1
        self._sum_s += late_s

    def metric(self) -> HistogramMetricFamily:
        """The histogram for Prometheus, whose buckets are cumulative."""
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(
            "taskflow_loop_lag_seconds", "How late the event loop was", buckets=buckets, sum_value=self._sum_s
        )


@asynccontextmanager
async def open_loop_lag() -> AsyncIterator[LoopLag]:
    lag = LoopLag()
    task = asyncio.create_task(lag.measure(), name="loop lag")
    try:
        yield lag
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
