"""States read from the event store: for answers that no projection has yet, or that must not lag."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from taskflow.store.pool import abandon_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskflow.store.eventstore import EventStore
    from taskflow.streams import StreamType

S = TypeVar("S")
T = TypeVar("T")

AT_ONCE_MAX: Final = 16
"""States that one request holds in memory at once; each may be a megabyte."""


async def committed(store: EventStore, kind: StreamType[S], stream_id: UUID) -> S | None:
    """The stream's state, once no append to the stream is pending; None if the stream does not exist."""
    while True:
        folded = await store.state_cache.load(kind, stream_id)
        if folded.pending is None:
            state = folded.state
            return state if isinstance(state, kind.state) else None
        await asyncio.wait([folded.pending.done])


async def committed_many(
    store: EventStore, kind: StreamType[S], stream_ids: Iterable[UUID], *, within_s: float | None = None
) -> dict[UUID, S]:
    """The states of those streams that exist. For few streams only, as all states are in memory. Raises TimeoutError if
    the store takes longer than `within_s`."""
    return await committed_parts(store, kind, stream_ids, lambda state: state, within_s=within_s)


async def committed_parts(
    store: EventStore,
    kind: StreamType[S],
    stream_ids: Iterable[UUID],
    part: Callable[[S], T],
    *,
    within_s: float | None = None,
) -> dict[UUID, T]:
    """A part of the state of each stream that exists; at most AT_ONCE_MAX whole states are in memory at once. Raises
    TimeoutError if the store takes longer than `within_s`."""
    parts: dict[UUID, T] = {}
    elsewhere: list[UUID] = []
    for stream_id in stream_ids:
        known = store.state_cache.known(kind, stream_id)
        if known is None:
            elsewhere.append(stream_id)
        else:
            parts[stream_id] = part(known)
    left = iter(elsewhere)

    async def read() -> None:
        for stream_id in left:
            state = await committed(store, kind, stream_id)
            if state is not None:
                parts[stream_id] = part(state)

    async def read_all() -> None:
        await asyncio.gather(*[read() for _ in elsewhere[:AT_ONCE_MAX]])

    if elsewhere:
        await (read_all() if within_s is None else abandon_after(within_s, read_all()))
    return parts
