"""What a command has at hand: the client, the screen, and who is signed in where."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeVar

from msgspec import UNSET, Struct, UnsetType

from taskflow.client import Client
from taskflow.terminal.accounts import Accounts
from taskflow.terminal.short_ids import Unclear
from taskflow.terminal.shown import Screen

STDIN: Final = "-"
PAGE_MAX: Final = 200
"""The largest page that is served."""

T = TypeVar("T")


class Desk(Struct, frozen=True):
    client: Client
    screen: Screen
    accounts: Accounts
    url: str
    typed: argparse.Namespace

    @property
    def json(self) -> bool:
        return self.screen.json

    def first(self, found: Iterator[T]) -> tuple[list[T], bool]:
        """As many as `--limit` says, and whether there are more."""
        limit: int = self.typed.limit
        some = list(islice(found, limit + 1))
        return some[:limit], len(some) > limit

    @property
    def page(self) -> int:
        """How many to ask for at once: one more than is shown says that there are more."""
        limit: int = self.typed.limit
        return min(limit + 1, PAGE_MAX)

    def hint(self, *, more: bool) -> None:
        if more:
            self.screen.say(f"these are the first {self.typed.limit}; --limit shows more")


def text_of(typed: str | None) -> str | UnsetType:
    """A text as it was typed, or from the standard input where that was a dash."""
    if typed is None:
        return UNSET
    if typed != STDIN:
        return typed
    if sys.stdin is None:
        raise Unclear("the standard input is closed; type the text instead of -")
    return sys.stdin.read().removesuffix("\n")


def at_a_terminal() -> bool:
    """Whether somebody can be asked. A standard input that was closed is none at all."""
    return sys.stdin is not None and sys.stdin.isatty()


def given(typed: str | None) -> str | UnsetType:
    return UNSET if typed is None else typed
