"""Documents with one large field, of which no more is fetched than an answer holds.

A query asks for the field where it is small, and for its size where it is not: what comes is bounded by the number of
documents. The large ones among those that fit are fetched after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskflow.page_bounds import fitting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskflow.projections.mongo import Collection


def sized(field: str, *, count: int, bytes_max: int) -> dict[str, Any]:
    """A projection: the field where `count` documents like it fit into `bytes_max`, else its size."""
    size = {"$binarySize": f"${field}"}
    return {field: {"$cond": [{"$lte": [size, bytes_max // max(1, count)]}, f"${field}", size]}}


def size_of(document: Mapping[str, Any], field: str) -> int:
    """The size of a field that was asked for with `sized`, or that was fetched after it."""
    found: Any = document[field]
    return len(found) if isinstance(found, bytes) else int(found)


async def fetch_fitting(
    collection: Collection, query: Mapping[str, Any], field: str, found: Sequence[dict[str, Any]], bytes_max: int
) -> tuple[list[dict[str, Any]], int]:
    """Of documents that a query with `sized` found, those that fit, with their field; and how many of `found` were
    looked at for it: what does not meet the query any more is left out."""
    count = fitting([size_of(document, field) for document in found], bytes_max)
    return await fetch_whole(collection, query, field, found[:count]), count


async def fetch_whole(
    collection: Collection, query: Mapping[str, Any], field: str, found: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """These documents with their field, but for those that do not meet the query any more."""
    large = [document["_id"] for document in found if not isinstance(document[field], bytes)]
    if not large:
        return list(found)
    again = collection.find({"$and": [query, {"_id": {"$in": large}}]}, {field: 1})
    fields = {document["_id"]: document[field] async for document in again}
    return [
        document | {field: fields.get(document["_id"], document[field])}
        for document in found
        if isinstance(document[field], bytes) or document["_id"] in fields
    ]
