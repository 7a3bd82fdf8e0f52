"""`taskflow import --format todoist`: a backup of a project, as CSV or JSON, plain or gzipped.

file ─▶ todoist_csv  ─▶ todoist_rows: tasks with their notes ─▶ todoist_run ─▶ commands/brought
     └▶ todoist_json ─┘              └ todoist_dates
"""

from __future__ import annotations

import gzip
import re
import zlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taskflow.commands.fields import NAME_MAX
from taskflow.commands.imports import ImportProject
from taskflow.dev_secrets import with_secrets
from taskflow.importer.account import importer, zone_of
from taskflow.importer.file import BadFile
from taskflow.importer.process import Report, apart, carried_out, first_answer, opened, progress, project_id_of, shown
from taskflow.importer.project import Own, open_to
from taskflow.importer.rejects import Rejects, Shown
from taskflow.importer.sending import Sender
from taskflow.importer.todoist_csv import read_csv
from taskflow.importer.todoist_json import read_json
from taskflow.importer.todoist_run import Bringing
from taskflow.local.addresses import with_local_urls
from taskflow.streams.project import DEFAULT_WORKFLOW

if TYPE_CHECKING:
    import argparse

    from taskflow.importer.todoist_rows import Backup
    from taskflow.settings import Settings

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A backup is read whole."""
_GZIP: Final = b"\x1f\x8b"
_BACKUP_NUMBER: Final = re.compile(r"\s*\[\d+\]$")


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exits 0, and 1 where rows were rejected or the import ended before the file."""
    if arguments.user is None or arguments.mapping is not None:
        raise BadFile("--format todoist: expected --as EMAIL, who imports, and no mapping")
    settings = with_local_urls(with_secrets(settings), ["postgres_url"])
    rejects = arguments.rejects or arguments.file.with_name(f"{arguments.file.name}.rejects.csv")
    report = await import_backup(
        settings,
        arguments.file,
        project=arguments.project,
        user=arguments.user,
        name=arguments.name,
        rejects=rejects,
        dry=arguments.dry_run,
    )
    return shown(report)


def read_backup(path: Path, name: str | None = None) -> Backup:
    """The file by its first character: `{` begins JSON. A CSV file's list is called as the file. Raises BadFile."""
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == _GZIP
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"{path}: {error.strerror if isinstance(error, OSError) and error.strerror else error}") from None
    if len(data) > FILE_BYTES_MAX:
        raise BadFile(f"{path}: expected at most {FILE_BYTES_MAX} bytes")
    if name is not None and not 0 < len(name.strip()) <= NAME_MAX:
        raise BadFile(f"--name: expected 1 to {NAME_MAX} characters")
    name = None if name is None else name.strip()
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] in {b"{", b"["}:
        backup = read_json(path, data, name)
    else:
        # Bytes that are no UTF-8 reach their row as surrogates, so that one bad row is not the file's end.
        plain = re.sub(r"\.(csv|gz)$", "", re.sub(r"\.gz$", "", path.name, flags=re.IGNORECASE), flags=re.IGNORECASE)
        backup = read_csv(path, data.decode("utf-8", "surrogateescape"), name or _BACKUP_NUMBER.sub("", plain) or plain)
    backup.name = backup.name[:NAME_MAX]
    return backup


async def import_backup(
    settings: Settings,
    file: Path,
    *,
    project: str | None,
    user: str,
    name: str | None,
    rejects: Path,
    dry: bool = False,
) -> Report:
    """Imports a backup into the project with that id, or into one of its name; `dry`: only tells what that would do."""
    project_id = project_id_of(project)
    apart(rejects, file)
    backup = read_backup(file, name)
    with progress() as bar:
        bar_id = bar.add_task(file.name, total=max(1, len(backup.entries)))
        async with opened(settings, dry=dry) as (store, executor):
            who = await first_answer(importer(store, executor, settings, owner=user, user=user, register=False))
            zone = await first_answer(zone_of(store, who))
            # The list's name in these hands: the same file again is the same project, and in others another one.
            own = Own(settings.claim_secret_bytes, f"todoist/{who.user_id}/{backup.name}")
            key = own.key if project_id is None else f"todoist/{backup.name}"
            if project_id is None:
                project_id = await first_answer(own.find(store))
            there = None if project_id is None else await first_answer(open_to(store, project_id, who.user_id))
            into = there
            with Shown() if dry else Rejects(rejects, backup.header) as rejected:
                sender = Sender(store, executor, settings, who.user_id, rejected.write)

                async def bring() -> None:
                    nonlocal into
                    for bad in backup.bad:
                        sender.refuse(bad, bad.reason)
                    if backup.entries:
                        into = into or await own.found(sender, _project(backup))
                        step = partial(bar.advance, bar_id)
                        await Bringing(sender, settings, backup, into, key, step, zone=zone).run()

                seconds, whole = await carried_out(bring())
    return Report(
        counts=sender.counts,
        who=who,
        project_id=None if into is None else into.id,
        position=sender.position,
        seconds=seconds,
        rejects=rejects,
        whole=whole,
        dry=dry,
        founds=there is None and into is not None,
        refused=rejected.told,
        notices=tuple(backup.notices),
    )


def _project(backup: Backup) -> ImportProject:
    return ImportProject(name=backup.name, description="", workflow=DEFAULT_WORKFLOW, at=datetime.now(UTC))
