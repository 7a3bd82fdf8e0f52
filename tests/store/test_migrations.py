"""The schema: each migration once and as it was, by however many at once; development's last schema is taken over, a
database that is older, ahead or of edited migrations is left alone.

development_schema.zip holds the migrations of before the first one, as commit 2f86c3b has them: a clone without history
has no other source of them. That they are the right ones is checked against the checksums that the code knows.
"""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from msgspec.structs import replace

from taskflow.errors import StoreError
from taskflow.ids import new_id
from taskflow.settings import Settings
from taskflow.store.append import Receipt
from taskflow.store.eventstore import open_event_store
from taskflow.store.first_schema import DEVELOPMENT
from taskflow.store.history import History
from taskflow.store.migrate import migrate
from taskflow.store.migration_files import read_migrations
from tests.store.test_append import append, commit

FIRST = read_migrations()[0]
NAMES = [migration.name for migration in read_migrations()]


@pytest.fixture
async def empty(settings: Settings) -> AsyncIterator[Settings]:
    """A database without a schema."""
    name = f"empty_{uuid4().hex[:12]}"
    await execute(settings, f"create database {name}")
    yield replace(settings, postgres_url=f"{settings.postgres_url.rpartition('/')[0]}/{name}")
    await execute(settings, f"drop database {name} with (force)")


async def execute(settings: Settings, *statements: str) -> None:
    connection = await asyncpg.connect(settings.postgres_url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def development() -> dict[int, tuple[str, str]]:
    """Development's migrations: name and text by number."""
    with zipfile.ZipFile(Path(__file__).parent / "development_schema.zip") as archive:
        return {int(name[:4]): (name, archive.read(name).decode()) for name in sorted(archive.namelist())}


async def develop(settings: Settings, *, to: int = max(DEVELOPMENT)) -> None:
    """Migrates an empty database as commit 2f86c3b did, up to a migration."""
    connection = await asyncpg.connect(settings.postgres_url)
    await connection.execute(
        "create table migrations (number integer primary key, name text not null, checksum text not null,"
        " applied_at timestamptz not null default now())"
    )
    for number, (name, text) in development().items():
        if number <= to:
            await connection.execute(text)
            checksum = hashlib.sha256(text.encode()).hexdigest()
            await connection.execute("insert into migrations values ($1, $2, $3)", number, name, checksum)
    size = settings.events_range_size
    for first in range(3):
        await connection.fetchval("select add_events_range($1, $2)", first * size, (first + 1) * size)
    await connection.close()


CATALOGUE = {
    "relations": """
        select relname, relkind, reloptions, relacl::text, obj_description(c.oid, 'pg_class'), relispartition,
               pg_get_expr(relpartbound, c.oid)
        from pg_class c where relnamespace = 'public'::regnamespace""",
    "columns": """
        select relname, attname, attnum, format_type(atttypid, atttypmod), attnotnull, attacl::text,
               pg_get_expr(adbin, adrelid), col_description(c.oid, attnum)
        from pg_class c join pg_attribute on attrelid = c.oid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = 'public'::regnamespace""",
    "constraints": """
        select relname, conname, contype, convalidated, pg_get_constraintdef(k.oid)
        from pg_class c join pg_constraint k on conrelid = c.oid where relnamespace = 'public'::regnamespace""",
    "indexes": """
        select relname, indisvalid, indisready, pg_get_indexdef(indexrelid)
        from pg_class c join pg_index on indexrelid = c.oid where relnamespace = 'public'::regnamespace""",
    "triggers": """
        select relname, tgname, tgenabled, pg_get_triggerdef(t.oid) from pg_class c join pg_trigger t on tgrelid = c.oid
        where relnamespace = 'public'::regnamespace and not tgisinternal""",
    "functions": """
        select proname, prosrc, pg_get_functiondef(oid), proacl::text, obj_description(oid, 'pg_proc')
        from pg_proc where pronamespace = 'public'::regnamespace""",
    "types": "select typname, typtype, typacl::text from pg_type where typnamespace = 'public'::regnamespace",
}


async def catalogue(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """What PostgreSQL knows of the schema, without what identifies one database."""
    connection = await asyncpg.connect(settings.postgres_url)
    found = {name: sorted(map(tuple, await connection.fetch(query)), key=repr) for name, query in CATALOGUE.items()}
    await connection.close()
    assert all(found.values())
    return found


async def test_of_many_that_migrate_at_once_one_applies_each_migration(empty: Settings) -> None:
    applied = await asyncio.gather(*[migrate(empty) for _ in range(4)])
    assert [name for one in applied for name in one] == NAMES
    assert await migrate(empty) == []


async def test_a_migration_that_was_edited_after_it_was_applied_is_refused(settings: Settings) -> None:
    await execute(settings, f"update migrations set checksum = 'another' where number = {FIRST.number}")
    with pytest.raises(StoreError, match=f"migration {FIRST.name} was edited after it had been applied"):
        await migrate(settings)


async def test_a_database_ahead_of_the_release_is_refused(settings: Settings) -> None:
    await execute(settings, "insert into migrations (number, name, checksum) values (9999, '9999_later', '')")
    with pytest.raises(StoreError, match="the database has migration 9999, this release ends at"):
        await migrate(settings)


async def test_developments_last_schema_becomes_the_one_that_a_fresh_database_gets(
    empty: Settings, settings: Settings
) -> None:
    assert {
        number: hashlib.sha256(text.encode()).hexdigest() for number, (_, text) in development().items()
    } == DEVELOPMENT
    await develop(empty)
    applied = await asyncio.gather(migrate(empty), migrate(empty))
    assert [name for one in applied for name in one] == NAMES
    adopted, fresh = await catalogue(empty), await catalogue(settings)
    for what, rows in fresh.items():
        assert adopted[what] == rows, what


async def test_what_development_stored_is_there_and_goes_on(empty: Settings) -> None:
    await develop(empty)
    task, project = new_id(), new_id()
    stored = (
        "insert into events select 1, 1, $1, 1, 7, 'TaskRetitled', 1, $1, now(), now(), null, $1, null, null, '{}'",
        "insert into streams select $1, 'task', 1, 1, 1, now(), $2",
        "insert into receipts select '00000000-0000-0000-0000-000000000000', $1, 'same', 1, $1, 1, 1, 1, now()",
        "insert into keys select $1, 'wrapped'",
        "update log_head set position = 1, recorded_at = now()",
    )
    connection = await asyncpg.connect(empty.postgres_url)
    for statement in stored:
        given = [one for name, one in (("$1", task), ("$2", project)) if name in statement]
        await connection.execute(statement, *given)
    log_id = await connection.fetchval("select log_id from log_meta")
    await migrate(empty)
    assert await connection.fetchval("select log_id from log_meta") == log_id
    await connection.close()
    async with open_event_store(empty, "test") as store:
        repeated, changed = await commit(store, append((task, 0), command_id=task), append((task, 1)))
        assert isinstance(repeated, Receipt) and repeated.replayed
        assert isinstance(changed, Receipt) and (changed.version, changed.position) == (2, 2)
        assert [one.stream_version for one in await store.log.stream(task)] == [1, 2]
        assert await History(store.pool).projects_of([task]) == {task: project}


async def test_an_older_database_is_refused_with_the_commit_that_lifts_it(empty: Settings) -> None:
    await develop(empty, to=8)
    before = await catalogue(empty)
    with pytest.raises(
        StoreError, match=r"at migration 0008 of development.*`taskflow migrate` of commit 2f86c3b first"
    ):
        await migrate(empty)
    after = await catalogue(empty)
    assert before["functions"] == after["functions"]
    assert before["columns"] == [row for row in after["columns"] if not row[0].startswith("migration_steps")]


async def test_an_edited_schema_of_development_is_refused(empty: Settings) -> None:
    await develop(empty)
    await execute(empty, "update migrations set checksum = 'another' where number = 5")
    with pytest.raises(StoreError, match=r"migration 0005_destroyed_keys\.sql was edited"):
        await migrate(empty)
