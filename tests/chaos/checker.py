"""Judges a run from what the clients were told, the log, the topic and the views. Pure: it can be fed lies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import bson
import msgspec
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from msgspec import Struct

from taskflow.kafka.message import Message
from taskflow.projections.batch import FoldedState, _document
from taskflow.projections.projection import Projection, SumKey
from taskflow.projections.registry import PROJECTIONS
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import Event
from tests.chaos.records import Acknowledged, Read
from tests.projections.story import fold

_CODEC = CodecOptions[dict[str, Any]](uuid_representation=UuidRepresentation.STANDARD)
_TITLES = {"TaskCreated", "TaskRetitled"}


class FoundView(Struct):
    """A view as MongoDB holds it: documents by `_id`, and sums that are not 0."""

    documents: dict[UUID, dict[str, Any]]
    sums: dict[SumKey, int]


class Evidence(Struct, kw_only=True):
    """What a verdict rests on. `topic`: each partition's messages from its beginning."""

    acknowledged: Sequence[Acknowledged]
    reads: Sequence[Read]
    log: Sequence[RecordedEvent]
    events: Sequence[Event]
    """The log's, decoded, one for one."""
    topic: Sequence[Sequence[Message]]
    views: Mapping[str, FoundView]


class Verdict(Struct, kw_only=True):
    """Each fault in words; what promises hold is empty."""

    missing: list[str]
    """Acknowledged, and not in the log as it was acknowledged."""
    twice: list[str]
    """One command, more than one effect or outcome."""
    disorder: list[str]
    """A version or a position that does not follow the one before it, in the log or on the topic."""
    stale: list[str]
    """Reads that showed less than the position they named."""
    unequal: list[str]
    """Documents and sums that are not the fold of the log."""

    def counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in self.__struct_fields__}

    @property
    def faults(self) -> list[str]:
        return [f"{name}: {fault}" for name in self.__struct_fields__ for fault in getattr(self, name)]


def judge(evidence: Evidence) -> Verdict:
    return Verdict(
        missing=list(missing(evidence.acknowledged, evidence.log)),
        twice=list(twice(evidence.acknowledged, evidence.log)),
        disorder=[*disorder_in_log(evidence.log), *disorder_on_topic(evidence.log, evidence.topic)],
        stale=list(stale(evidence.reads)),
        unequal=list(unequal(evidence)),
    )


def missing(acknowledged: Iterable[Acknowledged], log: Sequence[RecordedEvent]) -> Iterator[str]:
    """What was acknowledged stands in the log, at that position and version of that stream."""
    at = {event.position: event for event in log}
    commands = {(event.actor, event.command_id) for event in log}
    for one in acknowledged:
        found = at.get(one.position)
        if found is None or (found.stream_id, found.stream_version) != (one.stream_id, one.version):
            yield f"{one}: the log has {found} there"
        elif one.title is not None and (one.caller, one.command_id) not in commands:
            yield f"{one}: no event of that command"


def twice(acknowledged: Iterable[Acknowledged], log: Sequence[RecordedEvent]) -> Iterator[str]:
    """Each of the clients' commands makes at most one event, and is answered the same however often."""
    events = Counter((event.actor, event.command_id) for event in log)
    titles = Counter(msgspec.json.decode(event.data)["title"] for event in log if event.type in _TITLES)
    answers: dict[tuple[UUID, UUID], tuple[UUID, int, int]] = {}
    for one in acknowledged:
        key = (one.caller, one.command_id)
        answer = (one.stream_id, one.version, one.position)
        if answers.setdefault(key, answer) != answer:
            yield f"{one}: answered before as {answers[key]}"
        elif events[key] > 1:
            yield f"{one}: {events[key]} events of that command"
        elif one.title is not None and titles[one.title] > 1:
            yield f"{one}: {titles[one.title]} events with that title"
    for event_id, count in Counter(event.event_id for event in log).items():
        if count > 1:
            yield f"event {event_id} is in the log {count} times"


def disorder_in_log(log: Iterable[RecordedEvent]) -> Iterator[str]:
    """Positions and each stream's versions are 1, 2, 3 …"""
    position = 0
    versions: dict[UUID, int] = defaultdict(int)
    for event in log:
        if event.position != position + 1:
            yield f"position {event.position} comes after {position}"
        if event.stream_version != versions[event.stream_id] + 1:
            yield f"version {event.stream_version} of {event.stream_id} comes after {versions[event.stream_id]}"
        position, versions[event.stream_id] = event.position, event.stream_version


def disorder_on_topic(log: Iterable[RecordedEvent], topic: Sequence[Sequence[Message]]) -> Iterator[str]:
    """Who follows a partition by its chain, and drops repeats, sees each stream's versions 1, 2, 3 … to the last.

    What has a gap before it is passed over, as a reader does who has the store to ask: after a topic was
    made again, what was in flight is the first in it.
    """
    seen: dict[UUID, int] = defaultdict(int)
    for number, partition in enumerate(topic):
        reached = 0
        for message in partition:
            if message.position <= reached or message.prev > reached:
                continue
            reached = message.position
            event = message.event
            if event is None:
                continue
            if event.stream_version != seen[event.stream_id] + 1:
                yield (
                    f"partition {number}, position {event.position}: version {event.stream_version} of "
                    f"{event.stream_id} comes after {seen[event.stream_id]}"
                )
            seen[event.stream_id] = event.stream_version
    last = {event.stream_id: event.stream_version for event in log}
    for stream_id, version in last.items():
        if seen[stream_id] != version:
            yield f"stream {stream_id} is at version {version}, the topic ends with {seen[stream_id]}"


def stale(reads: Iterable[Read]) -> Iterator[str]:
    for read in reads:
        if read.found is None or read.found < read.wanted:
            yield str(read)


def unequal(evidence: Evidence) -> Iterator[str]:
    """Every document and every sum of every view is what folding the log makes of it."""
    log = list(zip(evidence.log, evidence.events, strict=True))
    for name, view in PROJECTIONS.items():
        found = evidence.views[name]
        expected = fold(view, log)
        wanted = {stream: as_stored(view, stream, FoldedState(*held)) for stream, held in expected.states.items()}
        for stream_id in wanted.keys() | found.documents.keys():
            if wanted.get(stream_id) != found.documents.get(stream_id):
                yield f"{name} {stream_id}: {found.documents.get(stream_id)}, the fold is {wanted.get(stream_id)}"
        for key in expected.sums.keys() | found.sums.keys():
            if expected.sums.get(key, 0) != found.sums.get(key, 0):
                yield f"{name} {key}: {found.sums.get(key, 0)}, the fold is {expected.sums.get(key, 0)}"


def as_stored(view: Projection, stream_id: UUID, held: FoldedState) -> dict[str, Any]:
    return bson.decode(_document(view, stream_id, held), _CODEC)
