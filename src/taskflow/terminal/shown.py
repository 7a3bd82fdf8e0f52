"""What is written to the screen: tables for people, one JSON document for programs.

Whatever other people wrote is made harmless first: a title may not move the cursor or turn the text around.
"""

from __future__ import annotations

import codecs
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_MAX: Final = 100_000
"""Columns of a line: it is the terminal that folds a longer one, and in a pipe nobody does."""
CUT_MIN: Final = 8
"""What is left of a column that is cut, however narrow the terminal is."""
ROOM_MIN: Final = 20
"""What is left of a flexible column for as long as a spare one can go instead."""
GAP: Final = 2
SHORT: Final = 8
"""Characters at the end of an id that are shown: its end is random, its beginning is a time."""
_ENDS: Final = ("\n", "\r\n")
_KEPT: Final = frozenset("\u200d")
"""The joiner of emoji, which is no printable character and does no harm."""

STYLES: Final = {
    "todo": "",
    "in_progress": "yellow",
    "waiting": "magenta",
    "done": "green",
    "cancelled": "dim",
    "urgent": "bold red",
    "high": "red",
    "low": "dim",
}


class Screen:
    """The standard output of one command."""

    def __init__(self, *, json: bool) -> None:
        if sys.stdout is None:
            raise OSError("the standard output is closed")
        self.json = json
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH_MAX
        self._console = Console(
            width=WIDTH_MAX,
            color_system="auto" if self.coloured else None,
            force_terminal=self.coloured,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )

    def document(self, value: Any) -> None:
        """Structs as the JSON that they were made of; nothing else is written beside it."""
        write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")

    def say(self, *parts: str | Text) -> None:
        """A line of text."""
        line = Text("  ").join(part if isinstance(part, Text) else Text(clean(part)) for part in parts if part)
        self._print(line)

    def raw(self, piece: bytes) -> None:
        """A piece of a file as it is; at a terminal, what it would obey is left out."""
        if sys.stdout.isatty():
            text = self._decoder.decode(piece)
            write("".join(line if line in _ENDS else clean(line) for line in re.split(r"(\r\n|\n)", text)))
        else:
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str | Text]],
        *,
        flexible: Sequence[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """Columns that are empty in every row are left out. Where there is no room the spare ones are cut, then
        the flexible ones; where that is still too little for the flexible ones, the spare ones go, the last first."""
        kept = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
        shown = [at for at in range(len(columns)) if any(row[at].plain for row in kept)]
        widths = {at: max([cell_len(columns[at]), *[row[at].cell_len for row in kept]]) for at in shown}
        first = [at for at in shown if columns[at] in flexible]
        second = sorted((at for at in shown if columns[at] in spare), key=lambda at: spare.index(columns[at]))
        while True:
            room = self._width - GAP * (len(shown) - 1)
            cut = _cut(_cut(widths, second, room), first, room)
            if not second or all(cut[at] >= min(widths[at], ROOM_MIN) for at in first):
                break
            gone = second.pop()
            shown.remove(gone)
            del widths[gone]
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for at in shown:
            table.add_column(columns[at], no_wrap=True)
        for row in kept:
            for at in shown:
                row[at].truncate(cut[at], overflow="ellipsis")
            table.add_row(*[row[at] for at in shown])
        self._print(table)

    def _print(self, what: Table | Text) -> None:
        with self._console.capture() as captured:
            self._console.print(what)
        text = captured.get()
        write(text if self.coloured else "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def _cut(widths: dict[int, int], among: Sequence[int], room: int) -> dict[int, int]:
    """The widths of columns, the widest of these made less until all fit, or none of these can be less."""
    cut = dict(widths)
    while among and sum(cut.values()) > room:
        widest = max(among, key=lambda at: cut[at])
        if cut[widest] <= CUT_MIN:
            break
        cut[widest] -= 1
    return cut


def write(text: str) -> None:
    """To the standard output, at once: a reader that has gone is noticed here. Raises BrokenPipeError."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def clean(text: str) -> str:
    """Text without characters that a terminal would obey."""
    return "".join(one if one.isprintable() or one in _KEPT else "\ufffd" for one in text)


def lines(text: str) -> list[str]:
    """The lines of a longer text, each made harmless."""
    return [clean(line.replace("\t", "    ")) for line in text.replace("\r\n", "\n").split("\n")]


def short(id_: UUID | str) -> str:
    return str(id_)[-SHORT:]


def styled(text: str, style: str = "") -> Text:
    return Text(clean(text), style=STYLES.get(style or text, ""))


def when(at: datetime | None) -> str:
    """A time as the clock on the wall has it."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")
