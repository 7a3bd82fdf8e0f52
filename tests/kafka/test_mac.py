"""The MAC of messages: what no holder of a key sent to this very place is refused, whatever was changed."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from taskflow.errors import UnverifiedMessage
from taskflow.kafka.mac import HEADERS_MAX, KEY_ID, MAC, MessageKeys
from taskflow.kafka.message import Encoded, from_message, to_message, to_watermark
from taskflow.settings import BadSettings, Settings
from taskflow.store.recorded import RecordedEvent
from tests.kafka.test_message import EXAMPLE, events

NOW, BEFORE, OTHER = (os.urandom(32) for _ in range(3))
KEYS = MessageKeys(NOW)
TOPIC, PARTITION = "taskflow.events", 3
EVENT = KEYS.sign(TOPIC, PARTITION, to_message(EXAMPLE, prev=4, generation=1))
MARK = KEYS.sign(TOPIC, PARTITION, to_watermark(position=9, prev=4, epoch=1, generation=1, partition=PARTITION))


def reason(message: Encoded, *, keys: MessageKeys = KEYS, topic: str = TOPIC, partition: int = PARTITION) -> str | None:
    """Why a message is refused; None: it is believed."""
    try:
        keys.verify(topic, partition, key=message.key, value=message.value, headers=message.headers)
    except UnverifiedMessage as error:
        return error.reason
    return None


def changed(message: Encoded, name: str, value: Any) -> Encoded:
    return replace(message, headers=[(known, value if known == name else text) for known, text in message.headers])


def changed_name(message: Encoded, name: str, other: str) -> Encoded:
    return replace(message, headers=[(other if known == name else known, text) for known, text in message.headers])


@given(event=events, partition=st.integers(0, 1023))
def test_what_was_signed_is_believed_and_says_the_same(event: RecordedEvent, partition: int) -> None:
    signed = KEYS.sign(TOPIC, partition, to_message(event, prev=0, generation=1))
    attributes = KEYS.verify(TOPIC, partition, key=signed.key, value=signed.value, headers=signed.headers)
    assert from_message(signed.value, attributes).event == event


@pytest.mark.parametrize("message", [EVENT, MARK], ids=["event", "watermark"])
class TestWhatIsRefused:
    def test_without_a_mac(self, message: Encoded) -> None:
        assert reason(replace(message, headers=[one for one in message.headers if one[0] != MAC])) == "no-mac"
        assert reason(changed(message, MAC, None)) == "no-mac"

    def test_by_another_key_under_any_name(self, message: Encoded) -> None:
        bare = replace(message, headers=[one for one in message.headers if one[0] not in {MAC, KEY_ID}])
        forged = MessageKeys(OTHER).sign(TOPIC, PARTITION, bare)
        assert reason(forged) == "unknown-key"
        assert reason(changed(forged, KEY_ID, dict(message.headers)[KEY_ID])) == "wrong-mac"
        assert reason(changed(message, KEY_ID, None)) == "unknown-key"

    def test_at_another_place(self, message: Encoded) -> None:
        assert reason(message) is None
        assert reason(message, partition=PARTITION + 1) == "wrong-mac"
        assert reason(message, topic=f"{TOPIC}.other") == "wrong-mac"

    def test_with_any_header_changed_taken_away_or_twice(self, message: Encoded) -> None:
        for name, text in message.headers:
            rest = [one for one in message.headers if one[0] != name]
            for value in (text + b"0", b"", None, text[::-1] + b"x"):
                assert reason(changed(message, name, value)) is not None, (name, value)
            assert reason(replace(message, headers=rest)) is not None, name
            assert reason(replace(message, headers=[*message.headers, (name, text)])) == "headers", name
            assert reason(replace(message, headers=[(name, b"1"), *message.headers])) is not None, name

    def test_with_a_header_added_or_moved(self, message: Encoded) -> None:
        assert reason(replace(message, headers=[*message.headers, ("ce_more", b"1")])) == "headers"
        assert reason(replace(message, headers=[("ce_more", b"1"), *message.headers])) == "wrong-mac"
        assert reason(changed_name(message, "ce_prev", "ce_prev\0ce_x")) == "headers"
        assert reason(replace(message, headers=[message.headers[1], message.headers[0], *message.headers[2:]])) == (
            "wrong-mac"
        )

    def test_with_another_key_or_value(self, message: Encoded) -> None:
        for key in (b"", b"other", None):
            assert (reason(replace(message, key=key)) is None) == (key == message.key)
        for value in (b"", message.value + b" ", None):
            forged: Any = replace(message, value=value)
            assert (reason(forged) is None) == (value == message.value)

    def test_with_more_headers_than_are_looked_at(self, message: Encoded) -> None:
        assert reason(replace(message, headers=[*message.headers, *[("x", b"")] * HEADERS_MAX])) == "headers"

    def test_but_not_for_what_tools_on_the_way_add(self, message: Encoded) -> None:
        assert (
            reason(replace(message, headers=[("traceparent", b"00"), *message.headers, ("traceparent", b"1")])) is None
        )


def test_a_key_before_verifies_and_does_not_sign() -> None:
    old = MessageKeys(BEFORE).sign(TOPIC, PARTITION, to_message(EXAMPLE, prev=4, generation=1))
    rotated = MessageKeys(NOW, [BEFORE])
    assert reason(old) == "unknown-key"
    assert reason(old, keys=rotated) is None
    new = rotated.sign(TOPIC, PARTITION, to_message(EXAMPLE, prev=4, generation=1))
    assert reason(new, keys=MessageKeys(BEFORE)) == "unknown-key"
    # The release that runs beside it while keys are rotated knows the new one as another.
    assert reason(new, keys=MessageKeys(BEFORE, [NOW])) is None


parts = st.lists(
    st.tuples(st.sampled_from(["ce_a", "ce_ab", "ce_b", "ce_"]), st.none() | st.binary(max_size=4)),
    max_size=4,
    unique_by=lambda one: one[0],
)


@given(
    one=st.tuples(st.none() | st.binary(max_size=3), st.binary(max_size=3), parts),
    other=st.tuples(st.none() | st.binary(max_size=3), st.binary(max_size=3), parts),
)
def test_no_two_messages_have_the_same_mac(one: Any, other: Any) -> None:
    assume(one != other)
    first, second = (dict(KEYS.sign(TOPIC, PARTITION, Encoded(*fields)).headers)[MAC] for fields in (one, other))
    assert first != second


def test_topic_and_partition_do_not_run_together() -> None:
    macs = {
        dict(KEYS.sign(topic, number, Encoded(None, b"", [])).headers)[MAC]
        for topic, number in [("t1", 1), ("t", 11), ("t11", 1)]
    }
    assert len(macs) == 3


@pytest.mark.parametrize("key", [b"", b"short", os.urandom(31)])
def test_a_key_that_could_be_guessed_is_none(key: bytes) -> None:
    for keys in ((key,), (NOW, [key])):
        with pytest.raises(BadSettings, match="TASKFLOW_MESSAGE_KEY"):
            MessageKeys(*keys)
    with pytest.raises(BadSettings):
        MessageKeys.of(Settings())
