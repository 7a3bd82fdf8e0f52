"""What came of an import, for the person who started it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from taskflow.client.answers import Profile
from taskflow.importer.failures import BadArguments
from taskflow.importer.rejects import SHOWN_MAX
from taskflow.importer.sender import Counts

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Report(Struct, frozen=True, kw_only=True):
    """What an import did. `project_id` is None where no row could be read."""

    counts: Counts
    who: Profile
    project_id: UUID | None
    position: int
    seconds: float
    rejects: Path
    whole: bool
    dry: bool = False
    """Whether all this was only found out, and nothing written."""
    founds: bool = False
    """Whether the project was, or would be, made by this run."""
    refused: tuple[str, ...] = ()
    """The first of the refused rows, where there is no file of them."""
    notices: tuple[str, ...] = ()
    """What was taken otherwise than the file says it."""


async def carried_out(work: Coroutine[Any, Any, None]) -> tuple[float, bool]:
    """How long it took, and whether it came to its end or was interrupted."""
    began = time.monotonic()
    whole = True
    try:
        await work
    except asyncio.CancelledError:
        whole = False
    return time.monotonic() - began, whole


def require_apart(rejects: Path, *files: Path) -> None:
    """Raises BadArguments where the rejects would be written over a file of the import, or into no folder."""
    if rejects.resolve() in {file.resolve() for file in files}:
        raise BadArguments(f"rejects {rejects}: expected a file of its own")
    if not rejects.parent.is_dir():
        raise BadArguments(f"rejects {rejects}: no such folder")


def format_report(report: Report) -> list[str]:
    counts = report.counts
    did = (
        f"{counts.applied} applied, {counts.already_there} already there, {counts.unchanged} unchanged, "
        f"{counts.rejected} rejected"
    )
    speed = counts.rows / max(report.seconds, 0.001)
    lines = [
        f"{counts.rows} rows in {report.seconds:.1f} s ({speed:,.0f} rows/s): {did}",
        f"{counts.tasks} new tasks, {counts.people} new people",
    ]
    if report.dry:
        lines.insert(0, "dry run: nothing was written; this is what an import would do now")
        if report.founds:
            lines.append(f"it would make a project, owned by {report.who.email}")
        elif report.project_id is not None:
            lines.append(f"into project {report.project_id}, by {report.who.email}")
    elif report.project_id is not None:
        lines.append(f"project {report.project_id}, imported by {report.who.email}")
    if counts.rejected and not report.dry:
        lines.append(f"rejected rows, with lines and reasons: {report.rejects}")
    lines += [f"rejected: {refused}" for refused in report.refused]
    if counts.rejected > len(report.refused) > 0:
        lines.append(f"and {counts.rejected - len(report.refused)} more rejected")
    lines += report.notices[:SHOWN_MAX]
    if len(report.notices) > SHOWN_MAX:
        lines.append(f"and {len(report.notices) - SHOWN_MAX} more of these")
    if not report.whole:
        lines.append("interrupted: run it again, and it goes on where it stopped")
    return lines


def progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
