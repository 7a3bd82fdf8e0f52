"""Tasks of a project at a point in time of the past, for its board as it was then.

An index names the tasks that were ever in the project; each is folded from its events, to then and to now.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from taskflow.errors import HistoryTooLarge
from taskflow.store.log import CHUNK_BYTES_MAX, bounded, from_row
from taskflow.store.time_travel import UNTIL, state_of
from taskflow.streams import TASK, EventMetadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.store.eventstore import EventStore
    from taskflow.store.recorded import RecordedEvent
    from taskflow.store.time_travel import PointInTime
    from taskflow.streams.task import TaskState

_TASKS_EVER_IN: Final = """
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
"""Events in one read, of as many tasks as have so few together; other tasks of the event loop run between two reads."""


class TaskOfProject(Struct, frozen=True):
    """A task that was ever in a project, its version and the positions of its first and last event."""

    stream_id: UUID
    version: int
    first_position: int
    last_position: int


async def tasks_ever_in(store: EventStore, project_id: UUID, moment: PointInTime, *, limit: int) -> list[TaskOfProject]:
    """Tasks that were in a project at any time up to a point in time, at most `limit` of them."""
    rows = await store.pool.fetch(
        _TASKS_EVER_IN.format(until=UNTIL[moment.clock]), str(project_id).encode(), moment.until, limit
    )
    return [TaskOfProject(UUID(int=row[0].int), row[1], row[2], row[3]) for row in rows]


async def states_then_and_now(
    store: EventStore, tasks: Sequence[TaskOfProject], moment: PointInTime, *, bytes_max: int
) -> AsyncIterator[tuple[TaskState, TaskState]]:
    """The states of tasks then and now, without tasks that began later. One task and one chunk of events are in memory at a
    time. Raises HistoryTooLarge once their events are more than `bytes_max`."""
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
                        yield await _settled(store, then, bytes_max), await _settled(store, now, bytes_max)
                    then = now = None
                metadata = EventMetadata(event.stream_id, event.stream_version, event.occurred_at, event.actor)
                now = TASK.evolve(now, typed, metadata)
                if moment.covers(event):
                    then = now
        if then is not None and now is not None:
            yield await _settled(store, then, bytes_max), await _settled(store, now, bytes_max)


async def _settled(store: EventStore, task: TaskState, bytes_max: int) -> TaskState:
    """The state without the events that were annulled by its version: this task is folded once more."""
    if not task.annulments:
        return task
    found = await state_of(store, TASK, task.id, task.version, bytes_max=bytes_max)
    if found is None:
        raise AssertionError(f"version {task.version} of {task.id} was read a moment ago")
    return found


async def _chunks(store: EventStore, tasks: Sequence[TaskOfProject]) -> AsyncIterator[list[RecordedEvent]]:
    """The events of tasks, task by task."""
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


def _in_reads(tasks: Sequence[TaskOfProject]) -> list[list[TaskOfProject]]:
    """Splits tasks into groups that have at most READ_EVENTS events together, or one task with more."""
    reads: list[list[TaskOfProject]] = []
    events = READ_EVENTS
    for task in tasks:
        if events + task.version > READ_EVENTS:
            reads.append([])
            events = 0
        reads[-1].append(task)
        events += task.version
    return reads
