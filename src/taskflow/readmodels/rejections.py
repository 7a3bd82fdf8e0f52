"""Reads how many messages the projectors have rejected, for the API's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskflow.projections.collection_names import REJECTED

if TYPE_CHECKING:
    from taskflow.projections.mongo import Database


async def read_rejections(database: Database) -> list[tuple[str, str, int]]:
    """Returns (reader, reason, count) of all messages ever rejected. A reader is the set of projections of a worker; of
    an earlier release, one projection."""
    found: list[dict[str, Any]] = await database[REJECTED].find().to_list()
    return [(one.get("reader", one.get("projection", "")), one["reason"], one["count"]) for one in found]
