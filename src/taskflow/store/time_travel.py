"""Streams as they were: at a moment, by what happened until then or by what the store held then.

Neither time ever decreases within a stream, so a moment is a version; what the log holds is what is told, and
that includes whatever was acknowledged before the question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from uuid import UUID

from msgspec import Struct

from taskflow.errors import HistoryTooLarge
from taskflow.store.log import CHUNK_BYTES_MAX, bounded, from_row
from taskflow.streams import TASK, EventMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent
    from taskflow.streams import StreamType
    from taskflow.streams.task import TaskState

S = TypeVar("S")

Clock = Literal["occurred", "recorded", "position"]

_UNTIL: Final[dict[Clock, str]] = {
    "occurred": "occurred_at <= $2::timestamptz",
    "recorded": "recorded_at <= $2::timestamptz",
    "position": "position <= $2::bigint",
}
"""What of a stream had happened, or was there, at a moment."""

_VERSION: Final = """
select stream_version from events
where stream_id = $1 and {until}
  and position >= (select first_position from streams where stream_id = $1)
  and position <= (select last_position from streams where stream_id = $1)
order by stream_version desc limit 1
"""

_PLACED: Final = """
select s.stream_id, s.version, s.first_position, s.last_position
from (select distinct stream_id from events
      where named_project(data) = $1 and type in ('TaskCreated', 'TaskMoved') and {until} limit $3) as placed
join streams s on s.stream_id = placed.stream_id
order by s.first_position
"""

STREAMS: Final = bounded(
    "stream_id = any($1::uuid[]) and position >= $2 and position <= $3 and (stream_id, stream_version) > ($4, $5)",
    "stream_id, stream_version",
    limit="$6",
    bytes_max="$7",
)

READ_EVENTS: Final = 250
"""Read at once, and read for no more tasks at once: between two reads others have their turn."""


class PointInTime(Struct, frozen=True):
    """A point of the past, and everything up to it, itself included."""

    clock: Clock
    until: datetime | int

    def covers(self, event: RecordedEvent) -> bool:
        value: Any = {"occurred": event.occurred_at, "recorded": event.recorded_at, "position": event.position}
        holds: bool = value[self.clock] <= self.until
        return holds


class Placed(Struct, frozen=True):
    """A task that was ever in a project, and where its events are."""

    stream_id: UUID
    version: int
    first_position: int
    last_position: int


async def state_at(
    store: EventStore, kind: StreamType[S], stream_id: UUID, moment: PointInTime, *, bytes_max: int | None = None
) -> S | None:
    """The stream as it was; None where it had not begun. Raises HistoryTooLarge where more than `bytes_max` of it
    would have to be read."""
    version = await store.pool.fetchval(_VERSION.format(until=_UNTIL[moment.clock]), stream_id, moment.until)
    if version is None:
        return None
    state: S | None = await state_of(store, kind, stream_id, version, bytes_max=bytes_max)
    return state


async def state_of(
    store: EventStore, kind: StreamType[S], stream_id: UUID, version: int, *, bytes_max: int | None = None
) -> S | None:
    """The stream at a version; None where it never got there, or is of another kind. Raises as `state_at`."""
    state = await store.state_cache.at_version(kind, stream_id, version, bytes_max=bytes_max)
    return state if isinstance(state, kind.state) else None


async def first_known_at(
    store: EventStore, kind: StreamType[S], stream_id: UUID, moment: PointInTime, *, bytes_max: int | None = None
) -> S | None:
    """As `state_at`, and as it was first known where it had not begun; None where there is none."""
    state: S | None = await state_at(store, kind, stream_id, moment, bytes_max=bytes_max)
    if state is None:
        state = await state_of(store, kind, stream_id, 1)
    return state


async def ever_placed(store: EventStore, project_id: UUID, moment: PointInTime, *, limit: int) -> list[Placed]:
    """Tasks that were in a project at some time up to a moment, at most `limit` of them: by an index."""
    rows = await store.pool.fetch(
        _PLACED.format(until=_UNTIL[moment.clock]), str(project_id).encode(), moment.until, limit
    )
    return [Placed(UUID(int=row[0].int), row[1], row[2], row[3]) for row in rows]


async def then_and_now(
    store: EventStore, tasks: Sequence[Placed], moment: PointInTime, *, bytes_max: int
) -> AsyncIterator[tuple[TaskState, TaskState]]:
    """Tasks as they were and as they are, those that there were; one at a time is in memory, and a chunk of events.
    Raises HistoryTooLarge once their events are more than `bytes_max`."""
    read = 0
    for some in _in_reads(tasks):
        then: TaskState | None = None
        now: TaskState | None = None
        async for events in _chunks(store, some):
            read += sum(len(event.data) for event in events)
            if read > bytes_max:
                raise HistoryTooLarge("this board", found=read, bytes_max=bytes_max)
            for event, typed in zip(events, await store.mapper.decode(events), strict=True):
                if now is not None and now.id != event.stream_id:
                    if then is not None:
                        yield then, now
                    then = now = None
                metadata = EventMetadata(event.stream_id, event.stream_version, event.occurred_at, event.actor)
                now = TASK.evolve(now, typed, metadata)
                if moment.covers(event):
                    then = now
        if then is not None and now is not None:
            yield then, now


async def _chunks(store: EventStore, tasks: Sequence[Placed]) -> AsyncIterator[list[RecordedEvent]]:
    """Their events, task by task."""
    ids = [one.stream_id for one in tasks]
    first, last = min(one.first_position for one in tasks), max(one.last_position for one in tasks)
    stream_id, version = UUID(int=0), 0
    while True:
        rows = await store.pool.fetch(STREAMS, ids, first, last, stream_id, version, READ_EVENTS, CHUNK_BYTES_MAX)
        events = [from_row(row) for row in rows]
        if events:
            yield events
            stream_id, version = events[-1].stream_id, events[-1].stream_version
        if len(events) < READ_EVENTS and sum(len(event.data) for event in events) < CHUNK_BYTES_MAX:
            return


def _in_reads(tasks: Sequence[Placed]) -> list[list[Placed]]:
    reads: list[list[Placed]] = []
    events = READ_EVENTS
    for task in tasks:
        if events + task.version > READ_EVENTS:
            reads.append([])
            events = 0
        reads[-1].append(task)
        events += task.version
    return reads
