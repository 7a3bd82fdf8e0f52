"""Ranges of the `events` table, attached ahead of the positions that need them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

RANGES_AHEAD: Final = 2
"""Whole ranges that exist beyond the one being written."""


async def attach_ahead(connection: Any, settings: Settings) -> int:
    """Makes the missing ranges up to RANGES_AHEAD beyond the head; answers how many were made.

    `connection` is a connection or a pool. A lock that is not had within the
    function's `lock_timeout` is left for the next call: there is a whole range of time.
    """
    size = settings.events_range_size
    head: int = await connection.fetchval("select position from log_head")
    made = 0
    for number in range(head // size, head // size + RANGES_AHEAD + 1):
        try:
            made += await connection.fetchval("select add_partition_v1($1, $2)", number * size, (number + 1) * size)
        except (
            asyncpg.LockNotAvailableError,
            # Another process makes the same range at this moment; the catalogue says so in three ways.
            asyncpg.DuplicateTableError,
            asyncpg.DuplicateObjectError,
            asyncpg.UniqueViolationError,
        ) as error:
            log.info("a range of events is left for later", extra={"from": number * size, "error": str(error)})
    return made
