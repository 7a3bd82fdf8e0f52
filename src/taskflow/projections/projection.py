"""Projection: declares the stream type, the document, the sums and the cache invalidations of a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from pymongo import IndexModel

from taskflow.streams import StreamType

Document = dict[str, Any]


class SumKey(Struct, frozen=True):
    """The key of a partial sum over streams. One for each shard, so that no two workers write the same document."""

    project_id: UUID
    shard: int
    status: str


Sums = dict[SumKey, int]


class Projection(Struct, frozen=True, eq=False):
    """A projection. A document holds data of its own stream only; all functions here are pure.

    `document(state)` returns the fields to filter and sort by; the state itself is stored in addition.
    `sums(before, after, shard)` returns what a step adds to each sum. `invalidates(before, after)` returns the cache
    keys to invalidate. Raise `version` when the documents' shape changes: each version has its own collection.
    """

    name: str
    version: int
    kind: StreamType[Any]
    document: Callable[[Any], Document]
    indexes: tuple[IndexModel, ...] = ()
    former_indexes: tuple[str, ...] = ()
    """Names of indexes that an earlier release created and that nothing reads any longer. They are dropped."""
    redact: Callable[[Any], Any] = lambda state: state
    """Removes secrets from the state before it is stored."""
    sums: Callable[[Any, Any, int], Sums] | None = None
    invalidates: Callable[[Any, Any], tuple[str, ...]] = lambda _before, _after: ()

    bucket_versions: bool = False
    """Whether checkpoints carry versions of buckets of cache keys (`invalidation_versions`), for readers that keep pages in
    memory."""

    @property
    def collection(self) -> str:
        return f"{self.name}_v{self.version}_a{ATTEMPT}"

    @property
    def sums_collection(self) -> str:
        return f"{self.collection}_sums"


ATTEMPT: Final = 1
"""The number of the build of the views. Part of every checkpoint's key, so that a rebuild has its own checkpoints."""
