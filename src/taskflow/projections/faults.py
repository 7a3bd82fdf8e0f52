"""Tells an operator of what a projection's worker cannot do until the operator mends it: in the log and the event store.

The worker tries again all the while: it goes on by itself once the fault is mended.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from taskflow.projections.mongo_errors import permanent_fault
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.store.projector_faults import clear_fault, record_fault

if TYPE_CHECKING:
    from taskflow.store.log import Log

log = logging.getLogger(__name__)

LOG_INTERVAL_S: Final = 10.0
"""Minimum time between two log lines, and between two records, of a fault that lasts."""
RECORD_TIMEOUT_S: Final = 1.0
"""Timeout for recording a fault."""


class Faults:
    """The faults of one projection on one worker."""

    def __init__(self, events: Log, projection: str, worker: str) -> None:
        self._pool = events.pool
        self._projection = projection
        self._worker = worker
        self._logged_at = float("-inf")
        self._recorded = False

    async def note(self, error: BaseException) -> None:
        """Tells of an error if waiting does not help; at most every LOG_INTERVAL_S."""
        reason = permanent_fault(error)
        if reason is None or time.monotonic() - self._logged_at < LOG_INTERVAL_S:
            return
        self._logged_at = time.monotonic()
        about = {"projection": self._projection, "reason": reason, "error": repr(error)[:1_000]}
        log.error("a projection cannot be written until an operator acts", extra=about)
        self._recorded = True
        with suppress(*TRANSIENT_ERRORS):
            await abandon_after(RECORD_TIMEOUT_S, record_fault(self._pool, self._projection, self._worker, reason))

    async def note_success(self) -> None:
        """Called after every step that worked: ends the fault, if there was one."""
        if not self._recorded:
            return
        with suppress(*TRANSIENT_ERRORS):
            await abandon_after(RECORD_TIMEOUT_S, clear_fault(self._pool, self._projection, self._worker))
            self._recorded = False
            self._logged_at = float("-inf")
            log.info("a projection is written again", extra={"projection": self._projection})
