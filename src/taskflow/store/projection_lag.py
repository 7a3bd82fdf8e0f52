"""What a projection has not applied yet: how many events of the log, the first of them, and its age.

checkpoints by partition ─▶ one bounded query over the events after them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

COUNTED_MAX: Final = 10_000
"""Events that are counted one by one; beyond them, the count is estimated from the positions."""

# Positions have no gaps, so those before the oldest checkpoint need not be searched.
_LAG: Final = """
select h.position as head, w.count, w.first,
       coalesce(extract(epoch from clock_timestamp() - w.recorded_at), 0)::float8 as seconds
  from log_head h cross join lateral (
       select count(*) as count, min(position) as first, min(recorded_at) as recorded_at from (
              select position, recorded_at from events
               where position > $1 and position > ($2::bigint[])[1 + shard % cardinality($2)]
               order by position limit $3) waiting) w
"""


class Lag(Struct, frozen=True, kw_only=True):
    """`position`: everything at or before it is applied. `events` after it are not, the oldest for `seconds`."""

    position: int
    head: int
    events: int
    seconds: float


async def read_lag(pool: asyncpg.Pool[asyncpg.Record], checkpoints: Sequence[int]) -> Lag:
    """Returns the lag of a projection whose partition `n` is applied up to `checkpoints[n]`."""
    row = await pool.fetchrow(_LAG, min(checkpoints), list(checkpoints), COUNTED_MAX + 1)
    if row is None:
        raise AssertionError("log_head has one row since the first migration")
    head: int = row["head"]
    events: int = row["count"]
    if events > COUNTED_MAX:
        # Each partition has about its share of the positions.
        events = sum(max(0, head - position) for position in checkpoints) // len(checkpoints)
    return Lag(
        position=head if row["first"] is None else row["first"] - 1,
        head=head,
        events=max(events, row["count"]),
        seconds=max(0.0, row["seconds"]),
    )
