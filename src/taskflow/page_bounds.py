"""How much one answer holds, in bytes: beside the number of its items. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE_BYTES_MAX: Final = 1_048_576
"""Of a page of anything. A text counts as it is sent: a control character is six bytes of JSON."""
BOARD_BYTES_MAX: Final = 2_097_152
"""Of the tasks on a board; its columns share it."""


def fitting(sizes: Iterable[int], bytes_max: int) -> int:
    """How many of the first items fit into so many bytes: one at least, or a page would lead nowhere."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > bytes_max:
            break
        count += 1
    return count


def fitting_rows(columns: Sequence[Sequence[int]], bytes_max: int) -> list[int]:
    """How many of each column's first items fit, taken row by row, so that one long column does not crowd out the
    others. A column ends with the first of its items for which there is no room."""
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
