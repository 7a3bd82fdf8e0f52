"""Boards of projects, cached in Redis: for each status the number of tasks, and the first of them.

The entry `board:<id>` holds no names of people: names are joined when the board is read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from taskflow.projections.declarations.tasks import board_key
from taskflow.readmodels.queries import BoardColumn
from taskflow.streams.project import Statuses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.cache.cache import Cache
    from taskflow.readmodels.freshness import Freshness
    from taskflow.readmodels.queries import Views
    from taskflow.streams.project import ProjectState

BOARD_VIEWS: Final = ("tasks", "projects")


class Board(Struct, frozen=True):
    """The cached board: the workflow, the number of tasks by stored status, and the first tasks of each current
    status."""

    statuses: Statuses
    counts: dict[str, int]
    tasks: dict[str, BoardColumn]


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Board)


class Boards:
    """Reads boards from Redis, or from the views if Redis has no entry that is fresh enough."""

    def __init__(self, views: Views, freshness: Freshness, cache: Cache, *, ttl_s: int) -> None:
        self._views = views
        self._freshness = freshness
        self._cache = cache
        self._ttl_s = ttl_s

    async def get(self, project: ProjectState, *, at_least: int) -> tuple[int, Board]:
        """Returns a position, at least `at_least`, and the board as fresh as that position. Raises Unavailable."""

        async def load(_: Sequence[str]) -> tuple[int, dict[str, bytes]]:
            stamp, body = await self._load(project)
            return stamp, {key: body}

        key = board_key(project.id)
        entries = await self._cache.get_many([key], at_least=at_least, ttl_s=self._ttl_s, load=load)
        try:
            return entries[key].stamp, _decoder.decode(entries[key].body)
        except msgspec.MsgspecError:
            # The entry is from another release, whose tasks have another shape.
            stamp, body = await self._load(project)
            return stamp, _decoder.decode(body)

    async def _load(self, project: ProjectState) -> tuple[int, bytes]:
        stamp = self._freshness.position(BOARD_VIEWS)
        # The project is read again: the entry must be as fresh as its stamp, and `project` was read before the lease.
        today = (await self._views.projects([project.id])).get(project.id, project)
        counts, tasks = await asyncio.gather(
            self._views.counts(project.id), self._views.board(project.id, today.statuses)
        )
        stamp = await self._freshness.confirmed(stamp, BOARD_VIEWS)
        return stamp, _encode(Board(today.statuses, counts, tasks))
