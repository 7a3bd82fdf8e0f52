"""Runs CPU-bound work with large input on a thread, so that the event loop stays responsive.

The threads share the interpreter lock with the event loop: many busy threads would starve the loop. So there are only
THREADS_MAX, and further work waits.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

SMALL_BYTES_MAX: Final = 65_536
"""Size of input up to which a thread costs more than it saves."""
THREADS_MAX: Final = 2

_threads: Final = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="off-loop")


async def run_off_loop(size: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Runs the work, on a thread if its input is large, and returns its result. `size`: of the input, in bytes."""
    if size <= SMALL_BYTES_MAX:
        return work(*arguments, **named)
    return await on_thread(work, *arguments, **named)


async def on_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Runs the work on a thread and returns its result. The work must only compute, not wait."""
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(work, *arguments, **named))
