"""Who stands next to a rank in a project: what the write side cannot tell, because it knows one task at a time.

Whoever answers may lag behind the log, so an answer is a hint whom to look at. The stream that it names is read
and becomes a guard like every other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection

Side = Literal["after", "before"]


class AdjacentTask(Struct, frozen=True):
    """A task and the rank that it is known by."""

    task_id: UUID
    rank: str


class AdjacentTasks(Protocol):
    async def catch_up(self) -> None:
        """Waits, but not for long, until whatever was stored before this call is known.

        Raises Behind or Unavailable where it is not.
        """

    async def next_to(self, project_id: UUID, rank: str, side: Side, besides: Collection[UUID]) -> AdjacentTask | None:
        """The task outside the trash whose rank is the next one above or below, some left out of account.

        Raises Unavailable.
        """
