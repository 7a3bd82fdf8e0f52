"""Faults of projectors that an operator must mend, such as a MongoDB that refuses a write.

A worker repeats its fault while it lasts and deletes it once a write succeeds. Readers ignore a fault that was not
repeated within `SEEN_S`, because a worker that was killed deletes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncpg

SEEN_S: Final = 30
REASON_MAX: Final = 500
"""Characters of a reason."""

_RECORD: Final = """
insert into projector_faults as f (projection, worker, reason) values ($1, $2, $3)
on conflict (projection, worker) do update set seen_at = clock_timestamp(), reason = excluded.reason
"""
_CLEAR: Final = """
delete from projector_faults
 where (projection = $1 and worker = $2) or seen_at < clock_timestamp() - make_interval(secs => $3)
"""
_READ: Final = """
select projection, min(reason) from projector_faults
 where seen_at >= clock_timestamp() - make_interval(secs => $1) group by projection
"""


async def record_fault(pool: asyncpg.Pool[asyncpg.Record], projection: str, worker: str, reason: str) -> None:
    """Stores or repeats the fault of a worker's projection."""
    await pool.execute(_RECORD, projection, worker, reason[:REASON_MAX])


async def clear_fault(pool: asyncpg.Pool[asyncpg.Record], projection: str, worker: str) -> None:
    """Deletes the fault of a worker's projection, and those that nobody repeats."""
    await pool.execute(_CLEAR, projection, worker, float(SEEN_S))


async def read_faults(pool: asyncpg.Pool[asyncpg.Record]) -> dict[str, str]:
    """Returns the reason by projection."""
    return {row[0]: row[1] for row in await pool.fetch(_READ, float(SEEN_S))}
