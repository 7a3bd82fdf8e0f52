"""`taskflow relay`: one process leads, the others stand by."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import asyncpg
from aiokafka.errors import KafkaError

from taskflow.backoff import Backoff
from taskflow.cancellation import raise_if_cancelled
from taskflow.errors import BrokerError, EpochChanged, LeaseLost
from taskflow.kafka.connection import connection
from taskflow.relay.leader import keep_ranges, lead
from taskflow.store.lease import Lease, holder_name
from taskflow.store.migrate import wait_for_schema
from taskflow.store.pool import TRANSIENT_ERRORS, open_pool

if TYPE_CHECKING:
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_RETRIED_ERRORS: Final = (*TRANSIENT_ERRORS, KafkaError, LeaseLost)
"""Errors after which it tries again: a server does not answer, or another relay leads."""


async def run(settings: Settings) -> None:
    """Runs until cancelled. Raises BrokerError and EpochChanged, after which an operator has to act, and BadSettings for
    settings of the broker's connection that cannot be right."""
    connection(settings)
    await wait_for_schema(settings)
    holder = holder_name()
    backoff = Backoff(settings.relay_backoff_min_ms / 1000, settings.relay_backoff_max_ms / 1000)
    while True:
        raise_if_cancelled()
        try:
            pool = await open_pool(settings, "taskflow relay")
            try:
                await _wait_for_lease_and_lead(pool, settings, holder, backoff)
            finally:
                pool.terminate()
        except TRANSIENT_ERRORS as error:
            log.warning("PostgreSQL is unavailable", extra={"error": repr(error)})
            await backoff.wait()


async def _wait_for_lease_and_lead(
    pool: asyncpg.Pool[asyncpg.Record], settings: Settings, holder: str, backoff: Backoff
) -> None:
    while True:
        raise_if_cancelled()
        lease = await Lease.acquire(pool, settings, holder)
        if lease is None:
            await asyncio.sleep(settings.relay_standby_poll_ms / 1000)
            continue
        started = time.monotonic()
        try:
            await lease.hold(keep_ranges(pool, settings), lead(pool, settings, lease))
        except (BrokerError, EpochChanged) as error:
            log.critical("the relay stops", extra={"error": str(error)})
            with suppress(*TRANSIENT_ERRORS):
                await lease.record_fault(str(error))
            raise
        except _RETRIED_ERRORS as error:
            log.warning(
                "leadership ended",
                extra={"fence": lease.fence, "error": repr(error), "lasted_s": round(time.monotonic() - started, 3)},
            )
        finally:
            await lease.release()
        if time.monotonic() - started > settings.relay_backoff_max_ms / 1000:
            backoff.reset()
        await backoff.wait()
