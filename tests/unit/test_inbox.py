"""The inbox of a projection: what is taken is what was offered, in order, until something had to be dropped."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from taskflow.kafka.message import Message
from taskflow.projections.inbox import MESSAGE_BYTES, Batch, Inbox, Received, batch_of

PARTITIONS = 2


def batch(positions: list[int]) -> Batch:
    received: dict[int, Received] = {}
    for position in positions:
        one = received.setdefault(position % PARTITIONS, Received([], -1))
        one.messages.append(Message(position=position, prev=0, epoch=1, generation=1, event=None))
        one.offset = position
    return batch_of(received)


def positions_of(taken: dict[int, Received]) -> list[int]:
    for partition, one in taken.items():
        assert [message.position % PARTITIONS for message in one.messages] == [partition] * len(one.messages)
        assert one.offset == one.messages[-1].position
    return sorted(message.position for one in taken.values() for message in one.messages)


@given(
    st.lists(st.one_of(st.integers(1, 5), st.just("take"), st.just("catch up")), max_size=60),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_what_is_taken_is_a_prefix_and_the_rest_is_told_to_be_missing(
    steps: list[int | str], room: int, count_max: int
) -> None:
    inbox = Inbox(room * MESSAGE_BYTES, asyncio.Event())
    inbox.assign(range(PARTITIONS))
    head = 0
    waiting: list[list[int]] = []
    missing = False
    for step in steps:
        match step:
            case int():
                offered = list(range(head + 1, head + 1 + step))
                head += step
                inbox.offer(batch(offered))
                if missing or (waiting and sum(map(len, waiting)) + step > room):
                    missing = True
                else:
                    waiting.append(offered)
            case "take":
                taken = positions_of(inbox.take(count_max, count_max * MESSAGE_BYTES))
                expected: list[int] = []
                while waiting and (not expected or len(expected) + len(waiting[0]) <= count_max):
                    expected += waiting.pop(0)
                assert taken == expected
            case _:
                assert inbox.catch_up() == (missing and not waiting)
                missing = missing and bool(waiting)
        assert inbox.behind == missing
        assert inbox.has_room == (not missing and sum(map(len, waiting)) < room)


def test_new_partitions_forget_what_waited() -> None:
    inbox = Inbox(MESSAGE_BYTES, asyncio.Event())
    inbox.offer(batch([1]))
    inbox.offer(batch([2]))
    assert inbox.catch_up() is False  # what waits is older than what is missing
    inbox.assign([1])
    assert inbox.has_room
    assert inbox.take(10, 10 * MESSAGE_BYTES) == {}


async def test_room_is_told_to_the_reading() -> None:
    room = asyncio.Event()
    inbox = Inbox(MESSAGE_BYTES, room)
    inbox.offer(batch([1]))
    assert not inbox.has_room
    room.clear()
    inbox.take(10, 10 * MESSAGE_BYTES)
    assert room.is_set()
