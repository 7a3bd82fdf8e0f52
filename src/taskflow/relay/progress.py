"""Up to which position the topic has the log: one row, saved by compare-and-set on the fencing number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from taskflow.errors import BrokerError, LeaseLost
from taskflow.ids import SHARDS

if TYPE_CHECKING:
    import asyncpg

    from taskflow.kafka.topics import Generation
    from taskflow.store.log import Log

_LOAD: Final = "select generation, position, last_positions, end_offsets from relay where fence = $1"
_SAVE: Final = """
update relay
   set generation = $2, position = $3, last_positions = $4, end_offsets = $5, moved_at = clock_timestamp(), fault = null
 where fence = $1 returning true
"""


class Progress(Struct, kw_only=True):
    """Every event at or before `position` was delivered to the topic."""

    position: int
    last: list[int]
    """By partition: the position of its last event at or before `position`; 0: it has none."""
    ends: list[int | None]
    """By partition: the offset that its next message will have; None: not known yet."""


async def last_of_partitions(log: Log, generation: Generation, to: int) -> list[int]:
    """By partition: the position of its last event at or before `to`, read from the log; 0: it has none."""
    by_shard = await log.last_positions(range(SHARDS), to=to)
    last = [0] * generation.partitions
    for shard, position in by_shard.items():
        partition = generation.partition_of(shard)
        last[partition] = max(last[partition], position)
    return last


async def load(pool: asyncpg.Pool[asyncpg.Record], log: Log, generation: Generation, fence: int) -> Progress:
    """The saved progress; entries that are missing are computed from the log. Raises LeaseLost."""
    row = await pool.fetchrow(_LOAD, fence)
    if row is None:
        raise LeaseLost(f"fence {fence} was taken over")
    if row["generation"] not in (None, generation.number):
        raise BrokerError(
            f"the relay publishes generation {row['generation']}, the newest is {generation.number}: "
            "the old one must be sealed and drained first"
        )
    position: int = row["position"]
    last: list[int | None] = row["last_positions"] or []
    ends: list[int | None] = row["end_offsets"] or []
    if len(last) != generation.partitions or None in last:
        computed = await last_of_partitions(log, generation, position)
        known = last if len(last) == generation.partitions else computed
        last = [there if here is None else here for here, there in zip(known, computed, strict=True)]
    if len(ends) != generation.partitions:
        ends = [None] * generation.partitions
    return Progress(position=position, last=[one for one in last if one is not None], ends=list(ends))


async def save(pool: asyncpg.Pool[asyncpg.Record], generation: Generation, fence: int, progress: Progress) -> None:
    """Saves the progress. Raises LeaseLost, and saves nothing, if another relay has taken the lease."""
    saved = await pool.fetchval(_SAVE, fence, generation.number, progress.position, progress.last, progress.ends)
    if not saved:
        raise LeaseLost(f"fence {fence} was taken over")
