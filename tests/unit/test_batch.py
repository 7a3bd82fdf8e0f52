"""Batches of events folded into documents, sums and parked streams: any cut, any loss, any interleaving."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
import msgspec
import pytest
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from tests.folding import Told, folded
from tests.projections.story import Step, Story, fold

from taskflow.ids import shard_of
from taskflow.kafka.message import Message
from taskflow.projections.batch import Changes, FoldedState, Parked, apply
from taskflow.projections.declarations.tasks import TASKS
from taskflow.projections.messages import Gap, classify
from taskflow.projections.projection import Projection, Sums
from taskflow.projections.registry import PROJECTIONS
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import Event, EventMetadata
from taskflow.streams.task import TaskRetitled, TaskState

EXAMPLE = RecordedEvent(
    position=1,
    epoch=1,
    stream_id=UUID(int=1),
    stream_version=1,
    shard=0,
    type="TaskRetitled",
    schema_version=1,
    event_id=UUID(int=2),
    occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
    actor=None,
    command_id=UUID(int=3),
    correlation_id=None,
    causation_id=None,
    data=b"{}",
)
PARTITIONS = 3
_STANDARD: Any = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)

seeds = st.integers(0, 2**32)
few = hypothesis_settings(max_examples=50)  # each is a whole story
views = st.sampled_from(list(PROJECTIONS.values()))


def recorded(**changes: Any) -> RecordedEvent:
    return replace(EXAMPLE, **changes)


Log = list[tuple[RecordedEvent, Event]]


def log_of(steps: list[Step]) -> Log:
    """The steps as a log: positions in order, with a hole now and then as a recovered log has."""
    log: Log = []
    position = 0
    for step in steps:
        position += 2 if position % 7 == 3 else 1
        log.append(
            (
                recorded(
                    position=position,
                    stream_id=step.stream_id,
                    stream_version=step.version,
                    shard=shard_of(step.stream_id),
                    type=type(step.event).__name__,
                    event_id=UUID(int=position),
                    occurred_at=step.at,
                ),
                step.event,
            )
        )
    return log


class Model(Struct):
    """What MongoDB would hold of one view, and each partition's checkpoint."""

    view: Projection
    log: Log
    """What the event store holds."""
    held: dict[UUID, FoldedState] = msgspec.field(default_factory=dict)
    documents: dict[UUID, bytes] = msgspec.field(default_factory=dict)
    sums: Sums = msgspec.field(default_factory=dict)
    parked: dict[UUID, Parked] = msgspec.field(default_factory=dict)
    checkpoints: list[int] = msgspec.field(default_factory=lambda: [0] * PARTITIONS)

    def write(self, partition: int, batch: Log, position: int) -> None:
        changes = Changes()
        for event, data in batch:
            if type(data) not in self.view.kind.events:
                continue
            if event.stream_id in self.parked or any(one.stream_id == event.stream_id for one in changes.parked):
                continue
            held = changes.held.get(event.stream_id) or self.held.get(event.stream_id)
            try:
                state = self.folded_anew(event, data)
            except Exception as error:  # noqa: BLE001 - as in the writer: the fold is pure, so the data is at fault
                apply(self.view, changes, held, event, error, partition)
            else:
                apply(self.view, changes, held, event, data, partition, folded=state)
        assert changes.held.keys() == changes.documents.keys()
        self.held |= changes.held
        self.documents |= changes.documents
        for key, count in changes.sums.items():
            assert count, "what cancels out is not written"
            self.sums[key] = self.sums.get(key, 0) + count
        self.parked |= {one.stream_id: one for one in changes.parked}
        self.checkpoints[partition] = position

    def folded_anew(self, event: RecordedEvent, data: Event) -> Any:
        """The stream after an event that annuls another, as the writer folds it from the store."""
        if not data.annuls:
            return None
        stream = [(e, d) for e, d in self.log if e.stream_id == event.stream_id and e.position <= event.position]
        told: list[Told] = [
            (d, EventMetadata(e.stream_id, e.stream_version, e.occurred_at, e.actor)) for e, d in stream
        ]
        return folded(self.view.kind, told)

    def assert_is_fold_of(self, log: Log) -> None:
        reached = [(e, d) for e, d in log if e.position <= self.checkpoints[e.shard % PARTITIONS]]
        waiting = {stream: one.version for stream, one in self.parked.items()}
        expected = fold(self.view, reached, without=waiting)
        assert {s: (held.position, held.version, held.state) for s, held in self.held.items()} == expected.states
        assert {key: count for key, count in self.sums.items() if count} == expected.sums
        for stream_id, raw in self.documents.items():
            document = bson.decode(raw, _STANDARD)
            position, version, state = expected.states[stream_id]
            assert document.pop("state") == msgspec.json.encode(self.view.redact(state))
            assert document == {"_id": stream_id, "position": position, "version": version, **self.view.document(state)}


def of_partition(log: Log, partition: int) -> Log:
    return [(event, data) for event, data in log if event.shard % PARTITIONS == partition]


@few
@given(seed=seeds, view=views, data=st.data())
def test_any_loss_repetition_and_reordering_ends_at_the_fold_of_the_log(
    seed: int, view: Projection, data: st.DataObject
) -> None:
    log = log_of(Story(seed).tell(60))
    typed = {event.position: what for event, what in log}
    model = Model(view, log)
    for partition in range(PARTITIONS):
        mine = of_partition(log, partition)
        before = [0, *[event.position for event, _ in mine]]
        said = [
            Message(position=event.position, prev=prev, epoch=1, generation=1, event=event)
            for (event, _), prev in zip(mine, before, strict=False)
        ]
        for head in data.draw(st.lists(st.integers(0, 90), max_size=4)):
            prev = max((at for at in before if at <= head), default=0)
            said.append(Message(position=head, prev=prev, epoch=1, generation=1, event=None))
        delivered = data.draw(st.lists(st.sampled_from(said), max_size=2 * len(said))) if said else []
        while delivered:
            size = data.draw(st.integers(1, 40))
            batch: Log = []
            checkpoint = model.checkpoints[partition]
            for step in classify(checkpoint, delivered[:size]):
                if isinstance(step, Gap):
                    batch += [(e, d) for e, d in mine if step.after < e.position <= step.to]
                    checkpoint = step.to
                else:
                    batch += [(step.event, typed[step.event.position])] if step.event else []
                    checkpoint = step.position
            model.write(partition, batch, checkpoint)
            del delivered[:size]
    model.assert_is_fold_of(log)


@few
@given(seed=seeds, view=views, shuffle=st.randoms(use_true_random=False))
def test_for_any_interleaving_that_keeps_each_streams_order_the_view_is_the_same(
    seed: int, view: Projection, shuffle: random.Random
) -> None:
    log = log_of(Story(seed).tell(60))
    model = Model(view, log)
    queues = [of_partition(log, partition) for partition in range(PARTITIONS)]
    while any(queues):
        partition = shuffle.choice([number for number, queue in enumerate(queues) if queue])
        size = shuffle.randint(1, 10)
        batch, queues[partition] = queues[partition][:size], queues[partition][size:]
        model.write(partition, batch, batch[-1][0].position)
    model.assert_is_fold_of(log)


@few
@given(seed=seeds, view=views, sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_batches_of_any_size_give_the_same(seed: int, view: Projection, sizes: list[int]) -> None:
    log = log_of(Story(seed).tell(60))
    at_once, by_size = Model(view, log), Model(view, log)
    for partition in range(PARTITIONS):
        mine = of_partition(log, partition)
        if mine:
            at_once.write(partition, mine, mine[-1][0].position)
        rest, turn = mine, 0
        while rest:
            batch, rest = rest[: sizes[turn % len(sizes)]], rest[sizes[turn % len(sizes)] :]
            by_size.write(partition, batch, batch[-1][0].position)
            turn += 1
    at_once.assert_is_fold_of(log)
    assert at_once.documents == by_size.documents
    assert {k: v for k, v in at_once.sums.items() if v} == {k: v for k, v in by_size.sums.items() if v}


@few
@given(seed=seeds, view=views, cut=st.integers(0, 59), again=st.integers(0, 59))
def test_what_was_applied_before_changes_nothing(seed: int, view: Projection, cut: int, again: int) -> None:
    """As when documents are ahead of a checkpoint that is read again."""
    log = log_of(Story(seed).tell(60))
    model = Model(view, log)
    for partition in range(PARTITIONS):
        mine = of_partition(log, partition)
        model.write(partition, mine[:cut], mine[:cut][-1][0].position if mine[:cut] else 0)
        model.write(partition, mine[min(cut, again) :], mine[-1][0].position if mine else 0)
    model.assert_is_fold_of(log)


class _Bad(Exception):
    """A fault in a fold."""


def _poisoned(view: Projection, bad: frozenset[tuple[UUID, int]], place: str) -> Projection:
    """The view with a fault, somewhere in its pure part, at some versions of some streams."""

    def trip(stream_id: UUID, version: int) -> None:
        if (stream_id, version) in bad:
            raise _Bad(version)

    def evolve(state: Any, event: Any, metadata: Any) -> Any:
        trip(metadata.stream_id, metadata.version)
        return view.kind.evolve(state, event, metadata)

    def document(state: Any) -> dict[str, Any]:
        trip(state.id, state.version)
        return view.document(state)

    def redact(state: Any) -> Any:
        trip(state.id, state.version)
        return view.redact(state)

    def invalidates(before: Any, after: Any) -> tuple[str, ...]:
        trip(after.id, after.version)
        return view.invalidates(before, after)

    match place:
        case "evolve":
            kind: Any = replace(view.kind, evolve=evolve)
            return replace(view, kind=kind)
        case "document":
            return replace(view, document=document)
        case "redact":
            return replace(view, redact=redact)
        case _:
            return replace(view, invalidates=invalidates)


@few
@given(
    seed=seeds,
    view=views,
    place=st.sampled_from(["evolve", "document", "redact", "invalidates"]),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    data=st.data(),
)
def test_a_fold_that_raises_parks_its_stream_from_the_first_bad_version_and_no_other(
    seed: int, view: Projection, place: str, sizes: list[int], data: st.DataObject
) -> None:
    log = log_of(Story(seed).tell(60))
    known = [(e.stream_id, e.stream_version) for e, d in log if type(d) in view.kind.events]
    if not known:
        return
    bad = data.draw(st.frozensets(st.sampled_from(known), max_size=4))
    model = Model(_poisoned(view, bad, place), log)
    for partition in range(PARTITIONS):
        rest, turn = of_partition(log, partition), 0
        while rest:
            size = sizes[turn % len(sizes)]
            batch, rest = rest[:size], rest[size:]
            model.write(partition, batch, batch[-1][0].position)
            turn += 1
    first: dict[UUID, int] = {}
    for stream_id, version in bad:
        first[stream_id] = min(version, first.get(stream_id, version))
    assert {stream: one.version for stream, one in model.parked.items()} == first
    for stream, one in model.parked.items():
        assert one.partition == shard_of(stream) % PARTITIONS
        assert "_Bad" in one.reason
    replace(model, view=view).assert_is_fold_of(log)


@pytest.mark.parametrize("view", PROJECTIONS.values(), ids=PROJECTIONS)
def test_data_that_could_not_be_decoded_and_a_version_that_does_not_follow_park(view: Projection) -> None:
    changes = Changes()
    apply(view, changes, None, recorded(stream_id=UUID(int=8)), ValueError("bad"), 0)
    apply(view, changes, None, recorded(stream_id=UUID(int=9), stream_version=3), TaskRetitled("x"), 1)
    assert [(one.stream_id, one.version, one.partition) for one in changes.parked] == [
        (UUID(int=8), 1, 0),
        (UUID(int=9), 3, 1),
    ]
    assert "expected version 1, found 3" in changes.parked[1].reason
    assert not changes.held
    assert not changes.documents


def test_a_document_that_mongodb_would_refuse_parks() -> None:
    step = next(step for step in Story(1).tell(30) if step.kind is TASKS.kind)
    for field in ({"x": 2**70}, {"x": "y" * (16 * 1024 * 1024)}, {"x": object()}):
        changes = Changes()
        view = replace(TASKS, document=lambda _, field=field: field)
        apply(view, changes, None, recorded(stream_id=step.stream_id), step.event, 0)
        assert len(changes.parked) == 1
        assert not changes.documents
        assert not changes.sums


def test_the_sums_of_a_board_follow_a_task_through_status_and_trash() -> None:
    (before,) = [
        state for _, _, state in fold(TASKS, log_of(Story(3).tell(8))).states.values() if isinstance(state, TaskState)
    ][:1]
    assert TASKS.sums is not None
    trashed = replace(before, trashed_at=before.created_at)
    done = replace(before, status="done")
    assert sorted(TASKS.sums(before, done, 7).values()) == [-1, 1]
    assert list(TASKS.sums(done, trashed, 7).values()) == [-1]
    assert TASKS.sums(trashed, replace(trashed, status="done"), 7) == {}
    assert TASKS.sums(before, replace(before, title="x"), 7) == {}
