"""The schema: each file once and as it was, by however many at once; a database ahead of the release is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from msgspec.structs import replace

from taskflow.errors import StoreError
from taskflow.settings import Settings
from taskflow.store.migrate import migrate


@pytest.fixture
async def empty(settings: Settings) -> AsyncIterator[Settings]:
    """A database without a schema."""
    name = f"empty_{uuid4().hex[:12]}"
    await execute(settings, f"create database {name}")
    yield replace(settings, postgres_url=f"{settings.postgres_url.rpartition('/')[0]}/{name}")
    await execute(settings, f"drop database {name} with (force)")


async def execute(settings: Settings, statement: str) -> None:
    connection = await asyncpg.connect(settings.postgres_url)
    await connection.execute(statement)
    await connection.close()


async def test_of_many_that_migrate_at_once_one_applies_each_file(empty: Settings) -> None:
    applied = await asyncio.gather(*[migrate(empty) for _ in range(4)])
    names = [name for one in applied for name in one]
    assert names == sorted(set(names))
    assert names[0] == "0001_log.sql"
    assert await migrate(empty) == []


async def test_a_file_that_was_edited_after_it_was_applied_is_refused(settings: Settings) -> None:
    await execute(settings, "update migrations set checksum = 'another' where number = 2")
    with pytest.raises(StoreError, match=r"migration 0002_\w+\.sql was edited after it had been applied"):
        await migrate(settings)


async def test_a_database_ahead_of_the_release_is_refused(settings: Settings) -> None:
    await execute(settings, "insert into migrations (number, name, checksum) values (9999, '9999_later.sql', '')")
    with pytest.raises(StoreError, match="the database has migration 9999, this release ends at"):
        await migrate(settings)
