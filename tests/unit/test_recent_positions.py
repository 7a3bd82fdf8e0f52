"""The ring of recent positions says no more than the log does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskflow.follower.recent_positions import RecentPositions

KINDS = ("task", "user")


@given(
    events=st.lists(st.tuples(st.integers(0, 7), st.sampled_from(KINDS)), max_size=60),
    start=st.integers(0, 60),
    asked=st.integers(0, 60),
    checkpoint=st.integers(0, 60),
    size=st.integers(1, 5),
)
def test_it_agrees_with_the_whole_log(
    events: list[tuple[int, str]], start: int, asked: int, checkpoint: int, size: int
) -> None:
    log = dict(enumerate(events, 1))
    start = min(start, len(log))
    recent_positions = RecentPositions(4, positions_max=size)
    before: dict[int, int] = {}
    for position in range(1, start + 1):
        before[log[position][0]] = position
    recent_positions.start(start, before)
    for position in range(start + 1, len(log) + 1):
        recent_positions.add(position, *log[position])
    asked, checkpoint = min(asked, len(log)), min(checkpoint, len(log))
    for partition in range(4):
        for kind in KINDS:
            mine = [at for at, (shard, its) in log.items() if shard % 4 == partition and its == kind]
            last = recent_positions.last_event_of(kind, partition, at_or_before=asked)
            # What was before the ring began is known for all kinds together only: never less than is true.
            assert last is None or max((p for p in mine if p <= asked), default=0) <= last <= max(asked, start)
            if last is not None and last > start:
                assert last in mine
            after = [p for p in mine if p > checkpoint]
            truth = after[0] - 1 if after else len(log)
            found = recent_positions.fresh_up_to(kind, partition, checkpoint)
            assert checkpoint <= found <= truth


def test_an_idle_partition_is_fresh_to_the_head() -> None:
    recent_positions = RecentPositions(2, positions_max=10)
    recent_positions.start(5, {0: 3, 1: 5})
    recent_positions.add(6, 0, "task")
    assert recent_positions.fresh_up_to("task", 1, 5) == 6
    assert recent_positions.last_event_of("task", 1, at_or_before=6) == 5
    assert recent_positions.fresh_up_to("task", 0, 5) == 5


def test_events_of_other_kinds_keep_nobody_from_being_fresh() -> None:
    recent_positions = RecentPositions(1, positions_max=10)
    for position in range(1, 4):
        recent_positions.add(position, 0, "task")
    assert recent_positions.fresh_up_to("user", 0, 0) == 3
    assert recent_positions.last_event_of("user", 0, at_or_before=3) == 0
    assert recent_positions.fresh_up_to("task", 0, 1) == 1
