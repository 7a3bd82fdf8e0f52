"""Bounds in bytes for one response, in addition to bounds on the number of items. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE_BYTES_MAX: Final = 1_048_576
"""Maximum size of a page. Texts count in encoded form: a control character is six bytes of JSON."""
BOARD_BYTES_MAX: Final = 2_097_152
"""Maximum size of all tasks on a board; the columns share it."""


def fitting(sizes: Iterable[int], bytes_max: int) -> int:
    """Returns how many of the first items fit into `bytes_max`: at least one, so that every page makes progress."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > bytes_max:
            break
        count += 1
    return count


def fitting_rows(columns: Sequence[Sequence[int]], bytes_max: int) -> list[int]:
    """Returns how many of each column's first items fit, filled row by row, so that one long column does not crowd out
    the others. A column ends before its first item that does not fit."""
    counts = [0] * len(columns)
    left = bytes_max
    growing = list(range(len(columns)))
    while growing:
        for index in list(growing):
            at = counts[index]
            if at == len(columns[index]) or columns[index][at] > left:
                growing.remove(index)
                continue
            left -= columns[index][at]
            counts[index] += 1
    return counts
