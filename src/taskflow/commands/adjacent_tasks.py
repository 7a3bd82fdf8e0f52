"""Interface to a query for the task next to a rank in a project, which no single stream can answer.

The index that answers may lag behind the log, so an answer is only a hint. The handler reads the stream of the task
that the answer names, and the append checks the version of that stream like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection

Side = Literal["after", "before"]


class AdjacentTask(Struct, frozen=True):
    """A task, with the rank that the index holds for it."""

    task_id: UUID
    rank: str


class AdjacentTasks(Protocol):
    async def catch_up(self) -> None:
        """Waits for a short time until the index holds everything that was stored before this call.

        Raises Behind or Unavailable if it does not catch up in time.
        """

    async def next_to(self, project_id: UUID, rank: str, side: Side, besides: Collection[UUID]) -> AdjacentTask | None:
        """The task outside the trash with the next rank above (`after`) or below (`before`), `besides` left out.

        Raises Unavailable.
        """
