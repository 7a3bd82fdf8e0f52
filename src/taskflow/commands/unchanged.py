"""What bounds the receipts of commands that change nothing: each is kept for ever, and costs its caller nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uuid import UUID


class UnchangedLimit(Protocol):
    """Judged before the append. A repeat of an accepted command leaves no receipt, and does not count."""

    async def reserve_unchanged(self, caller: UUID, commands: int) -> None:
        """Raises TooManyUnchanged, with none of them counted."""

    async def give_back_unchanged(self, caller: UUID, commands: int) -> None:
        """These left no receipt after all."""
