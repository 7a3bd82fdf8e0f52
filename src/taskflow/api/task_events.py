"""A task's history, from the event store: it includes whatever was acknowledged before the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from litestar import Response
from msgspec import Raw, Struct

from taskflow.api.reads import PAGED, Reading, after_cursor, to_cursor
from taskflow.api.routes import BASE, Call, Route
from taskflow.api.stored import committed
from taskflow.errors import Invalid, NotFound
from taskflow.privacy.sealing import personal_fields
from taskflow.projections.view import Timestamp, timestamp
from taskflow.streams import EVENT_TYPES, TASK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.store.mapper import Mapper
    from taskflow.store.recorded import RecordedEvent


class Envelope(Struct, frozen=True, kw_only=True):
    """An event as everybody outside sees it."""

    position: int
    event_id: UUID
    stream_id: UUID
    stream_version: int
    type: str
    schema_version: int
    occurred_at: Timestamp
    recorded_at: Timestamp
    actor: str
    """A user's id, or `system`."""
    command_id: UUID
    correlation_id: str | None
    causation_id: UUID | None
    data: Raw


async def list_task_events(call: Call) -> Response[bytes]:
    task_id = call.id("task_id", "task")
    reading = Reading(call)
    reading.paged()
    await reading.begin()
    store = reading.context.store
    after = 0 if reading.cursor is None else after_cursor(reading.cursor, "task-events")
    if not isinstance(after, int) or not 0 <= after < 2**31:
        raise Invalid("cursor", "cursor", "expected a next_cursor of this list")
    found = await store.log.stream(task_id, after=after, limit=reading.limit + 1)
    # Judged by where the task is once these are in: what happened after it moved is the other project's.
    await reading.context.follower.poll()
    task = await committed(store, TASK, task_id)
    if task is None or task.purged:
        raise NotFound("task", task_id)
    await reading.must_see(task.project_id, "task", task_id)
    page = found[: reading.limit]
    more = len(found) > len(page)
    items = await envelopes(store.mapper, page)
    reading.drew(max([reading.context.follower.position, *[event.position for event in page]]))
    return reading.page(items, to_cursor("task-events", page[-1].stream_version) if more else None)


async def envelopes(mapper: Mapper, events: Sequence[RecordedEvent]) -> list[Envelope]:
    """Events with their data in today's shape. `data` holds no personal field: those streams have a
    reader of their own, who asks who may see the person."""
    old = [event for event in events if event.schema_version != EVENT_TYPES[event.type].schema_version]
    lifted = dict(zip((event.position for event in old), await mapper.decode(old), strict=True))
    return [
        Envelope(
            position=event.position,
            event_id=event.event_id,
            stream_id=event.stream_id,
            stream_version=event.stream_version,
            type=event.type,
            schema_version=EVENT_TYPES[event.type].schema_version,
            occurred_at=timestamp(event.occurred_at),
            recorded_at=timestamp(event.recorded_at),
            actor=str(event.actor or "system"),
            command_id=event.command_id,
            correlation_id=event.correlation_id,
            causation_id=event.causation_id,
            data=_data(event, lifted),
        )
        for event in events
    ]


def _data(event: RecordedEvent, lifted: dict[int, Any]) -> Raw:
    if personal_fields(EVENT_TYPES[event.type]):
        raise AssertionError(f"{event.type} holds personal data and is no event of a task")
    if event.position in lifted:
        return Raw(msgspec.json.encode(lifted[event.position]))
    return Raw(event.data)


class EnvelopePage(Struct, frozen=True):
    items: list[Envelope]
    next_cursor: str | None


ROUTES: Final = (
    Route(
        "GET",
        f"{BASE}/tasks/{{task_id:str}}/events",
        list_task_events,
        "A task's history, oldest first",
        answer=EnvelopePage,
        query=PAGED,
    ),
)
