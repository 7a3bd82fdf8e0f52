"""There is always room between two ranks, whoever is put there and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from taskflow.commands.ranks import DIGITS, rank_at, rank_between

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = UUID(int=1), UUID(int=2)


def test_later_tasks_rank_after_earlier_ones() -> None:
    assert rank_at(AT) < rank_at(AT + timedelta(microseconds=1))


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


def test_two_at_the_same_moment_get_different_ranks() -> None:
    assert rank_between("a", "b", A) != rank_between("a", "b", B)


def test_between_two_equal_ones_there_is_nothing_and_after_them_there_is() -> None:
    assert rank_between("m", "m", A) > "m"
