"""Checkpoints: the position of a view on each partition, saved in the transaction of the documents.

A checkpoint is saved by compare-and-set on its position, so a worker that lost its partitions without noticing cannot
move a checkpoint back or apply an event twice.

A checkpoint records the MongoDB session of its holder. MongoDB keeps the transaction of a killed worker, with its
locks, for a minute; so the next worker kills that session first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bson.binary import Binary
from msgspec import Struct, field
from msgspec.structs import asdict
from pymongo import ReturnDocument, UpdateOne

from taskflow.errors import TaskflowError
from taskflow.projections.collection_names import CHECKPOINTS, PARKED
from taskflow.projections.invalidation_versions import NO_VERSIONS, new_bucket_versions
from taskflow.projections.projection import ATTEMPT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from pymongo.asynchronous.client_session import AsyncClientSession

    from taskflow.kafka.topics import Generation
    from taskflow.projections.batch import Parked
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection


class CheckpointMoved(TaskflowError):
    """Another worker has saved the checkpoint since this worker read it."""


class Checkpoint(Struct):
    """The checkpoint of a view on one partition. `offset` is only a hint where to start reading Kafka.

    `invalidations`: cache keys whose invalidation Redis has not acknowledged. `halted`: why the partition is stopped
    until an operator acts. `bucket_versions`: see `invalidation_versions`.
    """

    partition: int
    position: int = 0
    epoch: int = 0
    offset: int | None = None
    invalidations: set[str] = field(default_factory=set)
    parked: set[UUID] = field(default_factory=set)
    halted: str | None = None
    bucket_versions: bytes = NO_VERSIONS


def checkpoint_id(view: Projection, generation: Generation, partition: int) -> str:
    return f"{view.name}|{view.version}|{ATTEMPT}|{generation.number}|{partition}"


class Hints:
    """The offsets that the projections of a worker have saved: hints where to start reading Kafka, nothing more."""

    def __init__(self, database: Database, projections: Iterable[Projection], generation: Generation) -> None:
        self._collection = database[CHECKPOINTS]
        self._projections = list(projections)
        self._generation = generation

    async def newest_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Returns the newest offset of each partition that has one. Raises PyMongoError."""
        wanted = list(partitions)
        ids = [checkpoint_id(view, self._generation, one) for view in self._projections for one in wanted]
        newest: dict[int, int] = {}
        async for found in self._collection.find({"_id": {"$in": ids}}, {"partition": 1, "offset": 1}):
            if found["offset"] is not None:
                newest[found["partition"]] = max(found["offset"], newest.get(found["partition"], 0))
        return newest


class Checkpoints:
    """The checkpoints of one projection under one topic generation."""

    def __init__(self, database: Database, view: Projection, generation: Generation) -> None:
        self._collection = database[CHECKPOINTS]
        self._parked = database[PARKED]
        self._view = view
        self._generation = generation
        self._build = {"projection": view.name, "version": view.version, "attempt": ATTEMPT}

    def _id(self, partition: int) -> str:
        return checkpoint_id(self._view, self._generation, partition)

    async def take(self, partition: int, session: AsyncClientSession, owner: str | None = None) -> Checkpoint:
        """Takes over the checkpoint for this session and returns it; creates it at position 0 if it does not exist.

        `owner`: the worker that advances the partition from now on; None: the session only advances it this once.
        """
        mine = session.session_id["id"].as_uuid()
        held = await self._collection.find_one({"_id": self._id(partition)}, {"holder": 1})
        if held is not None and held["holder"] != mine:
            await self._collection.database.client.admin.command(
                {"killSessions": [{"id": Binary.from_uuid(held["holder"])}]}
            )
        key = self._build | {"generation": self._generation.number, "partition": partition}
        fresh = key | {"position": 0, "epoch": 0, "offset": None, "invalidations": [], "halted": None}
        if self._view.bucket_versions:
            fresh["marks"] = Binary(new_bucket_versions())
        # One operation creates and reads it: between two operations the views could be dropped with their checkpoints.
        found: Any = await self._collection.find_one_and_update(
            {"_id": self._id(partition)},
            {"$setOnInsert": fresh, "$set": {"holder": mine} | ({} if owner is None else {"owner": owner})},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        # Read after the checkpoint: parking a stream moves the checkpoint, so the next save fails if this is outdated.
        parked = self._parked.find({"collection": self._view.collection, "partition": partition}, session=session)
        return Checkpoint(
            partition=partition,
            position=found["position"],
            epoch=found["epoch"],
            offset=found["offset"],
            invalidations=set(found["invalidations"]),
            parked={entry["stream_id"] async for entry in parked},
            halted=None,
            bucket_versions=bytes(found.get("marks") or NO_VERSIONS),
        )

    async def save(self, old: Iterable[Checkpoint], new: Iterable[Checkpoint], session: AsyncClientSession) -> None:
        """Saves each checkpoint by compare-and-set on its old position. Raises Moved."""
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
                    }
                    | ({"marks": Binary(now.bucket_versions)} if now.bucket_versions != was.bucket_versions else {}),
                    # The server's clock, because the ages of saves by several machines are compared.
                    "$currentDate": {"saved_at": True},
                },
            )
            for was, now in zip(old, new, strict=True)
        ]
        result = await self._collection.bulk_write(updates, session=session)
        if result.matched_count != len(updates):
            raise CheckpointMoved(f"another worker has moved a checkpoint of {self._view.name}")

    async def park(self, parked: Sequence[Parked], session: AsyncClientSession) -> None:
        """Records parked streams."""
        if parked:
            build = {"projection": self._view.name, "collection": self._view.collection}
            await self._parked.insert_many([build | asdict(one) for one in parked], session=session)

    async def owned_by_others(self, partitions: Collection[int], owner: str) -> set[int]:
        """Returns those of the partitions that another worker has taken over."""
        found = self._collection.find(
            {"_id": {"$in": [self._id(partition) for partition in partitions]}, "owner": {"$ne": owner}},
            {"partition": 1, "owner": 1},
        )
        return {one["partition"] async for one in found if one.get("owner") is not None}

    async def release(self, owner: str) -> None:
        """Ends the worker's ownership, so that another one need not wait until its partitions stand still."""
        await self._collection.update_many(
            self._build | {"generation": self._generation.number, "owner": owner}, {"$set": {"owner": None}}
        )

    async def stalled_partitions(self, stalled_s: float) -> list[int]:
        """Returns the partitions that are not halted and that no worker has saved for `stalled_s`, or that their owner
        has released."""
        stalled = self._collection.find(
            self._build
            | {
                "generation": self._generation.number,
                "$or": [
                    {"halted": {"$ne": None}},
                    {
                        "$expr": {"$lt": [{"$subtract": ["$$NOW", "$saved_at"]}, int(stalled_s * 1000)]},
                        "owner": {"$not": {"$type": "null"}},
                    },
                ],
            },
            {"partition": 1},
        )
        known = {found["partition"] async for found in stalled}
        return [partition for partition in range(self._generation.partitions) if partition not in known]
