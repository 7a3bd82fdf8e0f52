"""Headers of streams' events, kept in memory: what has happened to a stream never changes, it is only added to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.lru import LruCache
from taskflow.turns import turn

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.store.log import EventHeader, Log

READ_AT_ONCE_MAX: Final = 1_000
"""Between two readings others have their turn."""
HEADER_BYTES: Final = 512
"""What one takes in memory, with the ids and the time that it holds."""
HEADERS_BYTES_MAX: Final = 16_777_216
"""What is longer than this alone is read anew each time."""


class Headers:
    """A bounded cache of streams' headers, from the first on."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept: LruCache[UUID, tuple[EventHeader, ...]] = LruCache(HEADERS_BYTES_MAX)

    async def up_to(self, stream_id: UUID, version: int) -> tuple[EventHeader, ...]:
        """The first `version` of a stream's; fewer where it never got there."""
        kept = self._kept.get(stream_id) or ()
        if len(kept) >= version:
            return kept[:version]
        found = list(kept)
        while len(found) < version:
            some = await self._log.headers(stream_id, after=len(found), to=version, limit=READ_AT_ONCE_MAX)
            await turn()
            found += some
            if not some:
                break
        headers = tuple(found)
        if len(headers) > len(self._kept.get(stream_id) or ()):
            self._kept.put(stream_id, headers, len(headers) * HEADER_BYTES)
        return headers
