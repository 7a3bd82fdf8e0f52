"""Detects a cancellation that a client library swallowed, and keeps one from what others wait for.

aiokafka and pymongo sometimes catch CancelledError, and the task continues as if it had not been cancelled. So loops
that run until cancelled check for a cancellation themselves.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


def raise_if_cancelled() -> None:
    """Raises CancelledError if the current task was cancelled and still runs."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def result_of(future: asyncio.Future[T]) -> T:
    """Waits for a future that goes on when the waiting task is cancelled; returns or raises what it ended with.

    As `asyncio.shield`, for a future that somebody else ends: with half of the callbacks.
    """
    if not future.done():
        woken = asyncio.get_running_loop().create_future()

        def wake(_: asyncio.Future[T]) -> None:
            if not woken.done():
                woken.set_result(None)

        future.add_done_callback(wake)
        await woken
    return future.result()
