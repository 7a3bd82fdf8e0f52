"""Messages that failed verification: counted by reason, and logged at a bounded rate.

Anybody who can write to the topic can send as many such messages as the broker accepts. So only the reason of a
message is kept, its partition is read from the log at most every `READ_S`, counts are saved at the same rate, and a
log line is written at most every `TELL_S`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from taskflow.projections.collection_names import REJECTED

if TYPE_CHECKING:
    from taskflow.projections.mongo import Database
    from taskflow.projections.projection import Projection

log = logging.getLogger(__name__)

READ_S: Final = 0.25
"""Minimum time between two reads of the log caused by rejected messages."""
TELL_S: Final = 10.0


class Rejections:
    """The messages that one worker rejected for one view, and the partitions where events may be missing."""

    def __init__(self, view: Projection, database: Database) -> None:
        self._view = view
        self._collection = database[REJECTED]
        self._unsaved: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()
        self._told_at = float("-inf")
        self._read_at = float("-inf")
        self._suspects: set[int] = set()

    def note(self, partition: int, reason: str, offset: int) -> None:
        self._unsaved[reason] += 1
        self._untold[reason] += 1
        self._suspects.add(partition)
        if time.monotonic() - self._told_at > TELL_S:
            self._told_at = time.monotonic()
            about = {"projection": self._view.name, "partition": partition, "offset": offset}
            log.error(
                "messages are not believed; the log is read instead", extra=about | {"reasons": dict(self._untold)}
            )
            self._untold.clear()

    def suspect(self, partition: int) -> None:
        """Marks the partition to be read from the log."""
        self._suspects.add(partition)

    def due(self) -> set[int]:
        """Returns the marked partitions and clears the marks; empty within READ_S of the last read."""
        if not self._suspects or time.monotonic() - self._read_at < READ_S:
            return set()
        self._read_at = time.monotonic()
        suspects, self._suspects = self._suspects, set()
        return suspects

    async def save(self) -> None:
        """Adds to the stored counts, which the API's metrics report."""
        for reason, count in list(self._unsaved.items()):
            await self._collection.update_one(
                {"_id": f"{self._view.name}|{reason}"},
                {"$inc": {"count": count}, "$setOnInsert": {"projection": self._view.name, "reason": reason}},
                upsert=True,
            )
            del self._unsaved[reason]
