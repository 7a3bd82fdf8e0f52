"""`taskflow import`: a file, a mapping, a progress bar, and what came of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from taskflow.commands.execute import Executor
from taskflow.dev_secrets import with_secrets
from taskflow.errors import Rejected, Unavailable
from taskflow.ids import parse_id
from taskflow.importer.account import Importer, importer
from taskflow.importer.file import BadFile, Source
from taskflow.importer.mapping import BadMapping, read_mapping
from taskflow.importer.project import Own, open_to, usable
from taskflow.importer.rehearsal import Rehearsal
from taskflow.importer.rejects import SHOWN_MAX, Rejects, Shown
from taskflow.importer.run import Import
from taskflow.importer.sending import Counts, Sender
from taskflow.local.addresses import with_local_urls
from taskflow.store.eventstore import open_event_store
from taskflow.store.pool import TRANSIENT_ERRORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine

    from taskflow.importer.mapping import Mapping
    from taskflow.importer.sending import Executes
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

T = TypeVar("T")
INTERRUPTED: Final = 130


class Report(Struct, frozen=True, kw_only=True):
    """What an import did. `project_id` is None where no row could be read."""

    counts: Counts
    who: Importer
    project_id: UUID | None
    position: int
    seconds: float
    rejects: Path
    whole: bool
    dry: bool = False
    """Whether all this was only found out, and nothing written."""
    founds: bool = False
    """Whether the project was, or would be, founded by this run."""
    refused: tuple[str, ...] = ()
    """The first of the refused rows, where there is no file of them."""
    notices: tuple[str, ...] = ()
    """What was taken otherwise than the file says it."""


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exits 0, and 1 where rows were rejected or the import ended before the file."""
    settings = with_local_urls(with_secrets(settings), ["postgres_url"])
    if arguments.mapping is None:
        raise BadMapping("expected --mapping FILE, which says what the columns are (or --format taskflow)")
    if arguments.name is not None:
        raise BadMapping("--name goes with --format todoist; the mapping says what its project is called")
    rejects = arguments.rejects or arguments.file.with_name(f"{arguments.file.name}.rejects.csv")
    report = await import_file(
        settings,
        arguments.file,
        arguments.mapping,
        project=arguments.project,
        user=arguments.user,
        rejects=rejects,
        dry=arguments.dry_run,
    )
    return shown(report)


def shown(report: Report) -> int:
    """Prints the report; the exit code that goes with it."""
    for line in told(report):
        print(line)
    if not report.whole:
        return INTERRUPTED
    return 1 if report.counts.rejected else 0


async def import_file(
    settings: Settings,
    file: Path,
    mapping_file: Path,
    *,
    project: str | None,
    user: str | None,
    rejects: Path,
    dry: bool = False,
) -> Report:
    """Imports a file into the project with that id, or into the mapping's own; `dry`: only tells what that would do.

    What is wrong with the mapping, the header, the person or the project is raised before anything is
    written. A cancelled import reports what it did until then.
    """
    mapping = read_mapping(mapping_file)
    project_id = project_id_of(project)
    apart(rejects, file, mapping_file)
    with Source(file, mapping) as source, progress() as bar:
        shown = bar.add_task(file.name, total=source.size)
        async with opened(settings, dry=dry) as (store, executor):
            project_id, who = await first_answer(_where_and_who(store, executor, settings, mapping, project_id, user))
            with Shown() if dry else Rejects(rejects, source.header) as rejected:
                sender = Sender(store, executor, settings, who.user_id, rejected.write)
                work = Import(
                    store,
                    sender,
                    settings,
                    mapping,
                    project_id=project_id,
                    step=lambda: bar.update(shown, completed=source.bytes_read),
                )
                try:
                    seconds, whole = await carried_out(work.run(source.rows()))
                except BaseException:
                    if not dry:
                        tell_password(who)
                    raise
    return Report(
        counts=sender.counts,
        who=who,
        project_id=None if work.into is None else work.into.project_id,
        position=sender.position,
        seconds=seconds,
        rejects=rejects,
        whole=whole,
        dry=dry,
        founds=project_id is None and work.into is not None,
        refused=rejected.told,
    )


@asynccontextmanager
async def opened(settings: Settings, *, dry: bool) -> AsyncIterator[tuple[EventStore, Executes]]:
    """The store, and what executes an import's commands."""
    async with AsyncExitStack() as stack:
        store = await first_answer(stack.enter_async_context(open_event_store(settings, "taskflow import")))
        yield store, Rehearsal(store, settings) if dry else Executor(store, settings)


async def carried_out(work: Coroutine[Any, Any, None]) -> tuple[float, bool]:
    """How long it took, and whether it came to its end or was interrupted."""
    began = time.monotonic()
    whole = True
    try:
        await work
    except asyncio.CancelledError:
        whole = False
    return time.monotonic() - began, whole


async def _where_and_who(
    store: EventStore,
    executor: Executes,
    settings: Settings,
    mapping: Mapping,
    project_id: UUID | None,
    user: str | None,
) -> tuple[UUID | None, Importer]:
    """The project, None where its founding comes with the first row; and who may import into it."""
    if project_id is None:
        project_id = await Own(settings.claim_secret_bytes, mapping.project.key).find(store)
    who = await importer(store, executor, settings, owner=mapping.project.owner, user=user, register=project_id is None)
    if project_id is not None:
        usable(mapping, await open_to(store, project_id, who.user_id))
    return project_id, who


async def first_answer(asked: Awaitable[T]) -> T:
    """Not waited for, as it is later on: a store that does not answer at the first may well be another one's
    address. Raises Unavailable."""
    try:
        return await asked
    except TRANSIENT_ERRORS as error:
        raise Unavailable(
            f"the event store does not answer ({str(error) or type(error).__name__}); run the import again once it does"
        ) from error


def apart(rejects: Path, *files: Path) -> None:
    if rejects.resolve() in {file.resolve() for file in files}:
        raise BadFile(f"rejects {rejects}: expected a file of its own")
    if not rejects.parent.is_dir():
        raise BadFile(f"rejects {rejects}: no such folder")


def told(report: Report) -> list[str]:
    """The report for a person."""
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
        lines += _would_make(report)
    elif report.project_id is not None:
        lines.append(f"project {report.project_id}, imported by {report.who.email}")
    if report.who.password is not None and not report.dry:
        lines.append(_password(report.who))
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


def _would_make(report: Report) -> list[str]:
    lines = []
    if report.who.password is not None:
        lines.append(f"it would make the account {report.who.email}")
    if report.founds:
        lines.append(f"it would make a project, owned by {report.who.email}")
    elif report.project_id is not None:
        lines.append(f"into project {report.project_id}, by {report.who.email}")
    return lines


def project_id_of(text: str | None) -> UUID | None:
    try:
        return None if text is None else parse_id(text)
    except ValueError:
        raise Rejected("no-such-project", f"--project: expected a project's id, a UUID, found {text!r}") from None


def _password(who: Importer) -> str:
    return f"made the account {who.email} with the password {who.password} (shown this once)"


def tell_password(who: Importer) -> None:
    # The account is there although the import failed, and nobody will ever know its password again.
    if who.password is not None:
        print(_password(who), file=sys.stderr)


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
