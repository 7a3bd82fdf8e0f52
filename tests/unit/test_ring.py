"""The ring of recent positions says no more than the log does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskflow.follower.ring import Ring


@given(
    shards=st.lists(st.integers(0, 7), max_size=60),
    start=st.integers(0, 60),
    asked=st.integers(0, 60),
    checkpoint=st.integers(0, 60),
    size=st.integers(1, 5),
)
def test_it_agrees_with_the_whole_log(shards: list[int], start: int, asked: int, checkpoint: int, size: int) -> None:
    log = dict(enumerate(shards, 1))
    start = min(start, len(log))
    ring = Ring(4, positions_max=size)
    before: dict[int, int] = {}
    for position in range(1, start + 1):
        before[log[position]] = position
    ring.start(start, before)
    for position in range(start + 1, len(log) + 1):
        ring.add(position, log[position])
    asked, checkpoint = min(asked, len(log)), min(checkpoint, len(log))
    for partition in range(4):
        mine = [position for position, shard in log.items() if shard % 4 == partition]
        last = ring.last_event_of(partition, at_or_before=asked)
        assert last is None or last == max((p for p in mine if p <= asked), default=0)
        after = [p for p in mine if p > checkpoint]
        truth = after[0] - 1 if after else len(log)
        found = ring.fresh_to(partition, checkpoint)
        assert checkpoint <= found <= truth


def test_an_idle_partition_is_fresh_to_the_head() -> None:
    ring = Ring(2, positions_max=10)
    ring.start(5, {0: 3, 1: 5})
    ring.add(6, 0)
    assert ring.fresh_to(1, 5) == 6
    assert ring.last_event_of(1, at_or_before=6) == 5
    assert ring.fresh_to(0, 5) == 5
