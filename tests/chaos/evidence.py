"""Gathers what a verdict rests on, past the proxies, once everything has been quiet and well."""

from __future__ import annotations

from msgspec import Struct

from taskflow.kafka.topics import current_generation
from taskflow.projections.mongo import Database, open_database
from taskflow.projections.projection import Projection, SumKey
from taskflow.projections.registry import PROJECTIONS
from taskflow.settings import Settings
from taskflow.store.eventstore import open_event_store
from tests.chaos.checker import Evidence, FoundView
from tests.chaos.records import Journal
from tests.relay.world import read_topic


class Gathered(Struct, frozen=True):
    evidence: Evidence
    repeats: int
    """Messages of the topic that repeat another."""
    of_one_moment: bool
    """Nothing was appended while it was gathered, as what was in flight may have been."""


async def gather(settings: Settings, journal: Journal) -> Gathered:
    async with open_event_store(settings, "checker") as store, open_database(settings) as database:
        head = await store.log.head()
        log = await store.log.read(0, limit=max(1, head.position))
        generation = await current_generation(store.pool, settings)
        seen = await read_topic(settings, until_position=head.position, partitions=generation.partitions)
        evidence = Evidence(
            acknowledged=journal.acknowledged,
            reads=journal.reads,
            log=log,
            events=await store.mapper.decode(log),
            topic=seen.messages,
            views={name: await _found(database, view) for name, view in PROJECTIONS.items()},
        )
        of_one_moment = await store.log.head() == head
    return Gathered(evidence, sum(seen.repeats(partition) for partition in range(generation.partitions)), of_one_moment)


async def _found(database: Database, view: Projection) -> FoundView:
    documents = {found["_id"]: found async for found in database[view.collection].find()}
    sums = {}
    if view.sums:
        cursor = database[view.sums_collection].find()
        sums = {SumKey(**found["_id"]): found["count"] async for found in cursor if found["count"]}
    return FoundView(documents, sums)
