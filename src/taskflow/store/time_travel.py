"""A stream's state at a point in time of the past.

A point in time is a position, or a time that is compared with when events happened or with when the store recorded them.
Neither time decreases within a stream, so a point in time is a version of the stream. States are folded from the log, which
includes every write that was acknowledged before the request.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import StreamType

S = TypeVar("S")

Clock = Literal["occurred", "recorded", "position"]

UNTIL: Final[dict[Clock, str]] = {
    "occurred": "occurred_at <= $2::timestamptz",
    "recorded": "recorded_at <= $2::timestamptz",
    "position": "position <= $2::bigint",
}
"""By clock: the condition for events up to a point in time, which is argument 2."""

_VERSION: Final = """
select stream_version from events
where stream_id = $1 and {until}
  and position >= (select first_position from streams where stream_id = $1)
  and position <= (select last_position from streams where stream_id = $1)
order by stream_version desc limit 1
"""


class PointInTime(Struct, frozen=True):
    """A point in time by one of the clocks, and everything up to it, itself included."""

    clock: Clock
    until: datetime | int

    def covers(self, event: RecordedEvent) -> bool:
        value: Any = {"occurred": event.occurred_at, "recorded": event.recorded_at, "position": event.position}
        holds: bool = value[self.clock] <= self.until
        return holds


async def state_at(
    store: EventStore, kind: StreamType[S], stream_id: UUID, moment: PointInTime, *, bytes_max: int | None = None
) -> S | None:
    """The state at a point in time; None if the stream began later. Raises HistoryTooLarge if more than `bytes_max` of
    events would have to be read."""
    version = await store.pool.fetchval(_VERSION.format(until=UNTIL[moment.clock]), stream_id, moment.until)
    if version is None:
        return None
    state: S | None = await state_of(store, kind, stream_id, version, bytes_max=bytes_max)
    return state


async def state_of(
    store: EventStore, kind: StreamType[S], stream_id: UUID, version: int, *, bytes_max: int | None = None
) -> S | None:
    """The state at a version; None if the stream has fewer events or is of another kind. Raises as `state_at`."""
    state = await store.state_cache.at_version(kind, stream_id, version, bytes_max=bytes_max)
    return state if isinstance(state, kind.state) else None


async def first_known_at(
    store: EventStore, kind: StreamType[S], stream_id: UUID, moment: PointInTime, *, bytes_max: int | None = None
) -> S | None:
    """As `state_at`, and the stream's first state if it began later; None if there is no such stream."""
    state: S | None = await state_at(store, kind, stream_id, moment, bytes_max=bytes_max)
    if state is None:
        state = await state_of(store, kind, stream_id, 1)
    return state
