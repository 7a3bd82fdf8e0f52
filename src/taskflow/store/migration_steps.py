"""Applies the steps of a migration while other processes go on appending and reading.

transaction: all statements in one transaction. For what takes locks briefly: columns, tables, functions.

batches: one statement, called again and again, each call in a transaction of its own. It takes `$1`, a text that says
where the previous call ended (null at first), and `$2`, how many rows to look at; it returns that text for the next call,
null at the end. The text is saved in the call's own transaction, so after a kill -9 the step goes on where it was and no
batch is applied twice. It never takes the append lock.

concurrent index: one `create index name on table …`, which is built without blocking writers. Of a partitioned table each
partition's index is built by itself and attached. What a killed build left half-done is dropped and built again.

No step waits for a lock longer than `LOCK_TIMEOUT_MS`, since everybody else queues behind it meanwhile, the append path
too: it gives up and tries again. That is shorter than PostgreSQL's `deadlock_timeout`, so where a batch and an append lock
rows in opposite order, the batch gives way.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from taskflow.errors import StoreError
from taskflow.store.migration_files import Migration, Step, StepKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_ROWS: Final = 500
LOCK_TIMEOUT_MS: Final = 100
LOCK_PAUSE_S: Final = 0.5
LOCK_ATTEMPTS_MAX: Final = 600
IDENTIFIER_BYTES_MAX: Final = 63
"""PostgreSQL's own bound for a name; it cuts off the rest."""

_INDEX: Final = re.compile(r"create (unique )?index (\w+) on (\w+)\s+(.+?);?", re.IGNORECASE | re.DOTALL)

STEPS_TABLE: Final = """
create table if not exists migration_steps (
    number integer not null, step text not null, checksum text not null, next text, finished boolean not null,
    primary key (number, step)
)
"""
"""Steps of migrations that are not complete yet; `next` is where the next batch begins."""
_SAVE: Final = """
insert into migration_steps (number, step, checksum, next, finished) values ($1, $2, $3, $4, $5)
on conflict (number, step) do update set next = excluded.next, finished = excluded.finished
"""
_PARTITIONS_WITHOUT: Final = """
select t.inhrelid::regclass::text from pg_inherits t
where t.inhparent = $1::text::regclass and not exists (
    select 1 from pg_inherits i join pg_index x on x.indexrelid = i.inhrelid
    where i.inhparent = $2::text::regclass and x.indrelid = t.inhrelid)
order by 1
"""


async def apply_steps(connection: Any, migration: Migration) -> None:
    """Applies the steps that are not applied yet, in order. Raises StoreError where the migration was edited meanwhile."""
    found = await connection.fetch(
        "select step, checksum, next, finished from migration_steps where number = $1", migration.number
    )
    if any(row["checksum"] != migration.checksum for row in found):
        raise StoreError(f"migration {migration.name} was edited after its first steps had been applied")
    applied = {row["step"]: row for row in found}
    for step in migration.steps:
        begun = applied.get(step.name)
        if begun is not None and begun["finished"]:
            continue
        match step.kind:
            case StepKind.TRANSACTION:
                await _apply_transaction(connection, migration, step)
            case StepKind.BATCHES:
                await _apply_batches(connection, migration, step, None if begun is None else begun["next"])
            case StepKind.CONCURRENT_INDEX:
                await _build_index(connection, step)
                await _save(connection, migration, step)
        log.info("migration step applied", extra={"migration": migration.name, "step": step.name})


async def in_transaction(connection: Any, name: str, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, within a transaction that is tried again where it does not get a lock in time."""
    for _ in range(LOCK_ATTEMPTS_MAX):
        try:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
                return await work()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            reason = error
            log.info("a migration step waits for locks", extra={"step": name, "error": str(error)})
        await asyncio.sleep(LOCK_PAUSE_S)
    raise StoreError(
        f"{name} did not get its locks in {LOCK_ATTEMPTS_MAX} attempts ({reason}); end what holds them for long "
        "(pg_stat_activity), then run `taskflow migrate` again: it goes on where it was"
    )


async def _apply_transaction(connection: Any, migration: Migration, step: Step) -> None:
    async def work() -> None:
        await connection.execute(step.sql)
        await _save(connection, migration, step)

    await in_transaction(connection, f"step {step.name} of {migration.name}", work)


async def _apply_batches(connection: Any, migration: Migration, step: Step, begin: str | None) -> None:
    async def batch() -> str | None:
        following: str | None = await connection.fetchval(step.sql, begin, BATCH_ROWS)
        await _save(connection, migration, step, following=following, finished=following is None)
        return following

    while True:
        started = time.monotonic()
        begin = await in_transaction(connection, f"step {step.name} of {migration.name}", batch)
        if begin is None:
            return
        # Half of the time is everybody else's.
        await asyncio.sleep(time.monotonic() - started)


async def _save(
    connection: Any, migration: Migration, step: Step, *, following: str | None = None, finished: bool = True
) -> None:
    await connection.execute(_SAVE, migration.number, step.name, migration.checksum, following, finished)


async def _build_index(connection: Any, step: Step) -> None:
    match = _INDEX.fullmatch(step.sql)
    if match is None or match[2] != step.name:
        raise StoreError(f"step {step.name} is not one statement `create index {step.name} on table …`")
    unique, name, table, rest = match[1] or "", match[2], match[3], match[4]
    if await connection.fetchval("select relkind = 'p' from pg_class where oid = $1::text::regclass", table):
        await _build_partitioned(connection, unique, name, table, rest)
    else:
        await _build_concurrently(connection, unique, name, table, rest)
    if not await connection.fetchval("select indisvalid from pg_index where indexrelid = $1::text::regclass", name):
        raise StoreError(f"index {name} was built and is not valid; drop it and run `taskflow migrate` again")


async def _build_partitioned(connection: Any, unique: str, name: str, table: str, rest: str) -> None:
    """Partitions that others attach from the first statement on get the index with that."""
    await in_transaction(
        connection,
        f"index {name}",
        partial(connection.execute, f"create {unique}index if not exists {name} on only {table} {rest}"),
    )
    for (partition,) in await connection.fetch(_PARTITIONS_WITHOUT, table, name):
        own = f"{partition}_{name}"
        if len(own) > IDENTIFIER_BYTES_MAX:
            raise StoreError(f"the name {own} of an index is longer than {IDENTIFIER_BYTES_MAX} bytes")
        await _build_concurrently(connection, unique, own, partition, rest)
        await in_transaction(
            connection,
            f"index {own}",
            partial(connection.execute, f"alter index {name} attach partition {own}"),
        )


async def _build_concurrently(connection: Any, unique: str, name: str, table: str, rest: str) -> None:
    valid = await connection.fetchval("select indisvalid from pg_index where indexrelid = to_regclass($1)", name)
    if valid:
        return
    if valid is not None:
        await connection.execute(f"drop index concurrently {name}")
    await connection.execute(f"create {unique}index concurrently {name} on {table} {rest}")
