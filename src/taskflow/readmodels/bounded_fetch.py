"""Documents with one large field, of which no more is fetched than an answer holds.

A query asks for the field where it is small, and for its size where it is not: what comes is bounded by the number of
documents. The large ones among those that fit are fetched after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from msgspec import Struct

from taskflow.page_bounds import fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskflow.projections.mongo import Collection


class Large(Struct, frozen=True):
    """Stands for a field that was too large to be fetched at once."""

    id: UUID
    size: int


Value = bytes | Large

_BY_ID: Final = [("_id", 1)]
"""Named: where MongoDB compares plans, it fetches the large documents for each of them."""


def sized(field: str, *, count: int, bytes_max: int) -> dict[str, Any]:
    """A projection: the field where `count` documents like it fit into `bytes_max`, else its size and the document's
    id. Without `_id`: to decode an id for every document costs half as much again as the rest."""
    size = {"$binarySize": f"${field}"}
    small = {"$lte": [size, bytes_max // max(1, count)]}
    return {"_id": 0, field: {"$cond": [small, f"${field}", {"id": "$_id", "size": size}]}}


def values_of(documents: Sequence[Mapping[str, Any]], field: str) -> list[Value]:
    """A field that was asked for with `sized`."""
    found = [document[field] for document in documents]
    if dict not in set(map(type, found)):
        return found
    return [value if isinstance(value, bytes) else Large(value["id"], int(value["size"])) for value in found]


def size_of(value: Value) -> int:
    return value.size if isinstance(value, Large) else len(value)


async def fetch_fitting(
    collection: Collection, query: Mapping[str, Any], field: str, found: Sequence[Value], bytes_max: int
) -> list[bytes | None]:
    """Of the values that a query with `sized` found, those that fit, as `fetch_whole` answers them."""
    # Of small ones `sized` asked for no more than fit.
    count = fitting([size_of(value) for value in found], bytes_max) if _any_large(found) else len(found)
    return await fetch_whole(collection, query, field, found[:count])


async def fetch_whole(
    collection: Collection, query: Mapping[str, Any], field: str, found: Sequence[Value]
) -> list[bytes | None]:
    """These values, the large ones fetched; None for a document that does not meet the query any more."""
    if not _any_large(found):
        return cast(list[bytes | None], found)
    large = [value.id for value in found if isinstance(value, Large)]
    again = collection.find({"$and": [query, {"_id": {"$in": large}}]}, {field: 1}).hint(_BY_ID)
    fields: dict[UUID, bytes] = {document["_id"]: document[field] async for document in again}
    return [fields.get(value.id) if isinstance(value, Large) else value for value in found]


def _any_large(found: Sequence[Value]) -> bool:
    return Large in set(map(type, found))
