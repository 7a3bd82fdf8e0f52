"""States straight from the event store: for answers that no view can give yet, or that must not lag."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

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


async def committed_many(store: EventStore, kind: Kind[S], stream_ids: Iterable[UUID]) -> dict[UUID, S]:
    """Those of these streams that there are."""
    wanted = list(stream_ids)

    async def one(stream_id: UUID) -> Any:
        return await committed(store, kind, stream_id)

    states = await asyncio.gather(*[one(stream_id) for stream_id in wanted])
    return {stream_id: state for stream_id, state in zip(wanted, states, strict=True) if state is not None}
