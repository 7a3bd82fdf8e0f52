"""`taskflow worker`: one process holds the lease and runs the background tasks, others stand by.

Correctness does not depend on the lease: every change is a command with a derived id, which takes effect once even if
two workers send it. The lease only avoids duplicate work.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from taskflow.cancellation import raise_if_cancelled
from taskflow.commands.execute import Executor
from taskflow.errors import LeaseLost
from taskflow.projections.mongo import open_database
from taskflow.readmodels.queries import Views
from taskflow.store.eventstore import open_event_store
from taskflow.store.lease import WORKER, Lease, holder_name
from taskflow.store.migrate import wait_for_schema
from taskflow.store.pool import RETRY_S, TRANSIENT_ERRORS
from taskflow.worker.trash import TrashCollection

if TYPE_CHECKING:
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Runs until cancelled. Raises EpochChanged, and StoreError for a log that this release cannot read."""
    await wait_for_schema(settings)
    holder = holder_name()
    while True:
        raise_if_cancelled()
        try:
            async with open_event_store(settings, "taskflow worker") as store, open_database(settings) as database:
                trash = TrashCollection(Executor(store, settings), Views(database), settings)
                await _wait_for_lease_and_work(store, trash, settings, holder)
        except TRANSIENT_ERRORS as error:
            log.warning("the event store does not answer", extra={"error": repr(error)})
            await asyncio.sleep(RETRY_S)


async def _wait_for_lease_and_work(store: EventStore, trash: TrashCollection, settings: Settings, holder: str) -> None:
    while True:
        raise_if_cancelled()
        lease = await Lease.acquire(store.pool, settings, holder, WORKER)
        if lease is None:
            await asyncio.sleep(settings.lease_renew_ms / 1000)
            continue
        log.info("working", extra={"fence": lease.fence})
        try:
            await lease.hold(trash.run())
        except LeaseLost as error:
            log.warning("the lease was lost", extra={"fence": lease.fence, "error": repr(error)})
        finally:
            await lease.release()
