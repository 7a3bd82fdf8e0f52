"""Counters of one process: never less than there was, in a fixed amount of memory, whatever else is counted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.limits.limit import Bucket, Window
from taskflow.limits.local_counters import CELLS, ROWS, LocalBuckets, LocalWindows

WINDOW = Window("test", quota=10, window_s=100)
NOW = 1_000.0


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 5)), max_size=60))
def test_no_key_is_counted_lower_than_it_was_added(added: list[tuple[str, int]]) -> None:
    counters, true = LocalWindows(WINDOW), Counter[str]()
    for key, weight in added:
        counters.add(key, weight, NOW)
        true[key] += weight
    for key, count in true.items():
        assert counters.look(key, NOW) >= count


def test_a_flood_of_other_keys_does_not_lower_a_count_and_takes_no_memory() -> None:
    counters = LocalWindows(WINDOW)
    for _ in range(WINDOW.quota):
        assert not counters.take("guesser", 1, 1, NOW).is_refused
    for number in range(CELLS):
        counters.take(f"other {number}", 1, 1, NOW)
    assert counters.take("guesser", 1, 1, NOW).is_refused
    assert [len(row) for row in counters._rows] == [CELLS] * ROWS


def test_a_flood_that_is_as_wide_as_a_row_refuses_nearly_nobody() -> None:
    counters = LocalWindows(Window("test", quota=1, window_s=100))
    refused = sum(counters.take(f"somebody {number}", 1, 1, NOW).is_refused for number in range(CELLS // 4))
    assert refused < CELLS // 400


@pytest.mark.parametrize(("processes", "share"), [(1, 10), (2, 5), (3, 3), (4, 2), (7, 1), (100, 1)])
def test_a_process_grants_its_share_and_at_least_one(processes: int, share: int) -> None:
    counters = LocalWindows(WINDOW)
    left = [counters.take("k", 1, processes, NOW).left for _ in range(share + 2)]
    assert left == [*range(share - 1, -1, -1), -1, -1]
    buckets = LocalBuckets(Bucket("test", size=10, per_s=1))
    granted = [not buckets.take("k", 1, processes, NOW).is_refused for _ in range(share + 2)]
    assert granted == [True] * share + [False] * 2


def test_what_was_given_back_may_be_used_again_and_what_others_used_may_not() -> None:
    counters = LocalWindows(WINDOW)
    for _ in range(10):
        counters.add("k", 1, NOW)
    counters.add("k", -1, NOW)
    assert not counters.take("k", 1, 1, NOW).is_refused
    assert counters.take("k", 1, 1, NOW).is_refused


def test_a_window_ends_and_says_when() -> None:
    counters = LocalWindows(WINDOW)
    for _ in range(10):
        counters.take("k", 1, 1, NOW)
    refused = counters.take("k", 1, 1, NOW + 30)
    assert (refused.left, refused.reset_s) == (-1, 70)
    assert not counters.take("k", 1, 1, NOW + 100).is_refused


def test_a_bucket_fills_again_as_fast_as_its_rate_and_no_fuller_than_it_is_large() -> None:
    buckets = LocalBuckets(Bucket("test", size=10, per_s=2))
    assert [buckets.take("k", 1, 1, NOW).left for _ in range(11)] == [*range(9, -1, -1), -1]
    assert buckets.take("k", 4, 1, NOW).reset_s == 2
    assert buckets.take("k", 4, 1, NOW + 2).left == 0
    assert buckets.take("k", 10, 1, NOW + 1_000).left == 0
    assert buckets.take("k", 1, 1, NOW + 1_000).is_refused
    buckets.add("k", 1, NOW + 1_001)
    assert buckets.take("k", 2, 1, NOW + 1_001).is_refused, "what another counter granted counts"
