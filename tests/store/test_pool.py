"""A server that is away, and a statement that is wrong: the one is waited for, the other is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.eventstore import EventStore
from taskflow.store.pool import TRANSIENT_ERRORS, connect_writer, open_pool, wait_for_pool
from tests.commands.world import until


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[Any]:
    connection = await connect_writer(settings)
    yield connection
    connection.terminate()


async def raised_by(connection: Any, *statements: str) -> BaseException:
    with pytest.raises(Exception) as raised:
        for statement in statements:
            await connection.execute(statement)
    return raised.value


@pytest.mark.parametrize(
    "statement",
    [
        "select * from no_such_table",
        "select no_such_column from streams",
        "this is no SQL",
        "select 1 / 0",
        "select 'seven'::integer",
        "insert into log_head default values",
        "insert into keys (person) values (null)",
        "set role nobody_at_all",
        "select append_group_v1()",
    ],
)
async def test_a_wrong_statement_is_no_server_that_is_away(connection: Any, statement: str) -> None:
    error = await raised_by(connection, statement)
    assert isinstance(error, asyncpg.PostgresError)
    assert not isinstance(error, TRANSIENT_ERRORS)


async def test_a_value_that_cannot_be_written_down_is_no_server_that_is_away(connection: Any) -> None:
    for value in ("seven", 2**80, b"\x00"):
        with pytest.raises(Exception) as raised:
            await connection.fetchval("select $1::bigint", value)
        assert not isinstance(raised.value, TRANSIENT_ERRORS)


@pytest.mark.parametrize(
    "statements",
    [
        ("select pg_terminate_backend(pg_backend_pid())",),
        ("set statement_timeout = '10ms'", "select pg_sleep(60)"),
        ("begin", "set local transaction_timeout = '10ms'", "select pg_sleep(60)"),
        ("begin read only", "update log_head set position = position"),
        ("set transaction_read_only = on; update log_head set position = position",),
    ],
)
async def test_what_passes_is_waited_for(connection: Any, statements: tuple[str, ...]) -> None:
    assert isinstance(await raised_by(connection, *statements), TRANSIENT_ERRORS)


async def test_a_lock_that_is_not_had_in_time_passes(connection: Any, store: EventStore) -> None:
    async with store.pool.acquire() as other, other.transaction():
        await other.execute("lock table progress in access exclusive mode")
        error = await raised_by(connection, "set lock_timeout = '10ms'", "select * from progress")
        assert isinstance(error, TRANSIENT_ERRORS)


async def test_a_server_without_a_connection_to_spare_is_away(settings: Settings, connection: Any) -> None:
    role = f"crowded_{new_id().hex[:8]}"
    await connection.execute(f"create role {role} login password 'x' connection limit 0")
    try:
        rest = settings.postgres_url.rpartition("@")[2]
        with pytest.raises(TRANSIENT_ERRORS):
            await asyncpg.connect(f"postgresql://{role}:x@{rest}")
    finally:
        await connection.execute(f"drop role {role}")


async def test_a_worker_waits_for_a_server_that_starts_after_it(settings: Settings, server: Any) -> None:
    server("postgres").kill()
    waiting = asyncio.create_task(wait_for_pool(settings, "early"))
    with pytest.raises(TRANSIENT_ERRORS):
        await open_pool(settings)
    server("postgres").start()
    pool = await asyncio.wait_for(waiting, 30)
    assert await pool.fetchval("select 1") == 1
    pool.terminate()


async def test_a_worker_does_not_wait_for_a_database_that_is_not_there(settings: Settings) -> None:
    nowhere = settings.postgres_url.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await wait_for_pool(replace(settings, postgres_url=nowhere), "lost")


async def test_a_pool_heals_after_its_connections_were_cut(store: EventStore, connection: Any) -> None:
    await connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'test' "
        "and datname = current_database()"
    )

    async def heals() -> bool:
        try:
            answered: bool = await store.pool.fetchval("select true")
        except TRANSIENT_ERRORS:
            return False
        return answered

    await until(heals, "a pool with connections that work")
