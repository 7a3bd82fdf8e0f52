"""Leases, for work that one process does at a time: one row of a table, the database's clock, and a fencing number that
rises with each new holder."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from taskflow.errors import LeaseLost
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import asyncpg

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_RELEASE_S: Final = 0.5
"""How long a process that was told to stop waits for the store."""

_ACQUIRE: Final = """
update $table set fence = fence + 1, holder = $1, expires_at = clock_timestamp() + $2 * interval '1 ms'
 where expires_at < clock_timestamp() returning fence
"""
_RENEW: Final = """
update $table set expires_at = clock_timestamp() + $2 * interval '1 ms' where fence = $1 returning true
"""
_RELEASE: Final = "update $table set expires_at = '-infinity', holder = null where fence = $1"
_RECORD_FAULT: Final = "update relay set fault = $2 where fence = $1"


_HOLDER: Final = "select holder from $table where expires_at > clock_timestamp()"

RELAY: Final = "relay"
WORKER: Final = "worker"
"""The leases that exist, by their tables."""


def _of(table: str, statement: str) -> str:
    return statement.replace("$table", table)


async def holder(pool: asyncpg.Pool[asyncpg.Record], table: str) -> str | None:
    """The name of the process that holds the lease now; None if nobody does."""
    name: str | None = await pool.fetchval(_of(table, _HOLDER))
    return name


def holder_name() -> str:
    """A name that tells operators which process leads; unique, also among restarts of one process."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Lease:
    """A lease that this process holds; `fence` is its fencing number. Made by `acquire`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, table: str, fence: int) -> None:
        self.fence = fence
        self._table = table
        self._pool = pool
        self._settings = settings

    @classmethod
    async def acquire(
        cls, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, holder: str, table: str = RELAY
    ) -> Lease | None:
        """Takes the lease if nobody holds it or its holder has not renewed it in time; otherwise None."""
        fence = await pool.fetchval(_of(table, _ACQUIRE), holder, settings.lease_ttl_ms)
        return None if fence is None else cls(pool, settings, table, fence)

    async def hold(self, *works: Coroutine[Any, Any, None]) -> None:
        """Renews the lease while `works` run. When one fails, cancels the others and raises its exception: LeaseLost once
        another process holds the lease."""
        tasks = [asyncio.create_task(work) for work in (self.keep(), *works)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def keep(self) -> None:
        """Renews the lease until it is lost. Raises LeaseLost once another process holds it, or could hold it by now."""
        settings = self._settings
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(settings.lease_renew_ms / 1000)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(settings.lease_ttl_ms / 1000):
                    held = await self._pool.fetchval(_of(self._table, _RENEW), self.fence, settings.lease_ttl_ms)
            except TRANSIENT_ERRORS as error:
                if (time.monotonic() - renewed) * 1000 > settings.lease_ttl_ms:
                    raise LeaseLost(f"fence {self.fence} could not be renewed in time: {error!r}") from error
                log.warning("the lease cannot be renewed", extra={"fence": self.fence, "error": repr(error)})
                continue
            if not held:
                raise LeaseLost(f"fence {self.fence} was taken over")
            renewed = asked

    async def release(self) -> None:
        """Gives the lease up, so that a standby takes over at once; if the store does not answer, the lease expires."""
        with suppress(*TRANSIENT_ERRORS):
            await asyncio.wait_for(self._pool.execute(_of(self._table, _RELEASE), self.fence), _RELEASE_S)

    async def record_fault(self, fault: str) -> None:
        """Stores why the relay stopped, for `relay.status`."""
        await self._pool.execute(_RECORD_FAULT, self.fence, fault)
