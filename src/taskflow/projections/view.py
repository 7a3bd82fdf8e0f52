"""What a projection is: the stream it folds, the document it keeps, what it adds up, what it invalidates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, Struct
from pymongo import IndexModel

from taskflow.streams import Kind

Document = dict[str, Any]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SumKey(Struct, frozen=True):
    """One addend of a sum over streams. Kept by shard, so that no two workers write one document."""

    project_id: UUID
    shard: int
    status: str


Sums = dict[SumKey, int]


class View(Struct, frozen=True, eq=False):
    """A projection. A document holds its own stream's facts only; everything here is pure.

    `document(state)` gives the fields to filter and sort by; the state itself is stored beside them.
    `sums(before, after, shard)` gives what a step adds where. `invalidates(before, after)` names cache
    keys. A change of the documents' shape raises `version`, which is another collection.
    """

    name: str
    version: int
    kind: Kind[Any]
    document: Callable[[Any], Document]
    indexes: tuple[IndexModel, ...]
    redact: Callable[[Any], Any] = lambda state: state
    """What of the state is stored: a secret is not."""
    sums: Callable[[Any, Any, int], Sums] | None = None
    invalidates: Callable[[Any, Any], tuple[str, ...]] = lambda _before, _after: ()

    marks: bool = False
    """Whether checkpoints carry marks of what was invalidated, for readers that keep pages in memory."""

    @property
    def collection(self) -> str:
        return f"{self.name}_v{self.version}_a{ATTEMPT}"

    @property
    def sums_collection(self) -> str:
        return f"{self.collection}_sums"


Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]

ATTEMPT: Final = 1
"""The build of a view that serves. Part of every checkpoint's key, so that a rebuild never shares one."""


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC, `Z`, always six digits."""
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def maybe(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def micros(at: datetime | None) -> int | None:
    """Microseconds since 1970: BSON's own times keep milliseconds only."""
    return None if at is None else (at - _EPOCH) // timedelta(microseconds=1)
