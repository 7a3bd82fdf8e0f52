"""Ranks: strings whose order is the order of tasks or items, with room for another rank between any two.

A rank is the digits of a fraction in base 36, without the point. No rank made by `rank_between` ends in a zero, so that
there is always another one between two. Only the number of insertions bounds the length of a rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
ID_DIGITS: Final = 4
_BASE: Final = len(DIGITS)


def rank_at(at: datetime, order: int = 0) -> str:
    """A rank after those of all tasks created before: the microsecond, as 14 hexadecimal digits. `order` is added to
    it, to tell apart what is created at one moment, as by one batch."""
    return f"{int(at.timestamp() * 1_000_000) + order:014x}"


def rank_between(after: str | None, before: str | None, of: UUID) -> str:
    """A rank between two others; None: there is nothing on that side.

    Two tasks that are put into one place at the same moment get different ranks, as the last digits depend on `of`, the
    id of the task. If the two ranks are equal, so that nothing fits between, the new rank is after both.
    """
    low = after or ""
    if before is not None and not is_room(low, before):
        before = None
    return _middle(low, before) + _id_digits(of)


def _id_digits(of: UUID) -> str:
    """Four digits derived from an id, the last not a zero; among a hundred ids, two hardly ever get the same digits."""
    rest, last = divmod(crc32(of.bytes), _BASE - 1)
    digits = DIGITS[1 + last]
    for _ in range(ID_DIGITS - 1):
        rest, digit = divmod(rest, _BASE)
        digits = DIGITS[digit] + digits
    return digits


def is_room(after: str, before: str) -> bool:
    """Whether a rank fits between two. Zeros at the end do not make a fraction larger: nothing is between `a` and
    `a0`."""
    return after.rstrip("0") < before.rstrip("0")


def close_after(rank: str) -> str:
    """A rank so little above another that only ranks made directly after that one are between them."""
    return rank + DIGITS[1]


def close_before(rank: str) -> str:
    """As `close_after`, but below the rank. Empty, which is below every rank, if all digits are zeros."""
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
            high = None  # any digits may follow: the rank is below `high` already
