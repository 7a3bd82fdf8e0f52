"""Between the event store and the views: a story that is appended, and views that must equal its fold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from taskflow.errors import StoreError
from taskflow.ids import new_id
from taskflow.kafka.mac import MessageKeys
from taskflow.kafka.message import Encoded, to_message
from taskflow.kafka.topics import Generation, current_generation
from taskflow.projections.collection_names import CHECKPOINTS, PARKED
from taskflow.projections.mongo import Database
from taskflow.projections.projection import Projection, SumKey
from taskflow.projections.registry import PROJECTIONS
from taskflow.settings import Settings
from taskflow.store.append import NOBODY, Append, NewEvent, NewKey, Outcome, Receipt
from taskflow.store.eventstore import EventStore
from taskflow.store.mapper import encode
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import TASK, USER, Event
from taskflow.streams.project_scope import project_decided_by
from taskflow.streams.task import TaskRestored
from tests.projections.story import Folded, Step, Story, fold

BOUND_S = 60.0
"""No wait is longer; each ends as soon as what it waits for is there."""
GROUP = 20


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, within_s: float = BOUND_S) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"waited {within_s} s for: {what}"
        await asyncio.sleep(0.03)


class World:
    """A test's event store and views. `tell` appends what happens next; `assert_fold` compares."""

    def __init__(self, settings: Settings, store: EventStore, database: Database, seed: int = 11) -> None:
        self.settings = settings
        self.store = store
        self.database = database
        self.story = Story(seed)
        self._keys: dict[UUID, bytes] = {}

    # --- the log

    async def tell(self, count: int) -> int:
        """Appends the next events; answers the last one's position."""
        return await self.append(self.story.tell(count))

    async def append(self, steps: list[Step], *, group: int = GROUP) -> int:
        appends = [self._append(steps[at : at + group]) for at in range(0, len(steps), group)]
        receipts = await asyncio.gather(*[self.store.committer.submit(one) for one in appends])
        assert all(isinstance(receipt, Receipt) for receipt in receipts)
        return max(receipt.position for receipt in receipts if isinstance(receipt, Receipt))

    def _append(self, steps: list[Step]) -> Append:
        checks: dict[UUID, tuple[UUID, str, int]] = {}
        keys: list[NewKey] = []
        events: list[NewEvent] = []
        for step in steps:
            checks.setdefault(step.stream_id, (step.stream_id, step.kind.name, step.version - 1))
            if step.kind is USER and step.version == 1:
                key, wrapped = self.store.keyring.make()
                self._keys[step.stream_id] = key
                keys.append(NewKey(step.stream_id, wrapped))
            event_id = new_id()
            events.append(
                NewEvent(
                    stream_id=step.stream_id,
                    kind=step.kind.name,
                    version=step.version,
                    type=type(step.event).__name__,
                    schema_version=step.event.schema_version,
                    event_id=event_id,
                    occurred_at=step.at,
                    actor=None,
                    correlation_id=None,
                    causation_id=None,
                    data=encode(step.event, event_id=event_id, key=self._keys.get(step.stream_id)),
                    project=project_decided_by(step.event, step.stream_id),
                )
            )
        return Append(
            caller=NOBODY,
            command_id=new_id(),
            fingerprint=b"story",
            outcome=Outcome.APPLIED,
            result_stream=events[-1].stream_id,
            result_kind=events[-1].kind,
            checks=tuple(checks.values()),
            events=tuple(events),
            keys=tuple(keys),
        )

    async def append_raw(self, stream_id: UUID, type_: str, data: bytes, *, schema_version: int = 1) -> int:
        """An event of a task that no writer of this release would append; its position."""
        return await self.append_many_raw([(stream_id, type_, data)], schema_version=schema_version)

    async def append_many_raw(self, events: list[tuple[UUID, str, bytes]], *, schema_version: int = 1) -> int:
        """As `append_raw`, all in one append."""
        plain = self._append([self.story.step(TASK, stream_id, TaskRestored()) for stream_id, _, _ in events])
        bad = [
            replace(one, type=type_, data=data, schema_version=schema_version)
            for one, (_, type_, data) in zip(plain.events, events, strict=True)
        ]
        receipt = await self.store.committer.submit(replace(plain, events=tuple(bad)))
        assert isinstance(receipt, Receipt)
        return receipt.position

    async def log(self) -> list[tuple[RecordedEvent, Event]]:
        """The log; an event that cannot be decoded is left out."""
        log: list[tuple[RecordedEvent, Event]] = []
        for recorded in await self.store.log.read(0, limit=1_000_000):
            with suppress(StoreError, msgspec.MsgspecError, AttributeError):
                log += zip([recorded], await self.store.mapper.decode([recorded]), strict=True)
        return log

    async def generation(self) -> Generation:
        return await current_generation(self.store.pool, self.settings)

    # --- the topic

    async def messages(self, *, after: int = 0) -> dict[int, list[Encoded]]:
        """What the relay would say of the log, by partition."""
        generation = await self.generation()
        said: dict[int, list[Encoded]] = {number: [] for number in range(generation.partitions)}
        last = dict.fromkeys(said, 0)
        for event in await self.store.log.read(0, limit=1_000_000):
            partition = generation.partition_of(event.shard)
            if event.position > after:
                said[partition].append(to_message(event, prev=last[partition], generation=generation.number))
            last[partition] = event.position
        return said

    async def publish(self, messages: Iterable[tuple[int, Encoded]]) -> None:
        """Says them on the topic in this order, as the relay would."""
        topic, keys = self.settings.kafka_topic, MessageKeys.of(self.settings)
        await self.forge((partition, keys.sign(topic, partition, one)) for partition, one in messages)

    async def forge(self, messages: Iterable[tuple[int, Encoded]]) -> None:
        """Sends them as they are, as anybody could who reaches the broker."""
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap)
        await producer.start()
        try:
            for partition, one in messages:
                await producer.send(
                    self.settings.kafka_topic, one.value, key=one.key, partition=partition, headers=one.headers
                )
            await producer.flush()
        finally:
            await producer.stop()

    # --- the views

    async def checkpoints(self, view: str) -> dict[int, dict[str, Any]]:
        found = self.database[CHECKPOINTS].find({"projection": view})
        return {one["partition"]: one async for one in found}

    async def parked(self, view: str) -> dict[UUID, int]:
        """Streams that wait, and from which version."""
        return {one["stream_id"]: one["version"] async for one in self.database[PARKED].find({"projection": view})}

    async def reached(self, position: int, *names: str, partitions: Iterable[int] = range(4)) -> None:
        """Waits until these views (all) have every event up to a position."""
        wanted = [(name, partition) for name in names or PROJECTIONS for partition in partitions]
        generation = await self.generation()
        last = dict.fromkeys(range(generation.partitions), 0)
        for shard, at in (await self.store.log.last_positions(range(1024), to=position)).items():
            last[generation.partition_of(shard)] = max(last[generation.partition_of(shard)], at)

        async def there() -> bool:
            found = {name: await self.checkpoints(name) for name in names or PROJECTIONS}
            return all(found[name].get(number, {}).get("position", -1) >= last[number] for name, number in wanted)

        await until(there, f"views at {position}")

    async def assert_fold(self, *names: str, without: Mapping[UUID, int] | None = None) -> None:
        """These views (all) are what the fold of the whole log says."""
        log = await self.log()
        for name in names or PROJECTIONS:
            view = PROJECTIONS[name]
            await self._assert_view(view, fold(view, log, without=without))

    async def _assert_view(self, view: Projection, expected: Folded) -> None:
        found = {one.pop("_id"): one async for one in self.database[view.collection].find()}
        assert found.keys() == expected.states.keys()
        for stream_id, (position, version, state) in expected.states.items():
            document = {"position": position, "version": version, **view.document(state)}
            document["state"] = msgspec.json.encode(view.redact(state))
            assert found[stream_id] == document
        if view.sums:
            sums = {
                SumKey(one["_id"]["project_id"], one["_id"]["shard"], one["_id"]["status"]): one["count"]
                async for one in self.database[view.sums_collection].find()
                if one["count"]
            }
            assert sums == expected.sums
