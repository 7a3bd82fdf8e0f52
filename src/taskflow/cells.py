"""Cells of a CSV file that no spreadsheet computes, and what they were before. Pure."""

from __future__ import annotations

from typing import Final

GUARD: Final = "'"
GUARDED: Final = ("=", "+", "-", "@", "\t", "\r", "\n", GUARD)
"""What makes a spreadsheet compute a cell; and the guard itself, so that each can be told from the other again."""


def guarded(text: str) -> str:
    """The text behind a guard where it needs one: a spreadsheet shows a text and hides the guard."""
    return GUARD + text if text.startswith(GUARDED) else text


def unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith(GUARD) and cell[1:].startswith(GUARDED) else cell
