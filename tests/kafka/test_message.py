"""CloudEvents messages: what the relay writes, the projectors read back without loss."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.errors import BadMessage
from taskflow.kafka.message import WATERMARK, Headers, from_message, to_message, to_watermark
from taskflow.kafka.topics import Generation
from taskflow.store.recorded import RecordedEvent
from taskflow.streams import EVENT_TYPES

positions = st.integers(min_value=1, max_value=2**62)
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
events = st.builds(
    RecordedEvent,
    position=positions,
    epoch=st.integers(1, 2**31 - 1),
    stream_id=st.uuids(),
    stream_version=st.integers(1, 2**31 - 1),
    shard=st.integers(0, 1023),
    type=st.sampled_from(sorted(EVENT_TYPES)),
    schema_version=st.integers(1, 2**15 - 1),
    event_id=st.uuids(),
    occurred_at=moments.filter(lambda moment: 1 < moment.year < 9999),
    recorded_at=moments.filter(lambda moment: 1 < moment.year < 9999),
    actor=st.none() | st.uuids(),
    command_id=st.uuids(),
    correlation_id=st.none() | st.text(),
    causation_id=st.none() | st.uuids(),
    data=st.binary(),
)
EXAMPLE = RecordedEvent(
    position=17,
    epoch=1,
    stream_id=UUID(int=1),
    stream_version=3,
    shard=5,
    type="TaskRetitled",
    schema_version=1,
    event_id=UUID(int=2),
    occurred_at=datetime(2024, 2, 29, 12, 0, 0, 120, tzinfo=UTC),
    recorded_at=datetime(2024, 3, 1, tzinfo=UTC),
    actor=None,
    command_id=UUID(int=3),
    correlation_id=None,
    causation_id=None,
    data=b'{"title":"x"}',
)


@given(event=events, before=positions, generation=st.integers(1, 2**31 - 1))
def test_an_event_comes_back_as_it_was(event: RecordedEvent, before: int, generation: int) -> None:
    prev = min(before, event.position)
    encoded = to_message(event, prev=prev, generation=generation)
    assert encoded.key == str(event.stream_id).encode()
    message = from_message(encoded.value, encoded.headers)
    assert message.event == event
    assert (message.position, message.prev, message.epoch) == (event.position, prev, event.epoch)
    assert message.generation == generation


def test_of_an_event_that_is_passed_by_only_its_place_is_read() -> None:
    encoded = to_message(EXAMPLE, prev=0, generation=1)
    passed = from_message(encoded.value, encoded.headers, passes={EXAMPLE.type})
    assert passed == replace(from_message(encoded.value, encoded.headers), event=None)
    assert passed.shard == EXAMPLE.shard
    headers = [header for header in encoded.headers if header[0] != "ce_shard"]
    with pytest.raises(BadMessage):
        from_message(encoded.value, headers, passes={EXAMPLE.type})


@given(position=positions, before=st.integers(0, 2**62), partition=st.integers(0, 1023))
def test_a_watermark_comes_back_and_is_never_an_event(position: int, before: int, partition: int) -> None:
    prev = min(before, position)
    encoded = to_watermark(position=position, prev=prev, epoch=2, generation=3, partition=partition)
    assert (encoded.key, encoded.value) == (None, b"")
    message = from_message(encoded.value, encoded.headers)
    assert message.event is None
    assert (message.position, message.prev, message.epoch, message.generation) == (position, prev, 2, 3)


def test_no_event_type_is_spelled_like_a_watermark() -> None:
    assert WATERMARK not in EVENT_TYPES


def test_the_headers_are_cloudevents_1_0_in_binary_mode() -> None:
    encoded = to_message(replace(EXAMPLE, actor=UUID(int=9)), prev=4, generation=1)
    headers = dict(encoded.headers)
    assert len(headers) == len(encoded.headers)
    assert headers["content-type"] == b"application/json"
    attributes = {name.removeprefix("ce_"): value for name, value in headers.items() if name != "content-type"}
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in attributes)
    assert {"specversion", "id", "type", "source", "subject", "time"} <= attributes.keys()
    assert attributes["specversion"] == b"1.0"
    assert attributes["id"] == str(EXAMPLE.event_id).encode()
    assert attributes["subject"] == str(EXAMPLE.stream_id).encode()
    assert attributes["time"] == b"2024-02-29T12:00:00.000120Z"
    assert attributes["actor"] == str(UUID(int=9)).encode()
    assert "correlationid" not in attributes


def test_nobody_in_particular_is_the_system() -> None:
    assert dict(to_message(EXAMPLE, prev=0, generation=1).headers)["ce_actor"] == b"system"


@pytest.mark.parametrize(
    "name",
    ["ce_position", "ce_prev", "ce_epoch", "ce_type", "ce_subject", "ce_time", "ce_actor", "ce_commandid"],
)
def test_a_message_without_an_attribute_is_refused(name: str) -> None:
    encoded = to_message(EXAMPLE, prev=0, generation=1)
    headers = [header for header in encoded.headers if header[0] != name]
    with pytest.raises(BadMessage):
        from_message(encoded.value, headers)


@pytest.mark.parametrize("name", [name for name, _ in to_message(EXAMPLE, prev=0, generation=1).headers])
def test_a_header_without_a_value_is_refused_or_of_no_meaning(name: str) -> None:
    encoded = to_message(EXAMPLE, prev=0, generation=1)
    headers: list[Any] = [(known, None if known == name else value) for known, value in encoded.headers]
    if name in {"ce_specversion", "ce_source", "content-type"}:
        assert from_message(encoded.value, headers).event == EXAMPLE
        return
    with pytest.raises(BadMessage):
        from_message(encoded.value, headers)


@pytest.mark.parametrize(("position", "prev"), [(5, 6), (-1, -1), (2**63, 0), (5, -1)])
def test_positions_that_would_lead_a_reader_back_or_nowhere_are_refused(position: int, prev: int) -> None:
    mark = to_watermark(position=position, prev=prev, epoch=1, generation=1, partition=0)
    with pytest.raises(BadMessage):
        from_message(mark.value, mark.headers)


@pytest.mark.parametrize("headers", [[], [("ce_position", b"x")], [("ce_position", b"\xff")]])
def test_what_others_wrote_is_refused(headers: Headers) -> None:
    with pytest.raises(BadMessage):
        from_message(b"hello", headers)


@given(partitions=st.integers(1, 1024))
def test_every_shard_is_carried_by_one_partition(partitions: int) -> None:
    generation = Generation(number=1, topic="t", partitions=partitions)
    carried = {shard: p for p in range(partitions) for shard in generation.shards_of(p)}
    assert carried == {shard: generation.partition_of(shard) for shard in range(1024)}
