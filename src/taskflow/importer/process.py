"""`taskflow import`: from what was typed to the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from taskflow.importer import exported, todoist
from taskflow.importer.failures import BadArguments
from taskflow.importer.file import Source
from taskflow.importer.mapping import read_mapping
from taskflow.importer.rejects import Rejects, Shown
from taskflow.importer.report import Report, carried_out, format_report, progress, require_apart
from taskflow.importer.run import Import, usable
from taskflow.importer.sender import AWAY, Pace, Sender, away
from taskflow.importer.target import ImportTarget, project_id_of, require_open

if TYPE_CHECKING:
    import argparse

    from taskflow.client import AsyncClient
    from taskflow.client.answers import Profile

INTERRUPTED: Final = 130


async def run(client: AsyncClient, arguments: argparse.Namespace) -> int:
    """Exits 0, 1 where rows were rejected, and 130 where the import was interrupted. `client` sends each request once:
    an import repeats what it has sent itself."""
    try:
        me = await client.users.me()
    except AWAY as error:
        raise away(error) from error
    sender = Sender(client, request_id=uuid4(), pace=Pace(batches_max=arguments.at_once), dry=arguments.dry_run)
    if arguments.format == "taskflow":
        return await exported.run(sender, me, arguments)
    rejects = arguments.rejects or arguments.file.with_name(f"{arguments.file.name}.rejects.csv")
    if arguments.format == "todoist":
        if arguments.mapping is not None:
            raise BadArguments("--format todoist: expected no mapping")
        report = await todoist.import_backup(
            sender, me, arguments.file, project=arguments.project, name=arguments.name, rejects=rejects
        )
    else:
        if arguments.mapping is None:
            raise BadArguments("expected --mapping FILE, which says what the columns are (or --format taskflow)")
        if arguments.name is not None:
            raise BadArguments("--name goes with --format todoist; the mapping says what its project is called")
        report = await import_file(
            sender, me, arguments.file, arguments.mapping, project=arguments.project, rejects=rejects
        )
    for line in format_report(report):
        print(line)
    if not report.whole:
        return INTERRUPTED
    return 1 if report.counts.rejected else 0


async def import_file(
    sender: Sender, me: Profile, file: Path, mapping_file: Path, *, project: str | None, rejects: Path
) -> Report:
    """Imports a file into the project with that id, or into the caller's own of the mapping's source.

    What is wrong with the mapping, the header or the project is raised before anything is written. A cancelled import
    reports what it did until then.
    """
    mapping = read_mapping(mapping_file)
    project_id = project_id_of(project)
    require_apart(rejects, file, mapping_file)
    with Source(file, mapping) as source, progress() as bar:
        shown = bar.add_task(file.name, total=source.size)
        target = ImportTarget(sender, mapping.project.key)
        found = await (target.find(mapping.project.name) if project_id is None else target.open(project_id))
        if found is not None:
            require_open(found)
            usable(mapping, found)
        with Shown() if sender.dry else Rejects(rejects, source.header) as rejected:
            work = Import(
                sender,
                target,
                mapping,
                rejected.write,
                step=lambda: bar.update(shown, completed=source.bytes_read),
            )
            seconds, whole = await carried_out(work.run(source.rows()))
    return Report(
        counts=work.counts,
        who=me,
        project_id=target.project_id,
        position=sender.position,
        seconds=seconds,
        rejects=rejects,
        whole=whole,
        dry=sender.dry,
        founds=target.founds,
        refused=rejected.told,
    )
