"""How much one answer holds, in bytes: beside the number of its items. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

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
