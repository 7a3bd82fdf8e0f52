"""The output of commands: tables for people, one JSON document for programs.

Text by other people is sanitised first: a title must not be able to move the cursor or reverse the direction of text.
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
"""Line width given to rich, so that it never wraps: the terminal does, and in a pipe nothing should."""
COLUMN_WIDTH_MIN: Final = 8
"""The least width to which a column is cut, however narrow the terminal is."""
ROOM_MIN: Final = 20
"""The least width of a flexible column while a spare column can be dropped instead."""
GAP: Final = 2
SHORT_ID_CHARS: Final = 8
"""Characters of a short id: the last ones, because they are random while the first ones are a time."""
_ENDS: Final = ("\n", "\r\n")
_KEPT: Final = frozenset("\u200d")
"""Kept although not printable: the zero-width joiner, of which emoji are composed."""

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
        """Writes Structs as one JSON document; nothing else is written with it."""
        write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")

    def say(self, *parts: str | Text) -> None:
        """Writes a line of text."""
        line = Text("  ").join(part if isinstance(part, Text) else Text(clean(part)) for part in parts if part)
        self._print(line)

    def write_raw(self, piece: bytes) -> None:
        """Writes a piece of a file unchanged; at a terminal, sanitised."""
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
        droppable: Sequence[str] = (),
    ) -> None:
        """Writes a table, without columns that are empty in every row. If the terminal is too narrow, the spare columns
        are cut, then the flexible ones; if those would become too narrow, spare columns are dropped, the last first."""
        kept = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
        shown = [at for at in range(len(columns)) if any(row[at].plain for row in kept)]
        widths = {at: max([cell_len(columns[at]), *[row[at].cell_len for row in kept]]) for at in shown}
        first = [at for at in shown if columns[at] in flexible]
        second = sorted((at for at in shown if columns[at] in droppable), key=lambda at: droppable.index(columns[at]))
        while True:
            room = self._width - GAP * (len(shown) - 1)
            cut = _narrowed(_narrowed(widths, second, room), first, room)
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


def _narrowed(widths: dict[int, int], among: Sequence[int], room: int) -> dict[int, int]:
    """The widths of all columns, after narrowing the widest of `among` until the table fits or none can shrink."""
    cut = dict(widths)
    while among and sum(cut.values()) > room:
        widest = max(among, key=lambda at: cut[at])
        if cut[widest] <= COLUMN_WIDTH_MIN:
            break
        cut[widest] -= 1
    return cut


def write(text: str) -> None:
    """Writes to standard output and flushes it. Raises BrokenPipeError if the reader is gone."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def clean(text: str) -> str:
    """The text with control characters, which a terminal would execute, replaced."""
    return "".join(one if one.isprintable() or one in _KEPT else "\ufffd" for one in text)


def lines(text: str) -> list[str]:
    """The lines of a text, each sanitised."""
    return [clean(line.replace("\t", "    ")) for line in text.replace("\r\n", "\n").split("\n")]


def short(id_: UUID | str) -> str:
    return str(id_)[-SHORT_ID_CHARS:]


def styled(text: str, style: str = "") -> Text:
    return Text(clean(text), style=STYLES.get(style or text, ""))


def when(at: datetime | None) -> str:
    """A time in local time; empty for None."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M")
