"""Pages of the log, filtered by project, stream, type, actor and time.

A page scans a bounded number of positions, so it may have fewer events than its limit, or none, without being the last.
Where only few streams can match, these streams are read instead of the log, so that nobody waits for a scan of a million
events to find three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from msgspec import Struct

from taskflow.page_bounds import PAGE_BYTES_MAX
from taskflow.store.log import from_row

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    import asyncpg

    from taskflow.store.recorded import RecordedEvent

SCAN_MAX: Final = 20_000
"""Positions that one page scans."""
SHORT_RANGE_MAX: Final = 500
"""A part of the log that is this short is scanned, whatever the filter: clients that follow the log ask for less."""
FEW_STREAMS: Final = 1_000
FEW_EVENTS: Final = 20_000
"""Projects with at most so many streams and events are read stream by stream."""
SYSTEM: Final = UUID(int=0)
"""Stands for the system among actors, who are users."""

_COLUMNS: Final = """e.position, e.epoch, e.stream_id, e.stream_version, e.shard, e.type, e.schema_version, e.event_id,
    e.occurred_at, e.recorded_at, e.actor, e.command_id, e.correlation_id, e.causation_id, e.data"""
_COUNT: Final = """
select count(*), coalesce(sum(version), 0)
from (select version from streams where project = any($1::uuid[]) limit $2) s
"""
_PROJECTS: Final = """
select stream_id, project from streams where stream_id = any($1::uuid[]) and ($2::text is null or kind = $2)
"""
_LIVE: Final = f"""
select {_COLUMNS}, e.project, e.found from (
    select {_COLUMNS}, e.project, count(*) over () as found,
           sum(octet_length(e.data)) over (order by e.position) - octet_length(e.data) as bytes_before
    from (select {_COLUMNS}, s.project from events e join streams s on s.stream_id = e.stream_id
          where e.position > $1 and e.position <= $2 order by e.position limit $3) e) e
where e.bytes_before < $4 order by e.position
"""


class EventFilter(Struct, frozen=True, kw_only=True):
    """A filter of events. A set matches any of its members, None matches all. `since` and `before` compare `occurred_at`."""

    projects: frozenset[UUID] | None = None
    """Projects that the streams belong to today."""
    streams: frozenset[UUID] | None = None
    types: frozenset[str] | None = None
    actors: frozenset[UUID] | None = None
    commands: frozenset[UUID] | None = None
    correlations: frozenset[str] | None = None
    since: datetime | None = None
    before: datetime | None = None


class Page(Struct, frozen=True):
    """Events in order, and the last position that was scanned: the next page begins after it."""

    events: list[RecordedEvent]
    position: int


class History:
    """Reads pages of the log, each in one short transaction."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def page(self, sought: EventFilter, *, after: int, to: int, limit: int) -> Page:
        """The first events with `after` < position ≤ `to`. Ends with the event whose data reach PAGE_BYTES_MAX in all."""
        if after >= to or _matches_nothing(sought):
            return Page([], max(after, to))
        if sought.streams is not None or (to - after > SHORT_RANGE_MAX and await self._few(sought)):
            rows = await self._streams(sought, after, to, limit)
        else:
            to = min(to, after + SCAN_MAX)
            rows = await self._scan(sought, after, to, limit)
        return _page(rows, limit, to)

    async def newest(self, sought: EventFilter, *, before: int, limit: int, bytes_max: int | None = None) -> Page:
        """The last events with position < `before`, newest first. Ends with the event whose data reach `bytes_max` in all
        (PAGE_BYTES_MAX by default). Its `position` is the next page's `before`, or 0 at the beginning of the log."""
        if before <= 1 or _matches_nothing(sought):
            return Page([], 0)
        least = max(1, before - SCAN_MAX)
        if sought.streams is not None or (before > SHORT_RANGE_MAX and await self._few(sought)):
            least = 1
            rows = await self._streams(sought, 0, before - 1, limit, bytes_max, descending=True)
        else:
            rows = await self._scan(sought, least - 1, before - 1, limit, bytes_max, descending=True)
        page = _page(rows, limit, least)
        return page if page.position > 1 else Page(page.events, 0)

    async def live(self, after: int, *, to: int, limit: int) -> tuple[list[tuple[RecordedEvent, UUID | None]], int]:
        """The first events with `after` < position ≤ `to`, each with the project of its stream, and the position up to which
        these are all. Ends with the event whose data reach PAGE_BYTES_MAX in all."""
        rows = await self._pool.fetch(_LIVE, after, to, limit, PAGE_BYTES_MAX)
        page = _page(rows, limit, to, found=16)
        return list(zip(page.events, [_uuid(row[15]) for row in rows], strict=True)), page.position

    async def projects_of(self, streams: Collection[UUID], *, kind: str | None = None) -> dict[UUID, UUID | None]:
        """The project of each of these streams, or None; without streams that do not exist, or are of another kind."""
        rows = await self._pool.fetch(_PROJECTS, list(streams), kind)
        return {UUID(int=row[0].int): _uuid(row[1]) for row in rows}

    async def position_before(self, moment: datetime) -> int:
        """The greatest position up to which every event was recorded before a time."""
        position: int = await self._pool.fetchval("select position_before_v1($1)", moment)
        return position

    # --- two ways to the same events

    async def _few(self, sought: EventFilter) -> bool:
        if sought.projects is None:
            return False
        row = await self._pool.fetchrow(_COUNT, list(sought.projects), FEW_STREAMS + 1)
        return row is not None and row[0] <= FEW_STREAMS and row[1] <= FEW_EVENTS

    async def _scan(
        self,
        sought: EventFilter,
        after: int,
        to: int,
        limit: int,
        bytes_max: int | None = None,
        *,
        descending: bool = False,
    ) -> list[Any]:
        """Scans the log."""
        query = _Query(after, to, limit)
        where = ["e.position > $1", "e.position <= $2", *query.conditions(sought)]
        if sought.projects is not None:
            # One look-up per position, instead of all streams of a large project.
            of_stream = "(select s.project from streams s where s.stream_id = e.stream_id)"
            where.append(f"{of_stream} = any({query.argument(sought.projects)}::uuid[])")
        return await self._fetch(
            query, f"select {_COLUMNS} from events e where {' and '.join(where)}", bytes_max, descending
        )

    async def _streams(
        self,
        sought: EventFilter,
        after: int,
        to: int,
        limit: int,
        bytes_max: int | None = None,
        *,
        descending: bool = False,
    ) -> list[Any]:
        """Reads each of the streams in question, at most `limit` events of each."""
        query = _Query(after, to, limit)
        whose = ["s.last_position > $1", "s.first_position <= $2"]
        if sought.streams is not None:
            whose.append(f"s.stream_id = any({query.argument(sought.streams)}::uuid[])")
        if sought.projects is not None:
            whose.append(f"s.project = any({query.argument(sought.projects)}::uuid[])")
        where = ["e.stream_id = s.stream_id", "e.position > $1", "e.position <= $2"]
        # A stream's first and last position limit the partitions that are searched.
        where += ["e.position >= s.first_position", "e.position <= s.last_position", *query.conditions(sought)]
        order = "desc" if descending else "asc"
        found = (
            f"select e.* from streams s cross join lateral (select {_COLUMNS} from events e"
            f" where {' and '.join(where)} order by e.stream_version {order} limit $3) e where {' and '.join(whose)}"
        )
        return await self._fetch(query, found, bytes_max, descending)

    async def _fetch(self, query: _Query, found: str, bytes_max: int | None, descending: bool) -> list[Any]:
        """Orders the events, and ends the page with the event whose data reach the bound. Column 15 is how many events were
        found before that. Lengths are computed without reading the data, so only this page's data are read."""
        order = "desc" if descending else "asc"
        bound = query.argument(PAGE_BYTES_MAX if bytes_max is None else bytes_max)
        statement = (
            f"select {_COLUMNS}, e.found from (select {_COLUMNS}, count(*) over () as found,"
            f" sum(octet_length(e.data)) over (order by e.position {order}) - octet_length(e.data) as bytes_before"
            f" from ({found} order by e.position {order} limit $3) e) e"
            f" where e.bytes_before < {bound}::bigint order by e.position {order}"
        )
        return list(await self._pool.fetch(statement, *query.arguments))


class _Query:
    """Collects a statement's arguments; the first three are after, to, limit."""

    def __init__(self, after: int, to: int, limit: int) -> None:
        self.arguments: list[Any] = [after, to, limit]

    def argument(self, value: Any) -> str:
        self.arguments.append(list(value) if isinstance(value, frozenset) else value)
        return f"${len(self.arguments)}"

    def conditions(self, sought: EventFilter) -> list[str]:
        """Conditions on columns of `events`."""
        found: list[str] = []
        if sought.types is not None:
            found.append(f"e.type = any({self.argument(sought.types)}::text[])")
        if sought.actors is not None:
            found.append(f"coalesce(e.actor, '{SYSTEM}'::uuid) = any({self.argument(sought.actors)}::uuid[])")
        if sought.commands is not None:
            found.append(f"e.command_id = any({self.argument(sought.commands)}::uuid[])")
        if sought.correlations is not None:
            found.append(f"e.correlation_id = any({self.argument(sought.correlations)}::text[])")
        if sought.since is not None:
            found.append(f"e.occurred_at >= {self.argument(sought.since)}::timestamptz")
        if sought.before is not None:
            found.append(f"e.occurred_at < {self.argument(sought.before)}::timestamptz")
        return found


def _matches_nothing(sought: EventFilter) -> bool:
    return frozenset() in {
        *(sought.projects, sought.streams, sought.types, sought.actors),
        *(sought.commands, sought.correlations),
    }


def _page(rows: list[Any], limit: int, looked_to: int, *, found: int = 15) -> Page:
    events = [from_row(row) for row in rows]
    cut = bool(rows) and (len(rows) == limit or len(rows) < rows[0][found])
    return Page(events, events[-1].position if cut else looked_to)


def _uuid(value: Any) -> UUID | None:
    return None if value is None else UUID(int=value.int)
