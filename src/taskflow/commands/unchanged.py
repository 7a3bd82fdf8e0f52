"""Limit on receipts of commands that change nothing: each receipt is kept for ever, and costs its sender nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uuid import UUID


class UnchangedLimit(Protocol):
    """Counts commands without effect per caller, before the append. A repeat of an accepted command is not counted,
    since it writes no new receipt."""

    async def reserve_unchanged(self, caller: UUID, commands: int) -> None:
        """Counts these commands. Raises TooManyUnchanged, and counts none of them, if they are too many."""

    async def give_back_unchanged(self, caller: UUID, commands: int) -> None:
        """Takes back the count of commands that wrote no receipt after all."""
