"""What a projection is: the stream it folds, the document it keeps, what it adds up, what it invalidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from pymongo import IndexModel

from taskflow.streams import StreamType

Document = dict[str, Any]


class SumKey(Struct, frozen=True):
    """One addend of a sum over streams. Kept by shard, so that no two workers write one document."""

    project_id: UUID
    shard: int
    status: str


Sums = dict[SumKey, int]


class Projection(Struct, frozen=True, eq=False):
    """A projection. A document holds its own stream's facts only; everything here is pure.

    `document(state)` gives the fields to filter and sort by; the state itself is stored beside them.
    `sums(before, after, shard)` gives what a step adds where. `invalidates(before, after)` names cache
    keys. A change of the documents' shape raises `version`, which is another collection.
    """

    name: str
    version: int
    kind: StreamType[Any]
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


ATTEMPT: Final = 1
"""The build of a view that serves. Part of every checkpoint's key, so that a rebuild never shares one."""
