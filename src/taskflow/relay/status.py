"""The relay's status for /health, /readyz and operators: who leads and how far it is behind. One query; Kafka is not asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    import asyncpg

_READ: Final = """
select case when r.expires_at > clock_timestamp() then r.holder end as leader, r.fence, r.position,
       h.position as head, r.fault,
       extract(epoch from clock_timestamp() - r.moved_at)::float8 as idle_s,
       coalesce(extract(epoch from clock_timestamp() - e.recorded_at), 0)::float8 as lag_s
  from relay r cross join log_head h
  left join lateral (select recorded_at from events where position > r.position order by position limit 1) e on true
"""


class RelayStatus(Struct, frozen=True, kw_only=True):
    """The relay's status. `leader` is None while nobody holds the lease, for example while Kafka does not answer."""

    leader: str | None
    fence: int
    position: int
    """Every event at or before it is in the topic."""
    head: int
    fault: str | None
    """Why a relay stopped and waits for an operator; None once one publishes again."""
    idle_s: float | None
    """Since Kafka last acknowledged a message, at most about `watermark_interval_ms` in normal operation; None: never."""
    lag_s: float
    """Age of the oldest event that is not in the topic yet; 0: there is none."""

    @property
    def lag_events(self) -> int:
        return self.head - self.position


async def read(pool: asyncpg.Pool[asyncpg.Record]) -> RelayStatus:
    """The relay's state as the store knows it."""
    row = await pool.fetchrow(_READ)
    if row is None:
        raise AssertionError("relay and log_head have one row each since the first migration")
    return RelayStatus(**dict(row))
