"""Work that is long where its input is large: on a thread then, so that the event loop answers others meanwhile.

Threads take turns with the loop for the interpreter: with many of them at work the loop would be one of many. So there
are few, and what is more waits.
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
"""Input up to which a thread costs more than it spares."""
THREADS_MAX: Final = 2

_threads: Final = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="off-loop")


async def run_off_loop(size: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the work answers, or raises; `size` is that of its input, in bytes."""
    if size <= SMALL_BYTES_MAX:
        return work(*arguments, **named)
    return await on_thread(work, *arguments, **named)


async def on_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the work answers, or raises: work that computes and never waits for others."""
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(work, *arguments, **named))
