"""The status of every projection, as operators see it: in `GET /admin/projections` and in `/metrics`.

checkpoints (MongoDB) ─┐
the log (PostgreSQL)  ─┼─▶ ProjectionBody
faults (PostgreSQL)   ─┘
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from taskflow.dates.timestamps import Timestamp, timestamp
from taskflow.projections.projection import ATTEMPT
from taskflow.projections.registry import PROJECTIONS
from taskflow.readmodels.projection_status import HaltedPartition, read_progress
from taskflow.store.projection_lag import read_lag
from taskflow.store.projector_faults import read_faults

if TYPE_CHECKING:
    from taskflow.api.context import Context
    from taskflow.projections.projection import Projection

WORKER_SEEN: Final = timedelta(seconds=30)
"""A worker that saved no checkpoint for this long is gone: those that run save all of theirs every few seconds."""
BEHIND_S: Final = 5.0
"""A projection whose oldest event that is not applied is older than this is catching up."""

State = Literal["running", "catching_up", "stopped", "halted", "refused"]


class WorkerBody(Struct, frozen=True):
    id: str
    partitions: list[int]
    seen_at: Timestamp


class ProjectionBody(Struct, frozen=True, kw_only=True):
    """`state`: `refused` while MongoDB refuses its writes, `halted` where a partition waits for an operator, `stopped`
    where no worker advances some partition, `catching_up` where it is more than 5 s behind, otherwise `running`.

    `position`: everything at or before it is applied. `lag_events` of the log are not, the oldest for `lag_seconds`; more
    than 10,000 are estimated. `rate`: events of the log that it went past per second, over the last ten seconds.
    `rebuild`: null, because no other attempt is being built. `dead_letters`: streams that are parked.
    """

    name: str
    version: int
    attempt: int
    state: State
    reason: str | None
    position: int
    head: int
    lag_events: int
    lag_seconds: float
    rate: float
    rebuild: None
    dead_letters: int
    halted: list[HaltedPartition]
    workers: list[WorkerBody]


async def projection_status(context: Context) -> list[ProjectionBody]:
    """Reads the status of all projections. Raises PyMongoError and TRANSIENT_ERRORS."""
    faults = await read_faults(context.store.pool)
    return list(await asyncio.gather(*[_one(context, view, faults.get(view.name)) for view in PROJECTIONS.values()]))


async def _one(context: Context, view: Projection, fault: str | None) -> ProjectionBody:
    models = context.readmodels
    progress = await read_progress(
        models.database,
        view,
        generation=models.freshness.generation,
        partitions=context.follower.recent_positions.partitions,
        seen_since=datetime.now(UTC) - WORKER_SEEN,
    )
    lag = await read_lag(context.store.pool, progress.positions)
    state: State = "running"
    if fault is not None:
        state = "refused"
    elif progress.halted:
        state = "halted"
    elif progress.orphans:
        state = "stopped"
    elif lag.seconds > BEHIND_S:
        state = "catching_up"
    return ProjectionBody(
        name=view.name,
        version=view.version,
        attempt=ATTEMPT,
        state=state,
        reason=fault,
        position=lag.position,
        head=lag.head,
        lag_events=lag.events,
        lag_seconds=round(lag.seconds, 3),
        rate=round(models.freshness.rate(view.name), 1),
        rebuild=None,
        dead_letters=progress.parked,
        halted=progress.halted,
        workers=[WorkerBody(one.id, one.partitions, timestamp(one.seen_at)) for one in progress.workers],
    )
