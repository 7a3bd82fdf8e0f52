"""Schema changes: numbered SQL files, applied in order, each once, each in its own transaction.

A file that was applied is never edited: its checksum is on record and compared at every start.
Migrations must leave the release before them running (blue-green): add, fill, switch, and only a
release later drop.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from importlib import resources
from typing import TYPE_CHECKING, Final

import asyncpg

from taskflow.errors import StoreError
from taskflow.store import ranges
from taskflow.store.pool import AWAY, RETRY_S, abandon_after

if TYPE_CHECKING:
    from taskflow.settings import Settings

log = logging.getLogger(__name__)

TELL_S: Final = 10.0
_LOCK: Final = 7467
_TABLE: Final = """
create table if not exists migrations (
    number integer primary key, name text not null, checksum text not null,
    applied_at timestamptz not null default now()
)
"""


def _files() -> list[tuple[int, str, str]]:
    folder = resources.files("taskflow.store") / "migrations"
    files = sorted((entry.name, entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.split("_", 1)[0]), name, text) for name, text in files]


async def migrate(settings: Settings) -> list[str]:
    """Brings the schema to this release's; answers the names of the files applied now.

    Safe to run from many processes at once. Raises StoreError where an applied file was edited or the
    database is ahead of this release.
    """
    connection = await asyncpg.connect(settings.postgres_url)
    applied_now: list[str] = []
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        applied = {
            row["number"]: row for row in await connection.fetch("select number, name, checksum from migrations")
        }
        files = _files()
        unknown = sorted(set(applied) - {number for number, _, _ in files})
        if unknown:
            raise StoreError(f"the database has migration {unknown[-1]}, this release ends at {files[-1][0]}")
        for number, name, text in files:
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if number in applied:
                if applied[number]["checksum"] != checksum:
                    raise StoreError(f"migration {name} was edited after it had been applied")
                continue
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(
                    "insert into migrations (number, name, checksum) values ($1, $2, $3)", number, name, checksum
                )
            applied_now.append(name)
            log.info("migration applied", extra={"migration": name})
        await ranges.attach_ahead(connection, settings)
    finally:
        await connection.close()
    return applied_now


async def wait_for_schema(settings: Settings) -> None:
    """Returns once the schema is this release's or a later one's: a process that starts before its store, or
    before the migrations, is not a fault. Says every `TELL_S` that it waits."""
    told_at = float("-inf")
    while (why := await _schema_fault(settings)) is not None:
        if time.monotonic() - told_at > TELL_S:
            told_at = time.monotonic()
            log.warning("waiting for the event store", extra={"why": why})
        await asyncio.sleep(RETRY_S)


async def _schema_fault(settings: Settings) -> str | None:
    """Why there is nothing to work on yet; None where there is."""
    wanted = _files()[-1]
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
    except AWAY as error:
        return repr(error)
    if found is None or found < wanted[0]:
        return f"expected migration {wanted[1]}, found {found or 'none'}; run `taskflow migrate`"
    return None


async def migrate_and_tell(settings: Settings) -> None:
    """`taskflow migrate`."""
    applied = await migrate(settings)
    log.info("the schema is this release's", extra={"applied": applied})
