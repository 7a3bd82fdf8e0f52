"""Detects a cancellation that a client library swallowed.

aiokafka and pymongo sometimes catch CancelledError, and the task continues as if it had not been cancelled. So loops
that run until cancelled check for a cancellation themselves.
"""

from __future__ import annotations

import asyncio


def raise_if_cancelled() -> None:
    """Raises CancelledError if the current task was cancelled and still runs."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
