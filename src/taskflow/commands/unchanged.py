"""Limit on receipts of commands that change nothing: each receipt is kept for ever, and costs its sender nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from taskflow.errors import Refusal, TooManyUnchanged
from taskflow.store.append import NOBODY

if TYPE_CHECKING:
    from uuid import UUID

    from taskflow.commands.decision import Decided


class UnchangedLimit(Protocol):
    """Counts commands without effect per caller, before the append. A repeat of an accepted command is not counted,
    since it writes no new receipt."""

    async def reserve_unchanged(self, caller: UUID, commands: int) -> None:
        """Counts these commands. Raises TooManyUnchanged, and counts none of them, if they are too many."""

    async def give_back_unchanged(self, caller: UUID, commands: int) -> None:
        """Takes back the count of commands that wrote no receipt after all."""


class UnchangedCount:
    """Counts the commands of one chain that change nothing, with a few questions to the limit for all of them.

    The second such command reserves for all that may still come in the chain; what they did not need is given back. Where
    that is more than the limit has left, each is counted by itself.
    """

    def __init__(self, limit: UnchangedLimit | None) -> None:
        self._limit = limit
        self._reserved = 0
        """For commands of this chain that have not been counted yet, of the caller `_of`."""
        self._of: UUID | None = None
        self._met = False

    async def count(self, decided: Decided, more: int) -> None:
        """Counts what changes nothing among commands that were decided; `more` of the chain are still to come. Raises
        TooManyUnchanged, which names the first of these commands."""
        unchanged = decided.unchanged
        if self._limit is None or not unchanged:
            return
        payer, needed = payer_of(decided), len(unchanged)
        if self._of != payer:
            await self.give_back()
            self._of, self._met = payer, False
        try:
            if self._reserved < needed and not (self._met and more and await self._reserve_ahead(payer, needed + more)):
                await self._limit.reserve_unchanged(payer, needed)
                self._reserved += needed
        except Refusal as refusal:
            refusal.command_id = unchanged[0]
            raise
        self._met = True
        self._reserved -= needed

    async def _reserve_ahead(self, payer: UUID, commands: int) -> bool:
        if self._limit is None:
            return False
        try:
            await self._limit.reserve_unchanged(payer, commands)
        except TooManyUnchanged:
            return False
        self._reserved += commands
        return True

    async def give_back(self) -> None:
        """What was reserved and not needed."""
        if self._limit is not None and self._of is not None and self._reserved:
            await self._limit.give_back_unchanged(self._of, self._reserved)
            self._reserved = 0


async def give_back(limit: UnchangedLimit | None, decided: Decided) -> None:
    """Takes back what was counted for commands that were not stored."""
    if limit is not None and decided.unchanged:
        await limit.give_back_unchanged(payer_of(decided), len(decided.unchanged))


def payer_of(decided: Decided) -> UUID:
    """Whose limit counts what changes nothing."""
    caller = decided.requests[0].caller
    return caller if caller != NOBODY else decided.decisions[0].stream_id
