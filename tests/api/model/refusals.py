"""Why something is not done: a status, and the code of the rule or of the fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple


class Reason(NamedTuple):
    status: int
    code: str | None = None


class Refused(Exception):
    """The API must say one of these reasons, and nothing happens."""

    def __init__(self, *reasons: Reason) -> None:
        super().__init__(", ".join(map(str, reasons)))
        self.reasons = frozenset(reasons)


NOT_FOUND: Final = Reason(404)
FORBIDDEN: Final = Reason(403)
NOTHING_TO_UNDO: Final = Reason(409)


def rule(code: str) -> Reason:
    """A rule of the domain stands against it."""
    return Reason(409, code)


def fault(code: str) -> Reason:
    """What was sent is none that could ever be done."""
    return Reason(400, code)


def unless(reasons: Iterable[Reason]) -> None:
    """Raises Refused where there is any reason."""
    found = tuple(reasons)
    if found:
        raise Refused(*found)
