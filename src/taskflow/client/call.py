"""A call as data: what is asked, what is answered, and how often it may be sent. Each stands in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import UUID

from msgspec import UNSET, Struct

from taskflow.client.answers import Page

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
T = TypeVar("T")

Id = UUID | str
Kind = Literal["read", "write", "refresh", "once"]
"""What may be sent again: a read; a write, under a key; a refresh, soon; `once`, never."""
Scalar = str | int | bool | datetime | UUID
Value = Scalar | Iterable[Scalar] | None
NOTHING: Final[type[None]] = type(None)
"""The answer of a call that has none (204)."""


class Call(Struct, Generic[A_co], frozen=True, kw_only=True):
    method: str
    path: str
    """Below `/api/v1`."""
    answer: type[A_co]
    """What its JSON is read as; `bytes`: it is not read."""
    kind: Kind
    query: Mapping[str, Value] = {}
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    expected_version: int | None = None
    signed_in: bool = True
    """Whether a token is sent. Not where one is asked for: an old one would be refused before the password is read."""
    fresh: bool = False
    """Whether it is read from a view, and so has to be told how fresh."""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query, each value of a repeated parameter by itself; what is None is left out."""
        pairs: list[tuple[str, str]] = []
        for name, value in self.query.items():
            if value is None:
                continue
            several = [value] if isinstance(value, (str, int, datetime, UUID)) else value
            pairs += [(name, _text(one)) for one in several]
        return pairs


def at(*parts: Id) -> str:
    """A path; no part can break out of its place."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def given(**fields: Any) -> dict[str, Any]:
    """A body without the fields that nobody gave. None is a value: it clears."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def read(path: str, answer: type[A], query: Mapping[str, Value] | None = None, *, fresh: bool = True) -> Call[A]:
    return Call(method="GET", path=path, answer=answer, kind="read", query=query or {}, fresh=fresh)


def pages(path: str, items: type[T], query: Mapping[str, Value] | None = None, *, fresh: bool = True) -> Call[Page[T]]:
    """The first page of a list."""
    return read(path, Page[items], query, fresh=fresh)  # type: ignore[valid-type]  # msgspec reads it at run time


def write(
    method: str, path: str, answer: type[A], body: Mapping[str, Any] | None = None, *, expected: int | None = None
) -> Call[A]:
    """`expected`: refused with VersionConflict where the resource is at another version."""
    return Call(method=method, path=path, answer=answer, kind="write", body=body, expected_version=expected)


def _text(value: Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return str(value)
