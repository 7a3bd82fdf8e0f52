"""`taskflow projections`: how far each projection is, once or again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.text import Text

from taskflow.terminal.output import STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskflow.client.answers import ProjectionStatus
    from taskflow.terminal.command_context import CommandContext

WATCH_S: Final = 2.0
"""Between two looks of `--watch`."""
_COLUMNS: Final = ("NAME", "STATE", "POSITION", "BEHIND", "AGE", "RATE", "LEFT", "PARKED", "WORKERS")
_STYLES: Final = {
    "running": "green",
    "catching_up": STYLES["in_progress"],
    "stopped": "bold red",
    "halted": "bold red",
    "refused": "bold red",
}


def list_projections(context: CommandContext) -> None:
    shown = 0
    while True:
        found = context.client.admin.projections().items
        if context.json:
            context.screen.document(found)
        else:
            _show(context, found)
        shown += 1
        if not context.typed.watch or shown == context.typed.count:
            return
        time.sleep(WATCH_S)


def _show(context: CommandContext, found: Sequence[ProjectionStatus]) -> None:
    rows: list[list[str | Text]] = [
        [
            f"{one.name} v{one.version}",
            Text(one.state, style=_STYLES.get(one.state, "")),
            f"{one.position:,} of {one.head:,}",
            f"{one.lag_events:,}" if one.lag_events else "",
            duration(one.lag_seconds) if one.lag_events else "",
            f"{one.rate:,.0f}/s" if one.rate else "",
            duration(one.lag_events / one.rate) if one.lag_events and one.rate else "",
            str(one.dead_letters) if one.dead_letters else "",
            str(len(one.workers)),
        ]
        for one in found
    ]
    context.screen.table(_COLUMNS, rows, droppable=("PARKED", "WORKERS", "RATE"))
    for one in found:
        if one.reason is not None:
            context.screen.say(f"{one.name}: MongoDB refuses its writes: {one.reason}")
        for partition in one.halted:
            context.screen.say(f"{one.name}: partition {partition.partition} is halted: {partition.reason}")
        if one.state == "stopped":
            context.screen.say(f"{one.name}: no worker advances some of its partitions; start `taskflow projector`")


def duration(seconds: float) -> str:
    """A length of time in its largest two units."""
    whole = round(seconds)
    if whole < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, below, size in (("d", "h", 86_400), ("h", "m", 3_600), ("m", "s", 60)):
        if whole >= size:
            rest = whole % size // {"h": 3_600, "m": 60, "s": 1}[below]
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
