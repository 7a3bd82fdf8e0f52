"""A call described as data: the request, the type of the answer, and whether it may be retried."""

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
"""Whether it is retried: a read, yes; a write, under one idempotency key; a refresh, within seconds; `once`, never."""
Scalar = str | int | bool | datetime | UUID
Value = Scalar | Iterable[Scalar] | None
NOTHING: Final[type[None]] = type(None)
"""The answer type of a call without an answer (204)."""


class Call(Struct, Generic[A_co], frozen=True, kw_only=True):
    """One call of the API."""

    method: str
    path: str
    """Below `/api/v1`."""
    answer: type[A_co]
    """The type to decode the JSON as; `bytes`: the body is returned undecoded."""
    kind: Kind
    query: Mapping[str, Value] = {}
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    expected_version: int | None = None
    signed_in: bool = True
    """Whether the token is sent. Signing in sends none: the server would refuse an expired one before it reads the
    password."""
    fresh: bool = False
    """Whether it reads from a view, and so takes `min_position`, for a client to read its own writes."""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query as pairs, one for each value of a repeated parameter; None values are left out."""
        pairs: list[tuple[str, str]] = []
        for name, value in self.query.items():
            if value is None:
                continue
            several = [value] if isinstance(value, (str, int, datetime, UUID)) else value
            pairs += [(name, _text(one)) for one in several]
        return pairs


def at(*parts: Id) -> str:
    """A path of escaped parts: a slash or dot in one of them cannot change the path."""
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def given(**fields: Any) -> dict[str, Any]:
    """A body without the fields that are UNSET. None is a value: it clears a field."""
    return {name: value for name, value in fields.items() if value is not UNSET}


def read(path: str, answer: type[A], query: Mapping[str, Value] | None = None, *, fresh: bool = True) -> Call[A]:
    return Call(method="GET", path=path, answer=answer, kind="read", query=query or {}, fresh=fresh)


def pages(path: str, items: type[T], query: Mapping[str, Value] | None = None, *, fresh: bool = True) -> Call[Page[T]]:
    """A call for the first page of a list."""
    return read(path, Page[items], query, fresh=fresh)  # type: ignore[valid-type]  # msgspec reads it at run time


def write(
    method: str, path: str, answer: type[A], body: Mapping[str, Any] | None = None, *, expected: int | None = None
) -> Call[A]:
    """A write. It fails with VersionConflict if the resource is not at version `expected`."""
    return Call(method=method, path=path, answer=answer, kind="write", body=body, expected_version=expected)


def _text(value: Scalar) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case _:
            return str(value)
