"""Reads the log: by stream, by position, by shard. Nothing here writes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.store.recorded import RecordedEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    import asyncpg

COLUMNS: Final = """position, epoch, stream_id, stream_version, shard, type, schema_version, event_id,
    occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, data"""

_HEAD: Final = "select s.position, h.recorded_at, s.epoch, s.same_server from log_status_v1() s, log_head h"

# A stream's first and last position limit the partitions that are searched.
_OF_STREAM: Final = """stream_id = $1
  and position >= (select first_position from streams where stream_id = $1)
  and position <= (select last_position from streams where stream_id = $1)"""


def bounded(where: str, order: str, *, limit: str, bytes_max: str) -> str:
    """A query for events up to the one whose data reach `bytes_max` in all, and at least one. Lengths are computed without
    reading the data."""
    return f"""
select {COLUMNS} from (
    select {COLUMNS}, sum(octet_length(data)) over (order by {order}) - octet_length(data) as bytes_before
    from events where {where}
    order by {order} limit {limit}) page
where bytes_before < {bytes_max} order by {order}
"""


_STREAM: Final = bounded(
    f"{_OF_STREAM} and stream_version > $2 and stream_version <= $3", "stream_version", limit="$4", bytes_max="$5"
)

_LOG: Final = bounded("position > $1 and position <= $2", "position", limit="$3", bytes_max="$4")

_STREAMS: Final = f"""
select {COLUMNS} from (
    select e.*, n.number, sum(octet_length(e.data)) over (order by n.number, e.stream_version) - octet_length(e.data)
        as bytes_before
    from unnest($1::uuid[], $2::integer[]) with ordinality as n (named, last, number)
    join streams s on s.stream_id = n.named
    cross join lateral (
        select {COLUMNS} from events
        where stream_id = n.named and position >= s.first_position and position <= s.last_position
            and stream_version <= n.last
        order by stream_version limit $3) e) page
where bytes_before < $4 order by number, stream_version
"""

# The limit keeps each range a look into the index: without it, the ranges are joined with all events.
_RANGES: Final = f"""
select e.* from unnest($1::bigint[], $2::bigint[]) as r (first, last)
cross join lateral (
    select {COLUMNS} from events where position >= r.first and position <= r.last
    order by position limit r.last - r.first + 1) e
order by e.position
"""

_VERSIONS: Final = f"""
select {COLUMNS} from events where {_OF_STREAM} and stream_version = any($2::integer[]) order by stream_version
"""

_HEADERS: Final = f"""
select stream_version, type, occurred_at, actor, event_id, command_id, causation_id from events
where {_OF_STREAM} and stream_version > $2 and stream_version <= $3 order by stream_version limit $4
"""

_BYTES: Final = f"""
select coalesce(sum(octet_length(data)), 0)::bigint from events
where {_OF_STREAM} and stream_version > $2 and stream_version <= $3
"""

_POSITIONS: Final = f"""
select position from events where {_OF_STREAM} and stream_version = any($2::integer[]) order by stream_version
"""

_SHARDS: Final = bounded(
    "position > $1 and position <= $2 and shard = any($4::smallint[])", "position", limit="$3", bytes_max="$5"
)

# The end of the log, and events since a position without their data, in one round trip.
_TAIL: Final = """
select s.position, h.recorded_at, s.epoch, s.same_server, e.position, e.stream_id, e.stream_version, e.shard, e.type
from log_status_v1() s cross join log_head h left join lateral (
    select position, stream_id, stream_version, shard, type
    from events where position > $1 order by position limit $2) e on true
order by e.position
"""

_TYPES: Final = bounded(
    "position > $1 and position <= $2 and type = any($5::text[])", "position", limit="$3", bytes_max="$4"
)

# One probe of the index per shard.
_LAST: Final = """
select s.shard, e.position from unnest($1::smallint[]) as s (shard)
cross join lateral (
    select position from events where shard = s.shard and position <= $2 order by position desc limit 1
) e
"""

END: Final = 2**62
"""A position and a version past every real one."""
VERSION_END: Final = 2**31 - 1
"""A version past every real one, as the store counts them."""
CHUNK_EVENTS_MAX: Final = 1_000
CHUNK_BYTES_MAX: Final = 2_097_152
"""For a stream that is read in chunks: how much is in memory at once, and decoded between two turns of the event loop."""


class Head(Struct, frozen=True):
    """The end of the log."""

    position: int
    recorded_at: datetime | None
    epoch: int
    same_server: bool
    """Whether this server is the one that the epoch belongs to."""


class Step(Struct, frozen=True, gc=False):
    """An event's position, stream and type, without its data."""

    position: int
    stream_id: UUID
    stream_version: int
    shard: int
    type: str


class EventHeader(Struct, frozen=True, gc=False):
    """An event of a stream without its data: enough to search a history of any size."""

    version: int
    type: str
    occurred_at: datetime
    actor: UUID | None
    event_id: UUID
    command_id: UUID
    causation_id: UUID | None


def from_row(row: Any) -> RecordedEvent:
    """A row of `events` as a Struct; the driver's own UUID type becomes the standard one."""
    return RecordedEvent(
        position=row[0],
        epoch=row[1],
        stream_id=UUID(int=row[2].int),
        stream_version=row[3],
        shard=row[4],
        type=row[5],
        schema_version=row[6],
        event_id=UUID(int=row[7].int),
        occurred_at=row[8],
        recorded_at=row[9],
        actor=None if row[10] is None else UUID(int=row[10].int),
        command_id=UUID(int=row[11].int),
        correlation_id=row[12],
        causation_id=None if row[13] is None else UUID(int=row[13].int),
        data=row[14],
    )


def _header(row: Any) -> EventHeader:
    return EventHeader(
        version=row[0],
        type=row[1],
        occurred_at=row[2],
        actor=None if row[3] is None else UUID(int=row[3].int),
        event_id=UUID(int=row[4].int),
        command_id=UUID(int=row[5].int),
        causation_id=None if row[6] is None else UUID(int=row[6].int),
    )


def _head(row: Any) -> Head:
    return Head(row[0], row[1] if row[0] else None, row[2], row[3])


class Log:
    """Reads the log. Safe to share between tasks: every call takes a connection of the pool."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.pool = pool

    async def head(self) -> Head:
        """The end of the log: every event at or before its position is visible."""
        row = await self.pool.fetchrow(_HEAD)
        if row is None:
            raise AssertionError("log_head and log_meta have one row each since the first migration")
        return _head(row)

    async def tail(self, after: int, *, limit: int) -> tuple[Head, list[Step]]:
        """The end of the log and the first events after `after`, both of one snapshot of the store."""
        rows = await self.pool.fetch(_TAIL, after, limit)
        steps = [Step(row[4], row[5], row[6], row[7], row[8]) for row in rows if row[4] is not None]
        return _head(rows[0]), steps

    async def stream(
        self,
        stream_id: UUID,
        *,
        after: int = 0,
        to: int | None = None,
        limit: int = VERSION_END,
        bytes_max: int = END,
    ) -> list[RecordedEvent]:
        """A stream's events with `after` < version ≤ `to`, oldest first; up to the event whose data reach `bytes_max` in
        all."""
        end = VERSION_END if to is None else to
        rows = await self.pool.fetch(_STREAM, stream_id, after, end, limit, bytes_max)
        return [from_row(row) for row in rows]

    async def streams(
        self, versions: Mapping[UUID, int], *, events_max: int, bytes_max: int
    ) -> dict[UUID, list[RecordedEvent]]:
        """The first events of several streams, of each up to a version and at most `events_max`; streams in their order,
        up to the event whose data reach `bytes_max` in all. One round trip."""
        rows = await self.pool.fetch(_STREAMS, list(versions), list(versions.values()), events_max, bytes_max)
        found: dict[UUID, list[RecordedEvent]] = {}
        for event in map(from_row, rows):
            found.setdefault(event.stream_id, []).append(event)
        return found

    async def ranges(self, ranges: Sequence[tuple[int, int]]) -> list[RecordedEvent]:
        """The events in ranges of positions, each given by its first and its last one, in the order of positions."""
        rows = await self.pool.fetch(_RANGES, [first for first, _ in ranges], [last for _, last in ranges])
        return [from_row(row) for row in rows]

    async def chunks(
        self, stream_id: UUID, *, after: int = 0, to: int | None = None
    ) -> AsyncIterator[list[RecordedEvent]]:
        """As `stream`, for a stream of any length: one bounded chunk after the other."""
        end = VERSION_END if to is None else to
        while after < end:
            chunk = await self.stream(stream_id, after=after, to=end, limit=CHUNK_EVENTS_MAX, bytes_max=CHUNK_BYTES_MAX)
            if chunk:
                yield chunk
                after = chunk[-1].stream_version
            if len(chunk) < CHUNK_EVENTS_MAX and sum(len(event.data) for event in chunk) < CHUNK_BYTES_MAX:
                return

    async def headers(self, stream_id: UUID, *, after: int = 0, to: int | None = None, limit: int) -> list[EventHeader]:
        """As `stream`, without the events' data."""
        rows = await self.pool.fetch(_HEADERS, stream_id, after, VERSION_END if to is None else to, limit)
        return [_header(row) for row in rows]

    async def bytes_of(self, stream_id: UUID, *, after: int, to: int) -> int:
        """The size of the data of a stream's events with `after` < version ≤ `to`, computed without reading them."""
        found: int = await self.pool.fetchval(_BYTES, stream_id, after, to)
        return found

    async def positions(self, stream_id: UUID, versions: Collection[int]) -> list[int]:
        """The positions of a stream's events that have one of these versions, oldest first."""
        return [row[0] for row in await self.pool.fetch(_POSITIONS, stream_id, list(versions))]

    async def versions(self, stream_id: UUID, versions: Collection[int]) -> list[RecordedEvent]:
        """A stream's events that have one of these versions, oldest first."""
        if not versions:
            return []
        return [from_row(row) for row in await self.pool.fetch(_VERSIONS, stream_id, list(versions))]

    async def read(
        self,
        after: int,
        *,
        limit: int,
        to: int = END,
        types: Sequence[str] | None = None,
        bytes_max: int = END,
    ) -> list[RecordedEvent]:
        """Events with `after` < position ≤ `to` in the order of positions, of all types or of some; up to the event whose
        data reach `bytes_max` in all."""
        if types is not None:
            rows = await self.pool.fetch(_TYPES, after, to, limit, bytes_max, list(types))
        else:
            rows = await self.pool.fetch(_LOG, after, to, limit, bytes_max)
        return [from_row(row) for row in rows]

    async def read_shards(
        self, after: int, shards: Sequence[int], *, to: int, limit: int, bytes_max: int
    ) -> list[RecordedEvent]:
        """As `read`, of some shards."""
        rows = await self.pool.fetch(_SHARDS, after, to, limit, list(shards), bytes_max)
        return [from_row(row) for row in rows]

    async def last_positions(self, shards: Sequence[int], *, to: int = END) -> dict[int, int]:
        """The last position at or before `to` of each shard that has one."""
        return {row[0]: row[1] for row in await self.pool.fetch(_LAST, list(shards), to)}
