"""Messages that are not believed: counted by reason, and told at a bounded rate.

Whoever can write to the topic can send as many of them as the broker takes. So nothing of one is kept but
its reason, the log is read for its partition at most every `READ_S`, and counts and log lines are written
as seldom as the log is read.
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
"""Between two readings of the log on behalf of messages that were rejected."""
TELL_S: Final = 10.0


class Rejections:
    """What one view of one worker has rejected, and the partitions where something may be missing since."""

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
        """The log is to be read for the partition."""
        self._suspects.add(partition)

    def due(self) -> set[int]:
        """The partitions to be read from the log now; each is named once."""
        if not self._suspects or time.monotonic() - self._read_at < READ_S:
            return set()
        self._read_at = time.monotonic()
        suspects, self._suspects = self._suspects, set()
        return suspects

    async def save(self) -> None:
        """Adds to the counts that the API's metrics tell."""
        for reason, count in list(self._unsaved.items()):
            await self._collection.update_one(
                {"_id": f"{self._view.name}|{reason}"},
                {"$inc": {"count": count}, "$setOnInsert": {"projection": self._view.name, "reason": reason}},
                upsert=True,
            )
            del self._unsaved[reason]
