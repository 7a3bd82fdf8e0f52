"""Attaches partitions of the `events` table before positions need them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

RANGES_AHEAD: Final = 2
"""Whole partitions that exist beyond the one being written."""


async def attach_ahead(connection: Any, settings: Settings) -> int:
    """Attaches the missing partitions up to RANGES_AHEAD beyond the head; returns how many were attached.

    `connection` is a connection or a pool. If a lock is not available within the stored function's `lock_timeout`, the
    partition is left for the next call: there is time until a whole partition is full.
    """
    size = settings.events_range_size
    head: int = await connection.fetchval("select position from log_head")
    made = 0
    for number in range(head // size, head // size + RANGES_AHEAD + 1):
        try:
            made += await connection.fetchval("select add_partition_v1($1, $2)", number * size, (number + 1) * size)
        except (
            asyncpg.LockNotAvailableError,
            # Another process attaches the same partition at this moment, which shows as one of three errors.
            asyncpg.DuplicateTableError,
            asyncpg.DuplicateObjectError,
            asyncpg.UniqueViolationError,
        ) as error:
            log.info("a partition of events will be attached later", extra={"from": number * size, "error": str(error)})
    return made
