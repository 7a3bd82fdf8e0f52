"""A cache of the headers of streams' events. Headers never change, new ones are only added, so nothing is invalidated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taskflow.lru import LruCache
from taskflow.turns import turn

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.store.log import EventHeader, Log

READ_AT_ONCE_MAX: Final = 1_000
"""Headers in one read; other tasks run between two reads."""
HEADER_BYTES: Final = 512
"""Memory that one header takes, with the ids and the time in it."""
HEADERS_BYTES_MAX: Final = 16_777_216
"""A stream whose headers alone take more is read again each time."""


class Headers:
    """A bounded cache of headers by stream, each from the first event on."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept: LruCache[UUID, tuple[EventHeader, ...]] = LruCache(HEADERS_BYTES_MAX)

    async def up_to(self, stream_id: UUID, version: int) -> tuple[EventHeader, ...]:
        """The headers of a stream's first `version` events, or of all that it has."""
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
