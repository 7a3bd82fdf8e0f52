"""Messages that failed verification: counted by reason, and logged at a bounded rate.

Anybody who can write to the topic can send as many such messages as the broker accepts. So only the reason of a
message is kept, counts are saved at most every `SAVE_INTERVAL_S`, and a log line is written at most every `LOG_INTERVAL_S`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from pymongo.errors import PyMongoError

from taskflow.projections.collection_names import REJECTED

if TYPE_CHECKING:
    from taskflow.projections.mongo import Database

log = logging.getLogger(__name__)

SAVE_INTERVAL_S: Final = 0.25
LOG_INTERVAL_S: Final = 10.0


class Rejections:
    """The messages that one worker rejected. `reader`: the projections for which it reads."""

    def __init__(self, reader: str, database: Database) -> None:
        self._reader = reader
        self._collection = database[REJECTED]
        self._unsaved: Counter[str] = Counter()
        self._unlogged: Counter[str] = Counter()
        self._logged_at = float("-inf")
        self._saved_at = float("-inf")

    def note(self, partition: int, reason: str, offset: int) -> None:
        self._unsaved[reason] += 1
        self._unlogged[reason] += 1
        if time.monotonic() - self._logged_at > LOG_INTERVAL_S:
            self._logged_at = time.monotonic()
            about = {"reader": self._reader, "partition": partition, "offset": offset}
            log.error(
                "messages were rejected; the log is read instead", extra=about | {"reasons": dict(self._unlogged)}
            )
            self._unlogged.clear()

    async def run(self) -> None:
        """Saves the counts every SAVE_INTERVAL_S until cancelled. Not by the reading, which must not wait for MongoDB."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            try:
                await self.save()
            except PyMongoError as error:
                log.warning("rejected messages are counted later", extra={"error": repr(error)})
                await asyncio.sleep(LOG_INTERVAL_S)

    async def save(self) -> None:
        """Adds to the stored counts, which the API's metrics report."""
        for reason, count in list(self._unsaved.items()):
            await self._collection.update_one(
                {"_id": f"{self._reader}|{reason}"},
                {"$inc": {"count": count}, "$setOnInsert": {"reader": self._reader, "reason": reason}},
                upsert=True,
            )
            self._unsaved[reason] -= count
            if not self._unsaved[reason]:
                del self._unsaved[reason]
