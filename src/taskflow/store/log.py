"""Reading the log: by stream, by position, by shard. Nothing here writes."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.store.recorded import RecordedEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import asyncpg

COLUMNS: Final = """position, epoch, stream_id, stream_version, shard, type, schema_version, event_id,
    occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, data"""

_HEAD: Final = "select s.position, h.recorded_at, s.epoch, s.same_server from log_standing() s, log_head h"

# The range of positions that a stream touches names the partitions to look at.
_STREAM: Final = f"""
select {COLUMNS} from events
where stream_id = $1 and stream_version > $2 and stream_version <= $3
  and position >= (select first_position from streams where stream_id = $1)
  and position <= (select last_position from streams where stream_id = $1)
order by stream_version limit $4
"""

_LOG: Final = f"""
select {COLUMNS} from events where position > $1 and position <= $2 order by position limit $3
"""

_VERSIONS: Final = f"""
select {COLUMNS} from events
where stream_id = $1 and stream_version = any($2::integer[])
  and position >= (select first_position from streams where stream_id = $1)
  and position <= (select last_position from streams where stream_id = $1)
order by stream_version
"""

# Up to the event that fills the bound: at least one.
_SHARDS_BOUNDED: Final = f"""
select {COLUMNS} from (
    select {COLUMNS}, sum(octet_length(data)) over (order by position) - octet_length(data) as bytes_before
    from events where position > $1 and position <= $2 and shard = any($4::smallint[])
    order by position limit $3) page
where bytes_before < $5 order by position
"""

# Without their data: one round trip says where the log ends and what has come since.
_TAIL: Final = """
select s.position, h.recorded_at, s.epoch, s.same_server, e.position, e.stream_id, e.stream_version, e.shard, e.type
from log_standing() s cross join log_head h left join lateral (
    select position, stream_id, stream_version, shard, type
    from events where position > $1 order by position limit $2) e on true
order by e.position
"""

_TYPES: Final = f"""
select {COLUMNS} from events
where position > $1 and position <= $2 and type = any($4::text[])
order by position limit $3
"""

# One index probe a shard; the newest event of all of them is the greatest.
_LAST: Final = """
select s.shard, e.position from unnest($1::smallint[]) as s (shard)
cross join lateral (
    select position from events where shard = s.shard and position <= $2 order by position desc limit 1
) e
"""

END: Final = 2**62
"""A position and a version past every real one."""


class Head(Struct, frozen=True):
    """The end of the log."""

    position: int
    recorded_at: datetime | None
    epoch: int
    same_server: bool
    """Whether the server is the one that the epoch belongs to."""


class Step(Struct, frozen=True, gc=False):
    """Where an event stands, without what it says."""

    position: int
    stream_id: UUID
    stream_version: int
    shard: int
    type: str


def recorded(row: Any) -> RecordedEvent:
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


def _head(row: Any) -> Head:
    return Head(row[0], row[1] if row[0] else None, row[2], row[3])


class Log:
    """The log as its readers see it. Safe to share between tasks: every call takes a pooled connection."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self.pool = pool

    async def head(self) -> Head:
        """The last position given out; every event at or before it is visible."""
        row = await self.pool.fetchrow(_HEAD)
        if row is None:
            raise AssertionError("log_head and log_meta have one row each since the first migration")
        return _head(row)

    async def tail(self, after: int, *, limit: int) -> tuple[Head, list[Step]]:
        """The end of the log, and the first events past `after`, both as of one moment."""
        rows = await self.pool.fetch(_TAIL, after, limit)
        steps = [Step(row[4], row[5], row[6], row[7], row[8]) for row in rows if row[4] is not None]
        return _head(rows[0]), steps

    async def stream(
        self, stream_id: UUID, *, after: int = 0, to: int | None = None, limit: int = 2**31 - 1
    ) -> list[RecordedEvent]:
        """A stream's events with `after` < version ≤ `to`, oldest first; empty where there is none."""
        rows = await self.pool.fetch(_STREAM, stream_id, after, 2**31 - 1 if to is None else to, limit)
        return [recorded(row) for row in rows]

    async def versions(self, stream_id: UUID, versions: Collection[int]) -> list[RecordedEvent]:
        """Those of a stream's events that have one of these versions, oldest first."""
        if not versions:
            return []
        return [recorded(row) for row in await self.pool.fetch(_VERSIONS, stream_id, list(versions))]

    async def read(
        self,
        after: int,
        *,
        limit: int,
        to: int = END,
        types: Sequence[str] | None = None,
    ) -> list[RecordedEvent]:
        """Events with `after` < position ≤ `to` in position order; all, or of some types."""
        if types is not None:
            rows = await self.pool.fetch(_TYPES, after, to, limit, list(types))
        else:
            rows = await self.pool.fetch(_LOG, after, to, limit)
        return [recorded(row) for row in rows]

    async def read_shards(
        self, after: int, shards: Sequence[int], *, to: int, limit: int, bytes_max: int
    ) -> list[RecordedEvent]:
        """As `read` of some shards, and no further than the event with which their data reach `bytes_max`."""
        rows = await self.pool.fetch(_SHARDS_BOUNDED, after, to, limit, list(shards), bytes_max)
        return [recorded(row) for row in rows]

    async def last_positions(self, shards: Sequence[int], *, to: int = END) -> dict[int, int]:
        """The last position at or before `to` of each shard that has one."""
        return {row[0]: row[1] for row in await self.pool.fetch(_LAST, list(shards), to)}
