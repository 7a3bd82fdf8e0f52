"""Names of people for joins: from Redis, else from the projection of users.

The cache entry `user:<id>` is the person's state as in the projection. A person whom the projection does not have yet
is read from the event store, so that no name is missing because the projection lags or is down.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.api.committed_state import committed, committed_many
from taskflow.errors import Unavailable
from taskflow.lru import LruCache
from taskflow.projections.declarations.users import redact
from taskflow.store.pool import TRANSIENT_ERRORS, abandon_after
from taskflow.streams import STATE_BYTES, USER
from taskflow.streams.user import UserState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taskflow.cache.cache import Cache
    from taskflow.follower.follower import Follower
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.queries import Views
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

VIEW: Final = "users"
POSITION_AGE_S_MAX: Final = 2.0
"""How old the projection's position may be that cached entries are compared with. It bounds the effect of a lost
invalidation to seconds, and lets the position that a read reports advance."""

NAMES_TIMEOUT_S: Final = 1.0
"""How long the answer to a write waits for people's names, and once more for their last known names."""

log = logging.getLogger(__name__)

_decoder: Final = msgspec.json.Decoder(UserState)
_encode: Final = msgspec.json.Encoder().encode


def _decode(body: bytes) -> UserState | None:
    """The state in a cache entry; None for an entry of another release, whose states have another shape."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None


class CachedUser(Struct, frozen=True):
    """A person in this process's memory, to save a request to Redis; valid as long as its stamp is fresh enough, like a
    cache entry."""

    stamp: int
    state: UserState


class UserDirectory:
    """Looks up people for one API process's answers."""

    def __init__(
        self,
        *,
        store: EventStore,
        follower: Follower,
        views: Views,
        freshness: Freshness,
        cache: Cache,
        settings: Settings,
    ) -> None:
        self._store = store
        self._follower = follower
        self._views = views
        self._freshness = freshness
        self._cache = cache
        self._ttl_s = settings.user_cache_ttl_s
        self._mark = self._next_mark = 0
        self._marked_at = float("-inf")
        self._held: LruCache[UUID, CachedUser] = LruCache(settings.user_cache_bytes_max)

    async def get(
        self, ids: Collection[UUID], *, at_least: int = 0, timeout_s: float = 0
    ) -> tuple[dict[UUID, UserState], int | None]:
        """The people that exist, each as of `at_least` or later, and the position that all of them are as fresh as
        (None if `ids` is empty). Raises Behind after `timeout_s`."""
        if not ids:
            return {}, None

        async def load(keys: Sequence[str]) -> tuple[int, dict[str, bytes]]:
            wanted = [UUID(key.removeprefix("user:")) for key in keys]
            drawn = {self._freshness.partition_of(user_id) for user_id in wanted}
            try:
                if at_least:
                    await self._freshness.wait([VIEW], at_least, timeout_s=timeout_s, partitions=drawn)
                stamp = self._freshness.position([VIEW], drawn)
                found = await self._views.users(wanted)
                stamp = await self._freshness.confirmed(stamp, [VIEW], drawn)
            except Unavailable:
                return 0, {}
            return stamp, {f"user:{user_id}": _encode(state) for user_id, state in found.items()}

        wanted = max(at_least, self._recent())
        needed = {user_id: self._needed(user_id, wanted) for user_id in ids}
        recent_positions = self._follower.recent_positions
        position = recent_positions.head
        held = {user_id: one for user_id in ids if (one := self._held.get(user_id)) and one.stamp >= needed[user_id]}
        missing = [user_id for user_id in ids if user_id not in held]
        if missing:
            entries = await self._cache.get_many(
                [f"user:{user_id}" for user_id in missing],
                at_least=max(needed[user_id] for user_id in missing),
                ttl_s=self._ttl_s,
                load=load,
            )
            for user_id in missing:
                entry = entries.get(f"user:{user_id}")
                state = None if entry is None else _decode(entry.body)
                if entry is not None and state is not None:
                    held[user_id] = CachedUser(entry.stamp, state)
                    self._held.put(user_id, held[user_id], STATE_BYTES + len(entry.body))
        people: dict[UUID, UserState] = {}
        for user_id in ids:
            if user_id in held:
                people[user_id] = held[user_id].state
                position = min(
                    position,
                    recent_positions.fresh_up_to(USER.name, self._freshness.partition_of(user_id), held[user_id].stamp),
                )
                continue
            stored = await committed(self._store, USER, user_id)
            if stored is not None:
                people[user_id] = redact(stored)
        return people, position

    async def names(
        self, ids: Collection[UUID], *, at_least: int = 0, timeout_s: float = 0
    ) -> tuple[dict[UUID, str | None], int | None]:
        """As `get`, the names only."""
        people, position = await self.get(ids, at_least=at_least, timeout_s=timeout_s)
        return {user_id: state.name for user_id, state in people.items()}, position

    async def stored_names(self, ids: Collection[UUID]) -> dict[UUID, str | None]:
        """Names in the event store now, for the answer to a write. If they cannot be read in time, the names that this
        process or the projection last knew, else None: a stored write is acknowledged all the same."""
        try:
            states = await committed_many(self._store, USER, ids, within_s=NAMES_TIMEOUT_S)
        except TRANSIENT_ERRORS as error:
            log.warning(
                "people's names could not be read in time for the answer to a write", extra={"error": repr(error)}
            )
            states = await self._last_known(ids)
        except Exception:
            log.exception("people's names could not be read for the answer to a write")
            states = await self._last_known(ids)
        return {user_id: state.name for user_id, state in states.items()}

    async def _last_known(self, ids: Collection[UUID]) -> dict[UUID, UserState]:
        """The last known states, without the event store, however old they are."""
        states = {
            user_id: known
            for user_id in ids
            if (known := self._store.state_cache.known(USER, user_id) or self._last_held(user_id)) is not None
        }
        missing = [user_id for user_id in ids if user_id not in states]
        if missing:
            with suppress(Exception):
                states |= await abandon_after(NAMES_TIMEOUT_S, self._views.users(missing))
        return states

    def _last_held(self, user_id: UUID) -> UserState | None:
        held = self._held.get(user_id)
        return None if held is None else held.state

    def _needed(self, user_id: UUID, position: int) -> int:
        """The oldest stamp that is fresh enough for `position`: that of the partition's last event at or before it."""
        partition = self._freshness.partition_of(user_id)
        last = self._follower.recent_positions.last_event_of(USER.name, partition, at_or_before=position)
        return position if last is None else last

    def _recent(self) -> int:
        now = asyncio.get_running_loop().time()
        if now - self._marked_at > POSITION_AGE_S_MAX:
            self._mark, self._next_mark = self._next_mark, self._freshness.position([VIEW])
            self._marked_at = now
        return self._mark
