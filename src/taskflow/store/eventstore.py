"""The event store of a process: opened once, shared by all its tasks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID
from weakref import WeakSet

from msgspec import Struct

from taskflow.privacy.keyring import KeyRing
from taskflow.store.append import Receipt, receipt
from taskflow.store.committer import Committer
from taskflow.store.headers import Headers
from taskflow.store.log import Log
from taskflow.store.mapper import Mapper
from taskflow.store.pool import open_pool
from taskflow.store.snapshots import Snapshots
from taskflow.store.state_cache import StateCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Sequence

    import asyncpg

    from taskflow.settings import Settings

# The receipts, and whether a stream has another version than the checks say: one statement, so all of one snapshot.
_RECHECK: Final = """
select r.command_id, r.fingerprint, r.outcome, r.stream_id, r.version, r.position, r.events, r.recorded_at,
       exists (select 1 from unnest($3::uuid[], $4::integer[]) as c (stream_id, version)
               left join streams s on s.stream_id = c.stream_id
               where coalesce(s.version, 0) <> c.version) as moved
from unnest($1::uuid[], $2::uuid[]) as named (caller, command_id)
left join lateral (select * from receipts where caller = named.caller and command_id = named.command_id limit 1) r on true
"""

_ACCEPTED: Final = """
select command_id, fingerprint, stream_id from receipts where caller = $1 and command_id = any($2::uuid[])
"""

# Looked up one by one in the index: a join of sets would be planned as a scan of the whole table.
_RECEIPTS: Final = """
select r.command_id, r.fingerprint, r.outcome, r.stream_id, r.version, r.position, r.events, r.recorded_at
from unnest($1::uuid[], $2::uuid[]) as named (caller, command_id)
cross join lateral (select * from receipts where caller = named.caller and command_id = named.command_id limit 1) r
"""

_CHILDREN: Final = "select stream_id from streams where parent = any($1::uuid[]) limit $2"

_STREAMS_OF: Final = """
select e.stream_id
from receipts r join events e on e.position > r.position - r.events and e.position <= r.position
where r.caller = $1 and r.command_id = $2 and e.command_id = r.command_id and e.type = $3
order by e.position
"""


CommandKey = tuple[UUID, UUID]
"""(caller, command id): what a receipt is found by."""


class Recheck(Struct, frozen=True):
    """Whether what decisions have read still stands, and which of their commands were accepted before, by their ids."""

    receipts: dict[UUID, Receipt]
    moved: bool


class EventStore(Struct, frozen=True, eq=False):
    """Access to the store, for reading and appending. Made by `open_event_store`."""

    pool: asyncpg.Pool[asyncpg.Record]
    log: Log
    keyring: KeyRing
    mapper: Mapper
    state_cache: StateCache
    headers: Headers
    committer: Committer
    connections: WeakSet[asyncpg.Connection[asyncpg.Record]]
    """The pool's connections, while they are open."""

    def give_up(self) -> None:
        """Ends the pool's connections when the server hangs, so that whoever waits for an answer gets an error at once.

        The driver alone would wait `postgres_command_timeout_ms` for the answer, and then as long again for the server to
        confirm that it stopped working on it.
        """
        for connection in list(self.connections):
            if not connection.is_closed():
                connection.terminate()

    async def recheck(self, commands: Sequence[CommandKey], checks: Iterable[tuple[UUID, str, int]]) -> Recheck:
        """Looks up the receipts of one or more commands and compares versions, in one round trip and without a lock.

        A refusal, and an answer from a receipt, are given only after this confirmed what the decision had read.
        """
        named = list(checks)
        rows = await self.pool.fetch(
            _RECHECK,
            [caller for caller, _ in commands],
            [command_id for _, command_id in commands],
            [check[0] for check in named],
            [check[2] for check in named],
        )
        return Recheck(_by_command(row for row in rows if row["fingerprint"] is not None), rows[0]["moved"])

    async def accepted(self, caller: UUID, command_ids: Iterable[UUID]) -> dict[UUID, tuple[bytes, UUID]]:
        """Which of a caller's commands were accepted before: (fingerprint, result stream) by command id.

        One round trip for many. A command that is not in the answer may be accepted at any moment.
        """
        rows = await self.pool.fetch(_ACCEPTED, caller, list(command_ids))
        return {UUID(int=row[0].int): (row[1], UUID(int=row[2].int)) for row in rows}

    async def receipts(self, commands: Sequence[CommandKey]) -> dict[UUID, Receipt]:
        """The receipts of those of these commands that were accepted before, by command id."""
        rows = await self.pool.fetch(
            _RECEIPTS, [caller for caller, _ in commands], [command_id for _, command_id in commands]
        )
        return _by_command(rows)

    async def children(self, parents: Collection[UUID], *, limit: int) -> list[UUID]:
        """The children of these tasks (without their own children), at most `limit` of them."""
        rows = await self.pool.fetch(_CHILDREN, list(parents), limit)
        return [UUID(int=row[0].int) for row in rows]

    async def streams_of(self, caller: UUID, command_id: UUID, type_: str) -> list[UUID]:
        """The streams to which an accepted command appended an event of this type, in the order of the events."""
        return [UUID(int=row[0].int) for row in await self.pool.fetch(_STREAMS_OF, caller, command_id, type_)]


def _by_command(rows: Iterable[asyncpg.Record]) -> dict[UUID, Receipt]:
    return {UUID(int=row["command_id"].int): receipt(row, replayed=True, own=False) for row in rows}


@asynccontextmanager
async def open_event_store(settings: Settings, name: str) -> AsyncIterator[EventStore]:
    """Connects, reads the log's epoch and starts the committer; on closing, commits what is queued."""
    connections: WeakSet[asyncpg.Connection[asyncpg.Record]] = WeakSet()
    pool = await open_pool(settings, name, connections)
    try:
        log = Log(pool)
        head = await log.head()
        keyring = KeyRing(
            pool, settings.master_key_bytes, ttl_s=settings.person_key_ttl_s, keys_max=settings.person_keys_max
        )
        mapper = Mapper(keyring)
        state_cache = StateCache(
            log,
            mapper,
            Snapshots(pool, keyring),
            bytes_max=settings.state_cache_bytes_max,
            snapshot_every=settings.snapshot_every_events,
        )
        async with Committer(settings, head.epoch) as committer:
            yield EventStore(pool, log, keyring, mapper, state_cache, Headers(log), committer, connections)
    finally:
        pool.terminate()
