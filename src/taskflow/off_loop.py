"""Work that is long where its input is large: on a thread then, so that the event loop answers others meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

SMALL_BYTES_MAX: Final = 65_536
"""Input up to which a thread costs more than it spares."""


async def run_off_loop(size: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the work answers, or raises; `size` is that of its input, in bytes."""
    if size <= SMALL_BYTES_MAX:
        return work(*arguments, **named)
    return await asyncio.to_thread(work, *arguments, **named)
