"""The newest fold of long streams, so that deciding on them does not read their whole story."""

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
    """Reads and writes snapshots; personal fields are sealed with the same key as the events'."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], keyring: KeyRing) -> None:
        self._pool = pool
        self._keyring = keyring

    async def read(self, kind: StreamType[Any], stream_id: UUID, to: int) -> tuple[int, Any] | None:
        """(version, state) of the snapshot at or before version `to`, if there is one of today's shape."""
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
        """Keeps a committed state; an older one never replaces a newer."""
        if personal_fields(kind.state):
            person = getattr(state, kind.person_field) if kind.person_field else stream_id
            key = (await self._keyring.fetch([person])).get(person)
            if key is None:
                # Erased: what this process may still hold of the person is not written down again.
                stored = msgspec.json.encode(without_person(state))
            else:
                stored = seal_fields(state, key, _context(stream_id, version))
        else:
            stored = msgspec.json.encode(state)
        await self._pool.execute(_WRITE, stream_id, version, kind.state_version, stored)
