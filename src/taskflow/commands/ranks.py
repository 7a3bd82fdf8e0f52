"""Ranks: strings whose order is the order of what they rank, with room between any two of them.

A rank is a fraction in base 36, without the point. None that is made here ends in a zero, so that there is
always another one between two; how long it gets is bounded by nothing but the number of insertions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
OWN_DIGITS: Final = 4
_BASE: Final = len(DIGITS)


def rank_at(at: datetime, order: int = 0) -> str:
    """A rank after that of everything that was made before: the microsecond, as 14 hexadecimal digits. What is
    made at one moment, as by one batch, gets microseconds of its own by its `order`."""
    return f"{int(at.timestamp() * 1_000_000) + order:014x}"


def rank_between(after: str | None, before: str | None, of: UUID) -> str:
    """A rank between two others; None: there is nothing on that side.

    Two that are put into one place at the same moment get different ones: a part is of whose rank it is.
    Where nothing fits between, the two being equal, it comes after both.
    """
    low = after or ""
    if before is not None and not is_room(low, before):
        before = None
    return _middle(low, before) + _own(of)


def _own(of: UUID) -> str:
    """Four digits, the last no zero: of a hundred that are put into one place two are hardly ever alike."""
    rest, last = divmod(crc32(of.bytes), _BASE - 1)
    digits = DIGITS[1 + last]
    for _ in range(OWN_DIGITS - 1):
        rest, digit = divmod(rest, _BASE)
        digits = DIGITS[digit] + digits
    return digits


def is_room(after: str, before: str) -> bool:
    """Whether something fits between. Zeros at the end make no fraction larger: behind `a` comes `a0`, at once."""
    return after.rstrip("0") < before.rstrip("0")


def close_after(rank: str) -> str:
    """A rank so little above another that only what was put right behind that one stands between them."""
    return rank + DIGITS[1]


def close_before(rank: str) -> str:
    """As `close_after`, below it. Empty, which is below everything, where there is nothing but zeros."""
    shortest = rank.rstrip("0")
    return shortest[:-1] + DIGITS[DIGITS.index(shortest[-1]) - 1] + DIGITS[-1] if shortest else ""


def _middle(low: str, high: str | None) -> str:
    """The shortest fraction about halfway between two."""
    digits = ""
    while True:
        at = len(digits)
        least = DIGITS.index(low[at]) if at < len(low) else 0
        most = _BASE if high is None else DIGITS.index(high[at]) if at < len(high) else 0
        if most - least > 1:
            return digits + DIGITS[(least + most) // 2]
        digits += DIGITS[least]
        if most > least:
            high = None  # whatever follows this digit is below
