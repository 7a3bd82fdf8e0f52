"""There is always room between two ranks, whoever is put there and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands.ranks import DIGITS, close_after, close_before, is_room, rank_at, rank_between

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


def test_later_tasks_rank_after_earlier_ones() -> None:
    assert rank_at(AT) < rank_at(AT + timedelta(microseconds=1))
    assert rank_at(AT) < rank_at(AT, 1) < rank_at(AT, 2)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.uuids()), max_size=300))
def test_whatever_is_put_anywhere_stays_where_it_was_put(steps: list[tuple[int, UUID]]) -> None:
    ranks = [rank_at(AT + timedelta(seconds=second)) for second in range(3)]
    for where, of in steps:
        place = where % (len(ranks) + 1)
        after = ranks[place - 1] if place else None
        before = ranks[place] if place < len(ranks) else None
        rank = rank_between(after, before, of)
        ranks.insert(place, rank)
        assert set(rank) <= set(DIGITS)
        assert not rank.endswith("0")
        assert ranks == sorted(set(ranks))


def test_a_thousand_at_one_place_do_not_make_a_rank_long() -> None:
    low, high = rank_at(AT), rank_at(AT + timedelta(seconds=1))
    for number in range(1_000):
        high = rank_between(low, high, UUID(int=number))
    assert low < high
    assert len(high) < 300


@pytest.mark.parametrize("upwards", [True, False])
def test_three_hundred_at_one_place_stay_short_from_either_side(upwards: bool) -> None:
    low, high = rank_at(AT), rank_at(AT + timedelta(seconds=1))
    longest = 0
    for number in range(300):
        rank = rank_between(low, high, UUID(int=number << 64))
        assert low < rank < high
        low, high = (rank, high) if upwards else (low, rank)
        longest = max(longest, len(rank))
    assert longest < 500


@pytest.mark.parametrize(("after", "before"), [("a", "a0"), ("a", "a000"), ("a0", "a00"), ("", "00"), ("b", "a")])
def test_where_only_zeros_would_fit_there_is_no_room_and_no_search_without_end(after: str, before: str) -> None:
    assert not is_room(after, before)
    assert rank_between(after, before, A) > after


@given(st.text(DIGITS, min_size=1, max_size=20), st.uuids())
def test_close_to_a_rank_is_room_for_another(rank: str, of: UUID) -> None:
    above = rank_between(rank, close_after(rank), of)
    assert rank < above < close_after(rank)
    low = close_before(rank)
    assert low < rank or not low
    if is_room(low, rank):
        assert low < rank_between(low, rank, of) < rank


def test_two_at_the_same_moment_get_different_ranks() -> None:
    assert rank_between("a", "b", A) != rank_between("a", "b", B)
    assert len({rank_between("a", "b", UUID(int=number << 40)) for number in range(100)}) == 100


def test_between_two_equal_ones_there_is_nothing_and_after_them_there_is() -> None:
    assert rank_between("m", "m", A) > "m"
