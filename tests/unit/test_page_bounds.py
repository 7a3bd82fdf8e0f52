"""How many items fit: never more than the bound, and never none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taskflow.page_bounds import fitting, fitting_rows

sizes = st.lists(st.integers(0, 100), max_size=20)


@given(sizes, st.integers(0, 300))
def test_a_page_is_as_long_as_it_can_be(items: list[int], bytes_max: int) -> None:
    count = fitting(items, bytes_max)
    if items:
        assert count >= 1
    assert count <= 1 or sum(items[:count]) <= bytes_max
    assert count == len(items) or sum(items[: count + 1]) > bytes_max


@given(st.lists(sizes, max_size=8), st.integers(0, 1_000))
def test_columns_grow_together_until_there_is_no_room(columns: list[list[int]], bytes_max: int) -> None:
    counts = fitting_rows(columns, bytes_max)
    shown = sum(sum(column[:count]) for column, count in zip(columns, counts, strict=True))
    assert shown <= bytes_max
    for column, count in zip(columns, counts, strict=True):
        if count < len(column):
            # There was no room for it when its turn came: no more than what is shown had been taken by then.
            assert shown + column[count] > bytes_max
    if sum(map(sum, columns)) <= bytes_max:
        assert counts == [len(column) for column in columns]


def test_a_long_column_leaves_room_for_the_others() -> None:
    assert fitting_rows([[10] * 50, [10], [10, 10]], 100) == [7, 1, 2]
    assert fitting_rows([], 100) == []
