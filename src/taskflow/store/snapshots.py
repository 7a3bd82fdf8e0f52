"""Snapshots: the newest state of each long stream, so that a decision does not read all its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from taskflow.privacy.sealing import open_fields, personal_fields, seal_fields, without_person

if TYPE_CHECKING:
    import asyncpg

    from taskflow.privacy.keyring import KeyRing
    from taskflow.streams import StreamType

_READ: Final = "select version, state from snapshots where stream_id = $1 and state_version = $2 and version <= $3"
_WRITE: Final = """
insert into snapshots as s (stream_id, version, state_version, state) values ($1, $2, $3, $4)
on conflict (stream_id) do update
   set version = excluded.version, state_version = excluded.state_version, state = excluded.state
 where s.version < excluded.version or s.state_version < excluded.state_version
"""


def _context(stream_id: UUID, version: int) -> bytes:
    return stream_id.bytes + version.to_bytes(8, "big")


class Snapshots:
    """Reads and writes snapshots; personal fields are encrypted with the same key as in events."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], keyring: KeyRing) -> None:
        self._pool = pool
        self._keyring = keyring

    async def read(self, kind: StreamType[Any], stream_id: UUID, to: int) -> tuple[int, Any] | None:
        """(version, state) of the snapshot at or before version `to`; None if there is none, or only one of another
        `state_version`."""
        row = await self._pool.fetchrow(_READ, stream_id, kind.state_version, to)
        if row is None:
            return None
        plain: dict[str, Any] = msgspec.json.decode(row["state"])
        if personal_fields(kind.state):
            person = UUID(plain[kind.person_field]) if kind.person_field else stream_id
            keys = await self._keyring.fetch([person])
            open_fields(kind.state, plain, keys.get(person), _context(stream_id, row["version"]))
        return row["version"], msgspec.convert(plain, kind.state)

    async def write(self, kind: StreamType[Any], stream_id: UUID, version: int, state: Any) -> None:
        """Stores a committed state, unless the stored one is newer."""
        if personal_fields(kind.state):
            person = getattr(state, kind.person_field) if kind.person_field else stream_id
            key = (await self._keyring.fetch([person])).get(person)
            if key is None:
                # The person is erased: personal fields that this process still has in memory are not stored again.
                stored = msgspec.json.encode(without_person(state))
            else:
                stored = seal_fields(state, key, _context(stream_id, version))
        else:
            stored = msgspec.json.encode(state)
        await self._pool.execute(_WRITE, stream_id, version, kind.state_version, stored)
