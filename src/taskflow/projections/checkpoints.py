"""How far a view is, partition by partition, kept in the transaction of its documents.

A checkpoint is saved by compare-and-set on its position: a worker that lost its partitions without
noticing moves nothing back and adds nothing twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field
from pymongo import UpdateOne

from taskflow.errors import TaskflowError
from taskflow.projections.view import ATTEMPT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from pymongo.asynchronous.client_session import AsyncClientSession

    from taskflow.projections.mongo import Database
    from taskflow.projections.view import View

COLLECTION: Final = "checkpoints"
PARKED: Final = "parked"


class Moved(TaskflowError):
    """Another worker has saved this checkpoint since it was read."""


class Checkpoint(Struct):
    """A partition of a view. `offset` is a hint where to start reading Kafka, nothing more.

    `invalidations`: cache keys that Redis has not acknowledged. `halted`: why the partition stands
    still until somebody acts.
    """

    partition: int
    position: int = 0
    epoch: int = 0
    offset: int | None = None
    invalidations: set[str] = field(default_factory=set)
    parked: set[UUID] = field(default_factory=set)
    halted: str | None = None


class Checkpoints:
    """The checkpoints of one projection under one topic generation."""

    def __init__(self, database: Database, view: View, generation: int) -> None:
        self._collection = database[COLLECTION]
        self._parked = database[PARKED]
        self._view = view
        self._generation = generation

    def _id(self, partition: int) -> str:
        return f"{self._view.name}|{self._view.version}|{ATTEMPT}|{self._generation}|{partition}"

    async def read(self, partition: int) -> Checkpoint:
        """The checkpoint, made at position 0 where there is none."""
        key = {
            "projection": self._view.name,
            "version": self._view.version,
            "attempt": ATTEMPT,
            "generation": self._generation,
            "partition": partition,
        }
        fresh = key | {"position": 0, "epoch": 0, "offset": None, "invalidations": [], "halted": None}
        await self._collection.update_one({"_id": self._id(partition)}, {"$setOnInsert": fresh}, upsert=True)
        found = await self._collection.find_one({"_id": self._id(partition)})
        if found is None:
            raise AssertionError("it was made above and nothing deletes one")
        parked = self._parked.find({"projection": self._view.name, "attempt": ATTEMPT, "partition": partition})
        return Checkpoint(
            partition=partition,
            position=found["position"],
            epoch=found["epoch"],
            offset=found["offset"],
            invalidations=set(found["invalidations"]),
            parked={entry["stream_id"] async for entry in parked},
            halted=None,
        )

    async def save(
        self, old: Iterable[Checkpoint], new: Iterable[Checkpoint], session: AsyncClientSession | None
    ) -> None:
        """Saves each by compare-and-set on the old position. Raises Moved."""
        updates = [
            UpdateOne(
                {"_id": self._id(was.partition), "position": was.position},
                {
                    "$set": {
                        "position": now.position,
                        "epoch": now.epoch,
                        "offset": now.offset,
                        "invalidations": sorted(now.invalidations),
                        "halted": now.halted,
                        "saved_at": datetime.now(UTC),
                    }
                },
            )
            for was, now in zip(old, new, strict=True)
        ]
        result = await self._collection.bulk_write(updates, session=session)
        if result.matched_count != len(updates):
            raise Moved(f"another worker has moved a checkpoint of {self._view.name}")

    async def park(self, entries: list[dict[str, Any]], session: AsyncClientSession) -> None:
        """Notes streams whose events wait."""
        if entries:
            await self._parked.insert_many(
                [{"projection": self._view.name, "attempt": ATTEMPT, **entry} for entry in entries], session=session
            )
