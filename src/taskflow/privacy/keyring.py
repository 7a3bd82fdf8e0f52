"""The keys of persons and invitations: wrapped by the master key in PostgreSQL, unwrapped in memory for a bounded time.

A destroyed key leaves a row without a key, which tells an erasure from a lost key.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from uuid import UUID

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from taskflow.errors import KeyMissing, StoreError
from taskflow.privacy.sealing import new_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

_FETCH: Final = "select person, wrapped_key from keys where person = any($1::uuid[])"


class KeyRing:
    """A cache of keys by person. A key leaves memory `ttl_s` after it was read, so that an erasure takes effect in every
    process."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], master_key: bytes, *, ttl_s: float, keys_max: int) -> None:
        self._pool = pool
        self._master_key = master_key
        self._ttl_s = ttl_s
        self._keys_max = keys_max
        self._keys: OrderedDict[UUID, tuple[float, bytes]] = OrderedDict()

    def make(self) -> tuple[bytes, bytes]:
        """A new key and its wrapped form. It is stored by the append that creates the person or the invitation."""
        key = new_key()
        return key, aes_key_wrap(self._master_key, key)

    def remember(self, person: UUID, key: bytes) -> None:
        self._keys[person] = (time.monotonic() + self._ttl_s, key)
        self._keys.move_to_end(person)
        while len(self._keys) > self._keys_max:
            self._keys.popitem(last=False)

    def _expire(self, now: float) -> None:
        # Keys are ordered by the time they were read, and therefore by the time they expire.
        while self._keys and next(iter(self._keys.values()))[0] <= now:
            self._keys.popitem(last=False)

    def forget(self, person: UUID) -> None:
        self._keys.pop(person, None)

    async def fetch(self, persons: Iterable[UUID]) -> dict[UUID, bytes]:
        """The keys of these persons, without destroyed ones; one round trip for all that are not in memory.

        Raises KeyMissing if the store has no row for a key: that is damage and not an erasure.
        """
        now = time.monotonic()
        self._expire(now)
        found: dict[UUID, bytes] = {}
        missing: list[UUID] = []
        for person in set(persons):
            held = self._keys.get(person)
            if held is not None:
                found[person] = held[1]
            else:
                missing.append(person)
        if not missing:
            return found
        destroyed: set[UUID] = set()
        for row in await self._pool.fetch(_FETCH, missing):
            person = UUID(int=row[0].int)
            if row[1] is None:
                destroyed.add(person)
                continue
            try:
                key = aes_key_unwrap(self._master_key, row[1])
            except InvalidUnwrap:
                raise StoreError(
                    f"the key of person {person} cannot be decrypted: TASKFLOW_MASTER_KEY is not the "
                    "key that this log was written with"
                ) from None
            self.remember(person, key)
            found[person] = key
        lost = [person for person in missing if person not in found and person not in destroyed]
        if lost:
            raise KeyMissing(f"no key for person {lost[0]} ({len(lost)} in all) and no erasure on record")
        return found
