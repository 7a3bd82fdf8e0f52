"""Hints: what a decision learns from a view. No rule depends on a hint: the stream that it names is read and becomes a
guard.

A process offers the queries that it can answer (`Hints`); each unit of work asks them in its own way (`UnitHints`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from taskflow.errors import Unavailable, Uncounted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from taskflow.commands.acquaintances import Acquaintances
    from taskflow.commands.adjacent_tasks import AdjacentTask, AdjacentTasks, Side
    from taskflow.commands.status_counts import Saved, StatusCounts


class Hints(Struct, frozen=True, kw_only=True):
    """The queries of views that a process can answer; None: only the API can."""

    adjacent_tasks: AdjacentTasks | None = None
    status_counts: StatusCounts | None = None
    acquaintances: Acquaintances | None = None


NO_HINTS: Final = Hints()
"""For processes that read no views."""


class UnitHints:
    """The hints for one unit of work. Views do not show pending events, so each query first waits, by `stored`, for the
    commands before this one in its chain. Every method raises StaleDecision if they were not stored."""

    def __init__(self, hints: Hints, stored: Callable[[], Awaitable[None]]) -> None:
        self._hints = hints
        self._stored = stored
        self._caught_up = False

    async def next_to(self, project_id: UUID, rank: str, side: Side, besides: Collection[UUID]) -> AdjacentTask | None:
        """As `AdjacentTasks.next_to`, after the index has caught up with the log once for this unit. Raises
        Unavailable."""
        adjacent_tasks = self._hints.adjacent_tasks
        if adjacent_tasks is None:
            raise Unavailable("adjacent tasks cannot be looked up in this process; send this to the API")
        await self._stored()
        if not self._caught_up:
            await adjacent_tasks.catch_up()
            self._caught_up = True
        return await adjacent_tasks.next_to(project_id, rank, side, besides)

    async def tasks_in(self, project_id: UUID, statuses: Collection[str]) -> Mapping[str, int]:
        """As `StatusCounts.tasks_in`. Raises Uncounted."""
        if self._hints.status_counts is None:
            raise Uncounted("tasks cannot be counted in this process; send this to the API")
        await self._stored()
        return await self._hints.status_counts.tasks_in(project_id, statuses)

    async def views_of(self, owner: UUID, project_id: UUID | None) -> Saved:
        """As `StatusCounts.views_of`. Raises Uncounted."""
        if self._hints.status_counts is None:
            raise Uncounted("saved views cannot be counted in this process; send this to the API")
        await self._stored()
        return await self._hints.status_counts.views_of(owner, project_id)

    async def shared_projects(self, one: UUID, other: UUID, *, fresh: bool) -> Sequence[UUID]:
        """As `Acquaintances.shared_projects`; empty if this process cannot tell."""
        if self._hints.acquaintances is None:
            return ()
        await self._stored()
        return await self._hints.acquaintances.shared_projects(one, other, fresh=fresh)
