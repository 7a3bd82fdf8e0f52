"""Later migrations: columns, batches and indexes while others append, resumed after kill -9, giving way to appends."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from taskflow.errors import StoreError
from taskflow.ids import new_id
from taskflow.store import migration_steps
from taskflow.store.append import Receipt
from taskflow.store.migrate import migrate
from taskflow.store.migration_files import MIGRATIONS
from taskflow.store.migration_steps import BATCH_ROWS
from tests.store.test_append import append, commit

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

STREAMS = 6 * BATCH_ROWS + 1
LATER = """
-- Counts how often each stream was filled in: once is right.

-- step add_filled (transaction)
alter table streams add column filled integer;
create table batches (rows integer);

-- step fill_filled (batches)
with batch as (
    select stream_id from streams where stream_id > coalesce($1::text, '00000000-0000-0000-0000-000000000000')::uuid
    order by stream_id limit $2::integer
), filled as (
    update streams s set filled = coalesce(s.filled, 0) + 1 from batch b where s.stream_id = b.stream_id
), noted as (
    insert into batches select count(*) from batch
)
select max(stream_id::text) from batch;

-- step events_command (concurrent index)
create index events_command on events (command_id) where actor is null;

-- step streams_filled (concurrent index)
create unique index streams_filled on streams (filled, stream_id);
"""


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """This release's migrations and one more."""
    folder = tmp_path / "migrations"
    shutil.copytree(str(MIGRATIONS), folder)
    (folder / "9000_later.sql").write_text(LATER)
    return folder


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(settings.postgres_url)
    yield connection
    await connection.close()


async def fill(store: EventStore) -> list[UUID]:
    """A log with streams for several batches."""
    streams = sorted(new_id() for _ in range(STREAMS))
    for first in range(0, STREAMS, BATCH_ROWS):
        await commit(store, append(*[(stream, 0) for stream in streams[first : first + BATCH_ROWS]]))
    return streams


@asynccontextmanager
async def writers(store: EventStore, streams: list[UUID]) -> AsyncIterator[list[int]]:
    """Appends all the while, to old streams in descending order, against that of batches, and to new ones; counts the
    appends. None may fail."""
    stop = asyncio.Event()
    appended = [0]
    versions = dict.fromkeys(streams, 1)

    async def write(hot: list[UUID]) -> None:
        while not stop.is_set():
            writes = [(stream, versions[stream]) for stream in hot]
            (outcome,) = await commit(store, append(*writes, (new_id(), 0)))
            assert isinstance(outcome, Receipt)
            for stream in hot:
                versions[stream] += 1
            appended[0] += 1

    tasks = [asyncio.create_task(write(sorted(streams[n :: len(streams) // 20], reverse=True))) for n in range(2)]
    yield appended
    stop.set()
    await asyncio.gather(*tasks)


async def until(condition: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def migrating(settings: Settings, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that migrates."""
    code = (
        "import asyncio, pathlib, sys; from msgspec.structs import replace; from taskflow.settings import Settings;"
        "from taskflow.store.migrate import migrate;"
        "asyncio.run(migrate(replace(Settings(), postgres_url=sys.argv[1]), pathlib.Path(sys.argv[2])))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, settings.postgres_url, str(folder))
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def kill(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


async def assert_applied(connection: asyncpg.Connection[Any], streams: list[UUID]) -> None:
    filled = await connection.fetch(
        "select filled, count(*) from streams where stream_id = any($1::uuid[]) group by filled", streams
    )
    assert [tuple(row) for row in filled] == [(1, STREAMS)]
    assert max(row[0] for row in await connection.fetch("select rows from batches")) == BATCH_ROWS
    invalid = await connection.fetch("select indexrelid::regclass from pg_index where not indisvalid or not indisready")
    assert invalid == []
    children = "select count(*) from pg_inherits where inhparent = $1::text::regclass"
    partitions = await connection.fetchval(children, "events")
    assert await connection.fetchval(children, "events_command") == partitions > 0
    assert await connection.fetchval("select count(*) from migration_steps") == 0
    assert await connection.fetchval("select name from migrations where number = 9000") == "9000_later"


async def test_it_is_applied_while_others_append(
    settings: Settings, store: EventStore, connection: asyncpg.Connection[Any], later: Path
) -> None:
    streams = await fill(store)
    async with writers(store, streams) as appended:
        before = appended[0]
        assert await migrate(settings, later) == ["9000_later"]
        assert appended[0] > before
    await assert_applied(connection, streams)
    assert await migrate(settings, later) == []


async def test_a_batch_step_that_was_killed_goes_on_where_it_was(
    settings: Settings, store: EventStore, connection: asyncpg.Connection[Any], later: Path
) -> None:
    streams = await fill(store)
    begun = "select next from migration_steps where step = 'fill_filled'"
    async with migrating(settings, later) as process:
        await until(lambda: connection.fetchval("select to_regclass('migration_steps') is not null"))
        await until(lambda: connection.fetchval(begun))
        await kill(process)
    reached = await connection.fetchval(begun)
    filled = await connection.fetchval("select count(*) from streams where filled = 1")
    assert 0 < filled < STREAMS
    assert filled == await connection.fetchval(
        "select count(*) from streams where stream_id <= $1::text::uuid", reached
    )
    async with writers(store, streams):
        assert await migrate(settings, later) == ["9000_later"]
    await assert_applied(connection, streams)


async def test_an_index_whose_build_was_killed_is_built_again(
    settings: Settings, store: EventStore, connection: asyncpg.Connection[Any], later: Path
) -> None:
    streams = await fill(store)
    half = "select count(*) from pg_index where indexrelid::regclass::text ~ '^events_0.*_events_command$' and not indisvalid"
    holder = await asyncpg.connect(settings.postgres_url)
    # A transaction that may have written to the first partition: the build waits for its end.
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("lock table events_0000000000000000 in row exclusive mode")
    async with migrating(settings, later) as process:
        await until(lambda: connection.fetchval(half))
        await kill(process)
    # The server notices, and ends what it did for the killed process.
    await until(
        lambda: connection.fetchval(
            "select count(*) = 0 from pg_stat_activity where application_name = 'taskflow migrate'"
            " and datname = current_database()"
        )
    )
    await transaction.rollback()
    await holder.close()
    assert await connection.fetchval(half) == 1
    async with writers(store, streams):
        assert await migrate(settings, later) == ["9000_later"]
    await assert_applied(connection, streams)


async def test_it_gives_way_to_whoever_holds_a_lock_and_says_so_at_last(
    settings: Settings, store: EventStore, later: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_steps, "LOCK_ATTEMPTS_MAX", 2)
    stream = new_id()
    await commit(store, append((stream, 0)))
    holder = await asyncpg.connect(settings.postgres_url)
    async with holder.transaction():
        await holder.execute("lock table streams in access share mode")
        with pytest.raises(StoreError, match=r"step add_filled of 9000_later did not get its locks in 2 attempts"):
            await migrate(settings, later)
        # Nobody waits behind it.
        (outcome,) = await commit(store, append((stream, 1)))
        assert isinstance(outcome, Receipt)
    await holder.close()
    assert await migrate(settings, later) == ["9000_later"]


async def test_a_migration_that_was_edited_under_way_is_refused(settings: Settings, later: Path) -> None:
    file = later / "9000_later.sql"
    file.write_text(f"{LATER}\n-- step wrong (transaction)\nselect no_such_column from streams;\n")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await migrate(settings, later)
    file.write_text(LATER)
    with pytest.raises(StoreError, match="9000_later was edited after its first steps had been applied"):
        await migrate(settings, later)
