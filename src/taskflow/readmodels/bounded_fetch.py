"""Fetches documents with one large field within a bound in bytes.

The first query returns the field where it is small, and only its size where it is large, so the result is bounded by
the number of documents. A second query fetches the large fields that still fit into the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from msgspec import Struct

from taskflow.page_bounds import fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskflow.projections.mongo import Collection


class OversizedField(Struct, frozen=True):
    """Replaces a field that was too large for the first query."""

    id: UUID
    size: int


Value = bytes | OversizedField

_BY_ID: Final = [("_id", 1)]
"""Index hint: when MongoDB compares query plans, it fetches the large documents for each plan."""


def sized(field: str, *, count: int, bytes_max: int) -> dict[str, Any]:
    """Returns a MongoDB projection: the field if `count` fields of its size fit into `bytes_max`, else its size and the
    document's id. Without `_id`, because decoding the id of every document would add half to the cost."""
    size = {"$binarySize": f"${field}"}
    small = {"$lte": [size, bytes_max // max(1, count)]}
    return {"_id": 0, field: {"$cond": [small, f"${field}", {"id": "$_id", "size": size}]}}


def values_of(documents: Sequence[Mapping[str, Any]], field: str) -> list[Value]:
    """Returns the values of a field that was queried with `sized`."""
    found = [document[field] for document in documents]
    if dict not in set(map(type, found)):
        return found
    return [value if isinstance(value, bytes) else OversizedField(value["id"], int(value["size"])) for value in found]


def size_of(value: Value) -> int:
    return value.size if isinstance(value, OversizedField) else len(value)


async def fetch_fitting(
    collection: Collection, query: Mapping[str, Any], field: str, found: Sequence[Value], bytes_max: int
) -> list[bytes | None]:
    """Returns the first of the values found with `sized` that fit into `bytes_max`, in the form of `fetch_whole`."""
    # Without large values all of them fit: `sized` returned only values that fit `count` times.
    count = fitting([size_of(value) for value in found], bytes_max) if _any_large(found) else len(found)
    return await fetch_whole(collection, query, field, found[:count])


async def fetch_whole(
    collection: Collection, query: Mapping[str, Any], field: str, found: Sequence[Value]
) -> list[bytes | None]:
    """Returns the values with the large ones fetched; None for a document that no longer matches the query."""
    if not _any_large(found):
        return cast(list[bytes | None], found)
    large = [value.id for value in found if isinstance(value, OversizedField)]
    again = collection.find({"$and": [query, {"_id": {"$in": large}}]}, {field: 1}).hint(_BY_ID)
    fields: dict[UUID, bytes] = {document["_id"]: document[field] async for document in again}
    return [fields.get(value.id) if isinstance(value, OversizedField) else value for value in found]


def _any_large(found: Sequence[Value]) -> bool:
    return OversizedField in set(map(type, found))
