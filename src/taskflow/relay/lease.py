"""Who leads: one row, the database's clock, and a fence that rises with every change of hands."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, Final

from taskflow.errors import LeaseLost
from taskflow.store.pool import AWAY

if TYPE_CHECKING:
    import asyncpg

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

_ACQUIRE: Final = """
update relay set fence = fence + 1, holder = $1, expires_at = clock_timestamp() + $2 * interval '1 ms'
 where expires_at < clock_timestamp() returning fence
"""
_RENEW: Final = """
update relay set expires_at = clock_timestamp() + $2 * interval '1 ms' where fence = $1 returning true
"""
_RELEASE: Final = "update relay set expires_at = '-infinity', holder = null where fence = $1"
_BLAME: Final = "update relay set fault = $2 where fence = $1"


def holder_name() -> str:
    """Tells operators which process leads; unlike any other's, restarted ones included."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Lease:
    """A held lease; `fence` is its number. Made by `acquire`."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, fence: int) -> None:
        self.fence = fence
        self._pool = pool
        self._settings = settings

    @classmethod
    async def acquire(cls, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, holder: str) -> Lease | None:
        """The lease where nobody holds it or its holder has not renewed it in time; otherwise None."""
        fence = await pool.fetchval(_ACQUIRE, holder, settings.lease_ttl_ms)
        return None if fence is None else cls(pool, settings, fence)

    async def keep(self) -> None:
        """Renews for ever. Raises LeaseLost once another holds it, or may hold it for all this process knows."""
        settings = self._settings
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(settings.lease_renew_ms / 1000)
            asked = time.monotonic()
            try:
                async with asyncio.timeout(settings.lease_ttl_ms / 1000):
                    held = await self._pool.fetchval(_RENEW, self.fence, settings.lease_ttl_ms)
            except AWAY as error:
                if (time.monotonic() - renewed) * 1000 > settings.lease_ttl_ms:
                    raise LeaseLost(f"fence {self.fence} could not be renewed in time: {error!r}") from error
                log.warning("the lease cannot be renewed", extra={"fence": self.fence, "error": repr(error)})
                continue
            if not held:
                raise LeaseLost(f"fence {self.fence} was taken over")
            renewed = asked

    async def release(self) -> None:
        """Lets a standby take over at once."""
        await self._pool.execute(_RELEASE, self.fence)

    async def blame(self, fault: str) -> None:
        """Leaves word of why the relay stopped, for `status.read`."""
        await self._pool.execute(_BLAME, self.fence, fault)
