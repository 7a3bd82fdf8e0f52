"""What a command has at hand: the client, the screen, and who is signed in where."""

from __future__ import annotations

import argparse
import sys

from msgspec import UNSET, Struct, UnsetType

from taskflow.client import Client
from taskflow.terminal.accounts import Accounts
from taskflow.terminal.short_ids import Unclear
from taskflow.terminal.shown import Screen

STDIN = "-"


class Desk(Struct, frozen=True):
    client: Client
    screen: Screen
    accounts: Accounts
    url: str
    typed: argparse.Namespace

    @property
    def json(self) -> bool:
        return self.screen.json


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
