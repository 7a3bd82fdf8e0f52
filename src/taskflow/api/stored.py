"""States straight from the event store: for answers that no view can give yet, or that must not lag."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from taskflow.store.pool import abandon_after

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskflow.store.eventstore import EventStore
    from taskflow.streams import Kind

S = TypeVar("S")


async def committed(store: EventStore, kind: Kind[S], stream_id: UUID) -> S | None:
    """The stream's state without anything that is still on its way into the store; None where there is none."""
    while True:
        folded = await store.folds.load(kind, stream_id)
        if folded.pending is None:
            state = folded.state
            return state if isinstance(state, kind.state) else None
        await asyncio.wait([folded.pending.done])


async def committed_many(
    store: EventStore, kind: Kind[S], stream_ids: Iterable[UUID], *, within_s: float | None = None
) -> dict[UUID, S]:
    """Those of these streams that there are. Raises TimeoutError where the store takes longer than that."""
    states: dict[UUID, S] = {}
    elsewhere: list[UUID] = []
    for stream_id in stream_ids:
        known = store.folds.known(kind, stream_id)
        if known is None:
            elsewhere.append(stream_id)
        else:
            states[stream_id] = known

    async def read(stream_id: UUID) -> None:
        state = await committed(store, kind, stream_id)
        if state is not None:
            states[stream_id] = state

    async def read_all() -> None:
        await asyncio.gather(*[read(stream_id) for stream_id in elsewhere])

    if elsewhere:
        await (read_all() if within_s is None else abandon_after(within_s, read_all()))
    return states
