"""Brings the schema to this release's: numbered migrations, applied in order, each once.

A migration that was applied is never edited: its checksum is on record and compared at every start. Migrations must leave
the release before them running (blue-green): add, fill, switch, and only a release later drop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from taskflow.errors import StoreError
from taskflow.store import partitions
from taskflow.store.first_schema import DEVELOPMENT, adopt, record, require_adoptable
from taskflow.store.migration_files import MIGRATIONS, read_migrations
from taskflow.store.migration_steps import STEPS_TABLE, apply_steps
from taskflow.store.pool import RETRY_S, TRANSIENT_ERRORS, abandon_after

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from taskflow.settings import Settings

log = logging.getLogger(__name__)

LOG_INTERVAL_S: Final = 10.0
LOCK_POLL_S: Final = 0.2
_LOCK: Final = 7467
_TABLE: Final = """
create table if not exists migrations (
    number integer primary key, name text not null, checksum text not null,
    applied_at timestamptz not null default now()
)
"""
_SESSION: Final = {
    "application_name": "taskflow migrate",
    # The server stops what it does for a client that was killed, an index that it builds for hours say.
    "client_connection_check_interval": "1s",
}


async def migrate(settings: Settings, folder: Traversable = MIGRATIONS) -> list[str]:
    """Applies what is missing; returns the names of the migrations applied now.

    Safe to run from many processes at once, and to kill at any moment: the next run goes on. Raises StoreError where an
    applied migration was edited, the database is ahead of this release, or it is older than what this release takes over.
    """
    connection = await asyncpg.connect(settings.postgres_url, server_settings=_SESSION)
    try:
        await _lock(connection)
        await connection.execute(_TABLE)
        await connection.execute(STEPS_TABLE)
        applied_now = await _apply_missing(connection, folder)
        await partitions.attach_ahead(connection, settings)
    finally:
        await connection.close()
    return applied_now


async def _lock(connection: Any) -> None:
    """Waits until no other process migrates. Not within the server: a session that waits there has a transaction open, and
    an index that is built concurrently waits for all of these."""
    while True:
        if await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            return
        await asyncio.sleep(LOCK_POLL_S)


async def _apply_missing(connection: Any, folder: Traversable) -> list[str]:
    migrations = read_migrations(folder)
    first = migrations[0]
    applied = {row["number"]: row for row in await connection.fetch("select number, name, checksum from migrations")}
    unknown = sorted(set(applied) - {migration.number for migration in migrations} - set(DEVELOPMENT))
    if unknown:
        raise StoreError(f"the database has migration {unknown[-1]}, this release ends at {migrations[-1].number}")
    applied_now: list[str] = []
    if applied and first.number not in applied:
        require_adoptable(applied)
        await adopt(connection, first, folder)
        log.info("the schema of a development version was adopted", extra={"migration": first.name})
        applied_now.append(first.name)
        applied = {first.number: {"checksum": first.checksum}}
    for migration in migrations:
        if migration.number in applied:
            if applied[migration.number]["checksum"] != migration.checksum:
                raise StoreError(f"migration {migration.name} was edited after it had been applied")
            continue
        await apply_steps(connection, migration)
        async with connection.transaction():
            await record(connection, migration)
        applied_now.append(migration.name)
        log.info("migration applied", extra={"migration": migration.name})
    return applied_now


async def wait_for_schema(settings: Settings) -> None:
    """Returns once the schema is up to date or a later one's: a process that starts before its store, or
    before the migrations, is not a fault. Says every `LOG_INTERVAL_S` that it waits."""
    logged_at = float("-inf")
    while (why := await _schema_fault(settings)) is not None:
        if time.monotonic() - logged_at > LOG_INTERVAL_S:
            logged_at = time.monotonic()
            log.warning("waiting for the event store", extra={"why": why})
        await asyncio.sleep(RETRY_S)


async def _schema_fault(settings: Settings) -> str | None:
    """Why there is nothing to work on yet; None where there is."""
    wanted = read_migrations()[-1]
    try:
        connection = await asyncpg.connect(settings.postgres_url, timeout=settings.postgres_connect_timeout_ms / 1000)
        try:
            found = await abandon_after(
                settings.postgres_connect_timeout_ms / 1000, connection.fetchval("select max(number) from migrations")
            )
        finally:
            connection.terminate()
    except (asyncpg.UndefinedTableError, asyncpg.InvalidCatalogNameError):
        found = None
    except TRANSIENT_ERRORS as error:
        return repr(error)
    if found is None or found < wanted.number:
        return f"expected migration {wanted.name}, found {found or 'none'}; run `taskflow migrate`"
    return None


async def migrate_and_print(settings: Settings) -> None:
    """`taskflow migrate`."""
    applied = await migrate(settings)
    log.info("the schema is up to date", extra={"applied": applied})
