"""Work that is ended in order by Ctrl-C or SIGTERM: whatever it started and paused is resumed and ended first."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def interruptible(work: Coroutine[Any, Any, int]) -> int:
    """The exit code of the work, or the one that a shell gives a process that the signal has ended.

    The first signal cancels the work. Others are ignored from then on: cleaning up is bounded in time, and half of it
    would leave paused processes behind.
    """
    loop, task = asyncio.get_running_loop(), asyncio.create_task(work)
    received: list[signal.Signals] = []

    def cancel(number: signal.Signals) -> None:
        received.append(number)
        if len(received) == 1:
            print(f"{number.name}: ending what was started", file=sys.stderr, flush=True)
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, cancel, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
