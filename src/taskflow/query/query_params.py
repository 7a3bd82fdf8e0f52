"""Typed parsing of query parameters, of a request or of a saved view. Unknown names are refused, so that a mistyped
filter does not return everything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import parse_qsl

import msgspec

from taskflow.dates.times import parse_time
from taskflow.errors import Fault, Malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

T = TypeVar("T")
VALUES_MAX: Final = 200
"""Values in one query string, or in one saved view."""


class Parameters:
    """Parses values by name and type; each name is consumed once. Faults are collected, and `done` raises Malformed."""

    def __init__(self, query_string: bytes) -> None:
        self._values: dict[str, list[str]] = {}
        self._faults: list[Fault] = []
        if not query_string:
            return
        try:
            pairs = parse_qsl(
                query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=VALUES_MAX
            )
        except ValueError:
            raise Malformed(
                [Fault("", "query", f"expected at most {VALUES_MAX} parameters, percent-encoded UTF-8")]
            ) from None
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    @classmethod
    def given(cls, values: Mapping[str, Sequence[str]]) -> Self:
        """Creates Parameters from values that did not come from a query string."""
        parameters = cls(b"")
        parameters._values = {name: list(several) for name, several in values.items()}
        if sum(map(len, values.values())) > VALUES_MAX:
            parameters.fault("", "query", f"expected at most {VALUES_MAX} values")
        return parameters

    def fault(self, name: str, code: str, detail: str) -> None:
        self._faults.append(Fault(name, code, detail))

    def done(self) -> None:
        """Raises Malformed for the collected faults and for every name that was not consumed."""
        for name in self._values:
            self.fault(name[:100], "unknown-parameter", "this route has no such parameter")
        if self._faults:
            raise Malformed(self._faults)

    # --- one value

    def text(self, name: str) -> str | None:
        """Returns the value of a parameter that may be given at most once."""
        values = self._values.pop(name, [])
        if len(values) > 1:
            self.fault(name, "repeated", "expected at most one value")
        return values[0] if values else None

    def number(self, name: str, *, least: int, most: int) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if text.isascii() and text.isdigit() and len(text) <= 19 and least <= int(text) <= most:  # noqa: PLR2004 - digits of 2^63
            return int(text)
        self.fault(name, "range", f"expected a whole number from {least} to {most}")
        return None

    def time(self, name: str) -> datetime | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            # A plus sign that was not percent-encoded was decoded as a blank.
            at = parse_time(text.replace(" ", "+"))
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        except (msgspec.ValidationError, OverflowError):
            pass
        self.fault(name, "format", "expected an RFC 3339 time with its zone")
        return None

    def one_of(self, name: str, choices: Collection[str]) -> str | None:
        text = self.text(name)
        if text is not None and text not in choices:
            self.fault(name, "choice", f"expected one of {', '.join(choices)}")
            return None
        return text

    def truth(self, name: str) -> bool | None:
        text = self.one_of(name, ("true", "false"))
        return None if text is None else text == "true"

    # --- any of several values; None where the parameter is not given

    def texts(self, name: str, choices: Collection[str] | None = None) -> frozenset[str] | None:
        values = self._values.pop(name, None)
        if values is None:
            return None
        if choices is not None and not set(values) <= set(choices):
            self.fault(name, "choice", f"expected one of {', '.join(choices)}")
        return frozenset(values)

    def ids(self, name: str, read: Callable[[str], T]) -> frozenset[T] | None:
        """Returns the ids, parsed by `read`, which raises ValueError for anything but an id."""
        values = self._values.pop(name, None)
        if values is None:
            return None
        try:
            return frozenset(read(value) for value in values)
        except ValueError:
            self.fault(name, "format", "expected an id, a UUID")
            return None
