"""Names of people, joined into what is read: from Redis, else from the users view.

The entry `user:<id>` is the person's own state as the view keeps it. A person whom the view does not
have yet is taken from the event store, so a name is never missing only because a view lags.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from taskflow.api.stored import committed, committed_many
from taskflow.projections.users import redact
from taskflow.streams import USER
from taskflow.streams.user import UserState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taskflow.cache.cache import Cache
    from taskflow.follower.follower import Follower
    from taskflow.projections.freshness import Freshness
    from taskflow.projections.queries import Views
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

VIEW: Final = "users"
MARK_S: Final = 2.0
"""How old the view's position may be that a cached entry is held against. So a lost invalidation
costs seconds and not an hour, and the position that a read names goes on."""

_decoder: Final = msgspec.json.Decoder(UserState)
_encode: Final = msgspec.json.Encoder().encode


def _decode(body: bytes) -> UserState | None:
    """None for an entry of another release, whose states have another shape."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None


class People:
    """The people of one API process's answers."""

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

    async def get(
        self, ids: Collection[UUID], *, at_least: int = 0, timeout_s: float = 0
    ) -> tuple[dict[UUID, UserState], int | None]:
        """Those of these people that there are, each as of `at_least` or later, and the position that all
        of it is as fresh as (None: nobody was asked for). Raises Behind after `timeout_s`."""
        if not ids:
            return {}, None
        partitions = {self._freshness.partition_of(user_id) for user_id in ids}

        async def load(keys: Sequence[str]) -> tuple[int, dict[str, bytes]]:
            wanted = [UUID(key.removeprefix("user:")) for key in keys]
            drawn = {self._freshness.partition_of(user_id) for user_id in wanted}
            if at_least:
                await self._freshness.wait([VIEW], at_least, timeout_s=timeout_s, partitions=drawn)
            stamp = self._freshness.position([VIEW], drawn)
            found = await self._views.users(wanted)
            return stamp, {f"user:{user_id}": _encode(state) for user_id, state in found.items()}

        entries = await self._cache.get_many(
            [f"user:{user_id}" for user_id in ids],
            at_least=self._needed(partitions, max(at_least, self._recent())),
            ttl_s=self._ttl_s,
            load=load,
        )
        ring = self._follower.ring
        position = ring.head
        people: dict[UUID, UserState] = {}
        for user_id in ids:
            entry = entries.get(f"user:{user_id}")
            state = None if entry is None else _decode(entry.body)
            if entry is not None and state is not None:
                people[user_id] = state
                position = min(position, ring.fresh_to(self._freshness.partition_of(user_id), entry.stamp))
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
        """Names as the event store has them now: what the answer to a write shows."""
        states = await committed_many(self._store, USER, ids)
        return {user_id: state.name for user_id, state in states.items()}

    def _needed(self, partitions: Collection[int], position: int) -> int:
        """The position an entry must have for `position`: of a partition that has not moved, an old one does."""
        ring = self._follower.ring
        last = [ring.last_event_of(number, at_or_before=position) for number in partitions]
        return max(position if at is None else at for at in last)

    def _recent(self) -> int:
        now = asyncio.get_running_loop().time()
        if now - self._marked_at > MARK_S:
            self._mark, self._next_mark = self._next_mark, self._freshness.position([VIEW])
            self._marked_at = now
        return self._mark
