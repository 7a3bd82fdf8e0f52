"""Boards of projects through Redis: by status the number of tasks, and the first of them.

The entry `board:<id>` holds no names of people: they are joined at the read.
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

DRAWN_FROM: Final = ("tasks", "projects")


class Board(Struct, frozen=True):
    """What Redis keeps: the workflow, the number of tasks by the status that they last entered, and by today's status
    the first of them; all of one moment."""

    statuses: Statuses
    counts: dict[str, int]
    tasks: dict[str, BoardColumn]


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Board)


class Boards:
    """Reads boards from Redis, and from the views where Redis has none that is fresh enough."""

    def __init__(self, views: Views, freshness: Freshness, cache: Cache, *, ttl_s: int) -> None:
        self._views = views
        self._freshness = freshness
        self._cache = cache
        self._ttl_s = ttl_s

    async def get(self, project: ProjectState, *, at_least: int) -> tuple[int, Board]:
        """The board as of `at_least` or later, behind the position that it is as fresh as. Raises Unavailable."""

        async def load(_: Sequence[str]) -> tuple[int, dict[str, bytes]]:
            stamp, body = await self._load(project)
            return stamp, {key: body}

        key = board_key(project.id)
        entries = await self._cache.get_many([key], at_least=at_least, ttl_s=self._ttl_s, load=load)
        try:
            return entries[key].stamp, _decoder.decode(entries[key].body)
        except msgspec.MsgspecError:
            # An entry of another release, whose tasks have another shape.
            stamp, body = await self._load(project)
            return stamp, _decoder.decode(body)

    async def _load(self, project: ProjectState) -> tuple[int, bytes]:
        stamp = self._freshness.position(DRAWN_FROM)
        # Read again: what is kept must be as new as its stamp, and this project was read before the lease.
        today = (await self._views.projects([project.id])).get(project.id, project)
        counts, tasks = await asyncio.gather(
            self._views.counts(project.id), self._views.board(project.id, today.statuses)
        )
        stamp = await self._freshness.confirmed(stamp, DRAWN_FROM)
        return stamp, _encode(Board(today.statuses, counts, tasks))
