"""The judge of the chaos tests finds every kind of broken promise: it is fed the truth, and then lies."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace
from tests.chaos.checker import Evidence, FoundView, as_stored, judge
from tests.chaos.faults import CATALOGUE, rounds
from tests.chaos.records import Acknowledged, Read
from tests.projections.story import Story, fold

from taskflow.ids import new_id, shard_of
from taskflow.kafka.message import Message, from_message, to_message
from taskflow.projections.batch import FoldedState
from taskflow.projections.registry import PROJECTIONS
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import Event
from taskflow.streams.task import TaskCreated, TaskRetitled

PARTITIONS = 4
ANN = UUID(int=1)


def _story() -> tuple[list[RecordedEvent], list[Event]]:
    log: list[RecordedEvent] = []
    events: list[Event] = []
    for position, step in enumerate(Story(3).tell(200), 1):
        event = step.event
        if isinstance(event, TaskCreated | TaskRetitled):
            event = replace(event, title=f"title {position}")
        recorded = RecordedEvent(
            position=position,
            epoch=1,
            stream_id=step.stream_id,
            stream_version=step.version,
            shard=shard_of(step.stream_id),
            type=type(event).__name__,
            schema_version=event.schema_version,
            event_id=new_id(),
            occurred_at=step.at,
            recorded_at=step.at,
            actor=ANN,
            command_id=new_id(),
            correlation_id=None,
            causation_id=None,
            data=msgspec.json.encode(event),
        )
        log.append(recorded)
        events.append(event)
    return log, events


def _topic(log: list[RecordedEvent]) -> list[list[Message]]:
    topic: list[list[Message]] = [[] for _ in range(PARTITIONS)]
    last = [0] * PARTITIONS
    for event in log:
        partition = event.shard % PARTITIONS
        encoded = to_message(event, prev=last[partition], generation=1)
        topic[partition].append(from_message(encoded.value, encoded.headers))
        last[partition] = event.position
    return topic


def _acknowledged(event: RecordedEvent, said: Event) -> Acknowledged:
    return Acknowledged(
        caller=ANN,
        command_id=event.command_id,
        command="PATCH",
        stream_id=event.stream_id,
        version=event.stream_version,
        position=event.position,
        title=said.title if isinstance(said, TaskCreated | TaskRetitled) else None,
    )


def _views(log: list[RecordedEvent], events: list[Event]) -> dict[str, FoundView]:
    views = {}
    for name, view in PROJECTIONS.items():
        folded = fold(view, zip(log, events, strict=True))
        documents = {stream: as_stored(view, stream, FoldedState(*held)) for stream, held in folded.states.items()}
        views[name] = FoundView(documents, {key: count for key, count in folded.sums.items() if count})
    return views


@pytest.fixture
def truth() -> Evidence:
    log, events = _story()
    return Evidence(
        acknowledged=[
            _acknowledged(*pair) for pair in zip(log, events, strict=True) if pair[0].type.startswith("Task")
        ],
        reads=[Read(what="task", position=7, wanted=2, found=2), Read(what="task", position=7, wanted=2, found=3)],
        log=log,
        events=events,
        topic=_topic(log),
        views=_views(log, events),
    )


def test_the_truth_is_believed(truth: Evidence) -> None:
    assert judge(truth).faults == []
    assert len(truth.acknowledged) > 100
    assert any(view.sums for view in truth.views.values())


def test_a_topic_with_repeats_and_with_what_was_in_flight_first_is_believed(truth: Evidence) -> None:
    topic = [[*partition[-3:], *partition, *partition[-10:]] for partition in truth.topic]
    assert judge(replace(truth, topic=topic)).faults == []


def _without_last_acknowledged(truth: Evidence) -> Evidence:
    last = truth.acknowledged[-1].position
    kept = [pair for pair in zip(truth.log, truth.events, strict=True) if pair[0].position != last]
    return replace(truth, log=[pair[0] for pair in kept], events=[pair[1] for pair in kept])


def _at_another_version(truth: Evidence) -> Evidence:
    first = truth.acknowledged[0]
    return replace(truth, acknowledged=[replace(first, version=first.version + 1)])


def _by_another_command(truth: Evidence) -> Evidence:
    titled = next(one for one in truth.acknowledged if one.title)
    return replace(truth, acknowledged=[replace(titled, command_id=new_id())])


def _appended_again(truth: Evidence, **changed: Any) -> Evidence:
    """The last titled event once more, as a retry that was taken for a new command would append it."""
    titled = [pair for pair in zip(truth.log, truth.events, strict=True) if isinstance(pair[1], TaskRetitled)][-1]
    stream = [event for event in truth.log if event.stream_id == titled[0].stream_id]
    again = replace(
        titled[0], position=len(truth.log) + 1, stream_version=len(stream) + 1, event_id=new_id(), **changed
    )
    log, events = [*truth.log, again], [*truth.events, titled[1]]
    return replace(truth, log=log, events=events, topic=_topic(log), views=_views(log, events))


def _under_another_command(truth: Evidence) -> Evidence:
    return _appended_again(truth, command_id=new_id())


def _answered_otherwise(truth: Evidence) -> Evidence:
    one, other = truth.acknowledged[:2]
    return replace(truth, acknowledged=[one, replace(other, command_id=one.command_id)])


def _swapped_in_log(truth: Evidence) -> Evidence:
    """Two neighbours, neither of which begins a stream: what does not begin with its creation cannot be folded."""
    log, events = list(truth.log), list(truth.events)
    at = next(n for n in range(len(log) - 1) if log[n].stream_version > 1 and log[n + 1].stream_version > 1)
    log[at], log[at + 1] = log[at + 1], log[at]
    events[at], events[at + 1] = events[at + 1], events[at]
    return replace(truth, log=log, events=events)


def _position_left_out(truth: Evidence) -> Evidence:
    log = [*truth.log[:-1], replace(truth.log[-1], position=len(truth.log) + 1)]
    return replace(truth, log=log)


def _lost_from_topic(truth: Evidence) -> Evidence:
    return replace(truth, topic=[truth.topic[0][:-1], *truth.topic[1:]])


def _swapped_on_topic(truth: Evidence) -> Evidence:
    """Two events of one stream, each naming what is before it where it stands now."""
    partition = list(truth.topic[1])
    versions: dict[UUID, int] = {}
    for index, message in enumerate(partition):
        if message.event is not None and message.event.stream_id in versions:
            earlier = versions[message.event.stream_id]
            break
        if message.event is not None:
            versions[message.event.stream_id] = index
    partition[earlier], partition[index] = partition[index], partition[earlier]
    chained = [
        replace(message, position=place, prev=place - 1, event=replace(message.event, position=place))
        for place, message in enumerate(partition, 1)
        if message.event is not None
    ]
    return replace(truth, topic=[truth.topic[0], chained, *truth.topic[2:]])


def _old_read(truth: Evidence) -> Evidence:
    return replace(truth, reads=[Read(what="task", position=7, wanted=2, found=1)])


def _absent_read(truth: Evidence) -> Evidence:
    return replace(truth, reads=[Read(what="task", position=7, wanted=1, found=None)])


def _changed_view(truth: Evidence, name: str, change: Callable[[FoundView], FoundView]) -> Evidence:
    return replace(truth, views={**truth.views, name: change(truth.views[name])})


def _document_missing(truth: Evidence) -> Evidence:
    return _changed_view(truth, "tasks", lambda view: replace(view, documents=dict(list(view.documents.items())[1:])))


def _document_too_many(truth: Evidence) -> Evidence:
    return _changed_view(truth, "users", lambda view: replace(view, documents=view.documents | {new_id(): {}}))


def _document_old(truth: Evidence) -> Evidence:
    stream, document = next(iter(truth.views["projects"].documents.items()))
    older = document | {"version": document["version"] - 1}
    return _changed_view(truth, "projects", lambda view: replace(view, documents=view.documents | {stream: older}))


def _sum_added_twice(truth: Evidence) -> Evidence:
    name = next(name for name, view in truth.views.items() if view.sums)
    key, count = next(iter(truth.views[name].sums.items()))
    return _changed_view(truth, name, lambda view: replace(view, sums=view.sums | {key: count + 1}))


@pytest.mark.parametrize(
    ("lie", "kind"),
    [
        (_without_last_acknowledged, "missing"),
        (_at_another_version, "missing"),
        (_by_another_command, "missing"),
        (_appended_again, "twice"),
        (_under_another_command, "twice"),
        (_answered_otherwise, "twice"),
        (_swapped_in_log, "disorder"),
        (_position_left_out, "disorder"),
        (_lost_from_topic, "disorder"),
        (_swapped_on_topic, "disorder"),
        (_old_read, "stale"),
        (_absent_read, "stale"),
        (_document_missing, "unequal"),
        (_document_too_many, "unequal"),
        (_document_old, "unequal"),
        (_sum_added_twice, "unequal"),
    ],
)
def test_a_lie_is_found(truth: Evidence, lie: Callable[[Evidence], Evidence], kind: str) -> None:
    assert judge(lie(truth)).counts()[kind] > 0


@pytest.mark.parametrize("seed", range(50))
def test_every_fault_comes_up_in_twenty_rounds_and_none_beside_another_on_its_target(seed: int) -> None:
    dealt = rounds(20, random.Random(seed))
    assert {fault.name for steps in dealt for step in steps for fault in step} == {one.name for one in CATALOGUE}
    for steps in dealt:
        for step in steps:
            targets = [target for fault in step for target in fault.targets]
            assert len(targets) == len(set(targets))


def test_a_seed_gives_the_same_faults_again() -> None:
    assert rounds(20, random.Random("7")) == rounds(20, random.Random("7"))
