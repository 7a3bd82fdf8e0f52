"""Reads the progress of a projection, for operators: checkpoints, workers, halted partitions, parked streams."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from taskflow.projections.collection_names import CHECKPOINTS, PARKED
from taskflow.projections.projection import ATTEMPT

if TYPE_CHECKING:
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection


class HaltedPartition(Struct, frozen=True):
    partition: int
    reason: str


class ProjectionWorker(Struct, frozen=True):
    """A worker and the partitions that it advances; `seen_at`: when it last saved one of them."""

    id: str
    partitions: list[int]
    seen_at: datetime


class Progress(Struct, frozen=True, kw_only=True):
    """`positions`: of each partition; 0 where no worker has begun it. `orphans`: partitions that no worker advances.
    `parked`: streams."""

    positions: list[int]
    halted: list[HaltedPartition]
    workers: list[ProjectionWorker]
    orphans: list[int]
    parked: int


async def read_progress(
    database: Database, view: Projection, *, generation: int, partitions: int, seen_since: datetime
) -> Progress:
    """Reads the progress of one projection under a topic generation.

    A worker that saved nothing since `seen_since` is gone: a killed one leaves its name behind. Raises PyMongoError.
    """
    found: list[dict[str, Any]] = (
        await database[CHECKPOINTS]
        .find(
            {"projection": view.name, "version": view.version, "attempt": ATTEMPT, "generation": generation},
            {"partition": 1, "position": 1, "halted": 1, "owner": 1, "saved_at": 1},
        )
        .to_list(partitions)
    )
    by_partition = {one["partition"]: one for one in found}
    owned: dict[str, list[dict[str, Any]]] = {}
    for number in sorted(by_partition):
        one = by_partition[number]
        saved_at = one.get("saved_at")
        if one.get("owner") is not None and saved_at is not None and _aware(saved_at) >= seen_since:
            owned.setdefault(one["owner"], []).append(one)
    minded = {one["partition"] for theirs in owned.values() for one in theirs}
    return Progress(
        positions=[by_partition[number]["position"] if number in by_partition else 0 for number in range(partitions)],
        halted=[
            HaltedPartition(number, by_partition[number]["halted"])
            for number in sorted(by_partition)
            if by_partition[number].get("halted")
        ],
        workers=[
            ProjectionWorker(
                owner, [one["partition"] for one in theirs], max(_aware(one["saved_at"]) for one in theirs)
            )
            for owner, theirs in sorted(owned.items())
        ],
        orphans=[number for number in range(partitions) if number not in minded],
        parked=await database[PARKED].count_documents({"collection": view.collection}),
    )


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
