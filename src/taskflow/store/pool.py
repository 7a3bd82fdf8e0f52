"""Connections to PostgreSQL, for reading and for appending, and which errors mean that it does not answer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from weakref import WeakSet

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S: Final = 1.0
RETRIED_ERRORS: Final = (
    asyncpg.exceptions.OperatorInterventionError,  # shut down, crashed, starting, a statement cancelled
    asyncpg.exceptions.InsufficientResourcesError,  # connections, memory, disk
    asyncpg.exceptions.TransactionRollbackError,  # deadlocks, serialisation
    asyncpg.exceptions.InvalidTransactionStateError,  # a transaction's timeouts; a server that is read-only by now
    asyncpg.exceptions.ObjectNotInPrerequisiteStateError,  # a lock not had in time; a server still in recovery
    asyncpg.exceptions.PostgresSystemError,  # the server's own disk
)
"""Errors of a server that answers, after which the same request may succeed later."""
TRANSIENT_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # raised on an idle connection that the server has ended with a message
    *RETRIED_ERRORS,
)
"""Errors that mean that PostgreSQL does not answer, or cannot now. Errors of a faulty statement are not among them."""
DATABASE_ERRORS: Final = (*TRANSIENT_ERRORS, asyncpg.PostgresError)
"""Every error of PostgreSQL and of the way to it, so that whatever else is raised is due to the data that was read."""


def _server_settings(name: str) -> dict[str, str]:
    # Keepalives let the server notice a client that was stopped or cut off, and end its connection.
    return {
        "application_name": name,
        "timezone": "UTC",
        # Every query has an index. A session keeps a plan that it made while a table was small, and would scan the table
        # for ever.
        "enable_seqscan": "off",
        "idle_in_transaction_session_timeout": "1s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
    }


async def open_pool(
    settings: Settings, name: str = "taskflow", opened: WeakSet[asyncpg.Connection[asyncpg.Record]] | None = None
) -> asyncpg.Pool[asyncpg.Record]:
    """A pool for reads and short transactions. Adds its connections to `opened`."""

    async def note(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        if opened is not None:
            opened.add(connection)

    pool: Any = asyncpg.create_pool(
        settings.postgres_url,
        min_size=min(2, settings.postgres_pool_max),
        max_size=settings.postgres_pool_max,
        timeout=settings.postgres_connect_timeout_ms / 1000,
        command_timeout=settings.postgres_command_timeout_ms / 1000,
        server_settings=_server_settings(name),
        init=note,
        reset=_keep_session,
    )
    made: asyncpg.Pool[asyncpg.Record] = await pool
    return made


async def abandon_after(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. Raises TimeoutError after `seconds`, without waiting for `work` to end: a cancelled query ends
    only when the server confirms the cancellation, which a server that hangs never does."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
    if not done:
        raise TimeoutError(f"no answer within {seconds} s")
    return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    """Retrieves the exception of a task that nobody waits for, so that it is not logged."""
    if not task.cancelled():
        task.exception()


async def _keep_session(_: object) -> None:
    """Resets nothing when a connection goes back to the pool: no query leaves state in its session, and a reset would cost a
    round trip."""


async def wait_for_pool(settings: Settings, name: str) -> asyncpg.Pool[asyncpg.Record]:
    """As `open_pool`, for workers, which may start before their store: tries again until it answers."""
    while True:
        try:
            return await open_pool(settings, name)
        except TRANSIENT_ERRORS as error:
            log.warning("the event store does not answer", extra={"error": repr(error)})
            await asyncio.sleep(RETRY_S)


async def connect_writer(settings: Settings) -> asyncpg.Connection[asyncpg.Record]:
    """The append path's own connection: it does not wait behind readers, and holds the lock for a bounded time."""
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        settings.postgres_url,
        timeout=settings.postgres_connect_timeout_ms / 1000,
        server_settings=_server_settings("taskflow writer")
        | {"transaction_timeout": f"{settings.append_transaction_timeout_ms}ms"},
    )
    return connection
