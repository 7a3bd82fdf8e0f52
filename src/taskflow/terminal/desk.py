"""What a command has at hand: the client, the screen, and who is signed in where."""

from __future__ import annotations

import argparse
import sys

from msgspec import UNSET, Struct, UnsetType

from taskflow.client import Client
from taskflow.terminal.accounts import Accounts
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
    return sys.stdin.read().removesuffix("\n") if typed == STDIN else typed


def given(typed: str | None) -> str | UnsetType:
    return UNSET if typed is None else typed
