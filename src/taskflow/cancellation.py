"""Being told to stop, although a client library swallowed it.

aiokafka and pymongo catch a CancelledError here and there, and the task goes on as if nobody had asked.
Loops that run until they are cancelled look for it themselves.
"""

from __future__ import annotations

import asyncio


def raise_if_cancelled() -> None:
    """Raises CancelledError in a task that was cancelled and still runs."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
