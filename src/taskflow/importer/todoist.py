"""`taskflow import --format todoist`: a backup of a project, as CSV or JSON, plain or gzipped.

file ─▶ todoist_csv  ─▶ todoist_rows: tasks with their notes ─▶ todoist_run ─▶ sender
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

from taskflow.dates.time_zones import NAMES, UTC_NAME
from taskflow.importer.contract import NAME_MAX
from taskflow.importer.failures import BadFile
from taskflow.importer.rejects import Rejects, Shown
from taskflow.importer.report import Report, carried_out, progress, require_apart
from taskflow.importer.sender import Counts
from taskflow.importer.target import ImportTarget, project_id_of, require_open
from taskflow.importer.todoist_csv import read_csv
from taskflow.importer.todoist_json import read_json
from taskflow.importer.todoist_run import TodoistImport

if TYPE_CHECKING:
    from taskflow.client.answers import Profile
    from taskflow.importer.sender import Sender
    from taskflow.importer.todoist_rows import Backup

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A backup is read whole."""
_GZIP: Final = b"\x1f\x8b"
_BACKUP_NUMBER: Final = re.compile(r"\s*\[\d+\]$")


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
    sender: Sender, me: Profile, file: Path, *, project: str | None, name: str | None, rejects: Path
) -> Report:
    """Imports a backup into the project with that id, or into the caller's own of its name."""
    project_id = project_id_of(project)
    require_apart(rejects, file)
    backup = read_backup(file, name)
    zone = me.settings.get("time_zone")
    with progress() as bar:
        bar_id = bar.add_task(file.name, total=max(1, len(backup.entries)))
        target = ImportTarget(sender, f"todoist/{backup.name}")
        found = await (target.find(backup.name) if project_id is None else target.open(project_id))
        if found is not None:
            require_open(found)
        counts = Counts()
        with Shown() if sender.dry else Rejects(rejects, backup.header) as rejected:

            async def work() -> None:
                nonlocal counts
                into = found
                if into is None and backup.entries:
                    into = await target.found({"name": backup.name, "at": datetime.now(UTC)})
                run = TodoistImport(
                    sender,
                    target,
                    into,
                    backup,
                    rejected.write,
                    partial(bar.advance, bar_id),
                    zone=zone if isinstance(zone, str) and zone in NAMES else UTC_NAME,
                    me=me.id,
                )
                counts = run.counts
                await run.run()

            seconds, whole = await carried_out(work())
    return Report(
        counts=counts,
        who=me,
        project_id=target.project_id,
        position=sender.position,
        seconds=seconds,
        rejects=rejects,
        whole=whole,
        dry=sender.dry,
        founds=target.founds,
        refused=rejected.told,
        notices=tuple(backup.notices),
    )
