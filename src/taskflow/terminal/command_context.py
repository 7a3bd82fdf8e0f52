"""The context of one command: the client, the output, the accounts, and the parsed arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeVar

from msgspec import UNSET, Struct, UnsetType

from taskflow.client import Client
from taskflow.terminal.accounts import Accounts
from taskflow.terminal.output import Screen
from taskflow.terminal.short_ids import Unclear

STDIN: Final = "-"
PAGE_MAX: Final = 200
"""The largest page that the server allows."""

T = TypeVar("T")


class CommandContext(Struct, frozen=True):
    client: Client
    screen: Screen
    accounts: Accounts
    url: str
    typed: argparse.Namespace

    @property
    def json(self) -> bool:
        return self.screen.json

    def first(self, found: Iterator[T]) -> tuple[list[T], bool]:
        """The first items up to `--limit`, and whether there are more."""
        limit: int = self.typed.limit
        some = list(islice(found, limit + 1))
        return some[:limit], len(some) > limit

    @property
    def page(self) -> int:
        """The page size to request: one more than is shown, to learn whether there are more."""
        limit: int = self.typed.limit
        return min(limit + 1, PAGE_MAX)

    def say_more(self, *, more: bool) -> None:
        if more:
            self.screen.say(f"these are the first {self.typed.limit}; --limit shows more")


def text_of(typed: str | None) -> str | UnsetType:
    """A text argument; a single dash stands for standard input."""
    if typed is None:
        return UNSET
    if typed != STDIN:
        return typed
    if sys.stdin is None:
        raise Unclear("the standard input is closed; type the text instead of -")
    return sys.stdin.read().removesuffix("\n")


def at_a_terminal() -> bool:
    """Whether standard input is a terminal, so that a person can answer questions. It is None if it was closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def unset_if_none(typed: str | None) -> str | UnsetType:
    return UNSET if typed is None else typed
