"""`taskflow import --format taskflow`: a project that was exported, made again.

The same export is the same project, however often it is imported: ids are derived from those in it. People
who are known here are themselves; others come as people without a login, by the name that the export has. Nobody
becomes a member: whoever was one is invited.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.commands.brought import BroughtItem, BroughtTask, bring_task
from taskflow.commands.exported import FurnishProject, close_project, furnish_project
from taskflow.commands.imports import ImportProject, import_project
from taskflow.dev_secrets import with_secrets
from taskflow.errors import KeyReused, Rejected
from taskflow.ids import derived_id
from taskflow.importer.account import importer
from taskflow.importer.exported_csv import read_csv
from taskflow.importer.exported_file import Export, Slots, Task, fault
from taskflow.importer.file import BadFile
from taskflow.importer.process import first_answer, opened
from taskflow.importer.sending import Into, Sender, each
from taskflow.local.addresses import with_local_urls
from taskflow.streams import USER
from taskflow.streams.schedule import Series
from taskflow.streams.task import Comment, Relation
from taskflow.times import cut_times

if TYPE_CHECKING:
    import argparse

    from taskflow.commands.execute import Handler
    from taskflow.settings import Settings
    from taskflow.store.eventstore import EventStore

FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""An export is read whole."""
LATER: Final = frozenset(("due_on", "time_zone", "series"))
"""Fields of a task that exports did not have from the first on."""
_FINER_TIME: Final = re.compile(rb":[0-9]{2}\.[0-9]{7,}[Zz+-]")


class Made(Struct):
    """What an import did."""

    project_id: UUID
    tasks: int = 0
    already_there: int = 0
    people: int = 0
    relations_left_out: int = 0
    """To tasks that are not in the export."""
    members_left_out: int = 0
    """Members of the exported project: nobody becomes one by an import."""
    position: int = 0
    refused: list[str] = msgspec.field(default_factory=list)


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exits 0, and 1 where tasks were refused."""
    more = (arguments.mapping, arguments.project, arguments.name)
    if arguments.user is None or any(one is not None for one in more):
        raise BadFile(
            "--format taskflow: expected --as EMAIL, who will own the project, and no mapping, project or name"
        )
    settings = with_local_urls(with_secrets(settings), ["postgres_url"])
    made = await import_export(settings, arguments.file, user=arguments.user, dry=arguments.dry_run)
    if arguments.dry_run:
        print("dry run: nothing was written; this is what an import would do now")
    print(f"{made.tasks} tasks made, {made.already_there} already there, {len(made.refused)} refused")
    print(f"{made.people} new people; {made.relations_left_out} relations to tasks elsewhere left out")
    if made.members_left_out:
        print(f"{made.members_left_out} members left out; invite them to the project")
    print(f"project {made.project_id}, imported by {arguments.user}")
    for reason in made.refused:
        print(reason)
    return 1 if made.refused else 0


def read_export(path: Path) -> Export:
    """JSON by its first character, else CSV. Raises BadFile where the file is no export, or one that cannot have been."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadFile(f"{path}: expected at most {FILE_BYTES_MAX} bytes")
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}") from None
    lines: dict[UUID, int] = {}
    if data.lstrip()[:1] in {b"{", b"["}:
        try:
            export = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadFile(f"{path}: expected an export of a project as JSON: {error}") from None
    else:
        export, lines = read_csv(path, data)
    wrong = fault(export, lines)
    if wrong is not None:
        raise BadFile(f"{path}: {wrong}")
    return export


def _decode(data: bytes) -> Export:
    """Read twice only where a time is finer than ours are: no export has such, what somebody edited may."""
    if not _FINER_TIME.search(data):
        return msgspec.json.decode(data, type=Export)
    return msgspec.convert(cut_times(msgspec.json.decode(data), Export), Export)


async def import_export(settings: Settings, file: Path, *, user: str, dry: bool = False) -> Made:
    export = read_export(file)
    async with opened(settings, dry=dry) as (store, executor):
        who = await first_answer(importer(store, executor, settings, owner=user, user=user, register=False))
        sender = Sender(store, executor, settings, who.user_id)
        return await _Restoring(store, sender, settings, export, who.user_id).run()


class _Restoring:
    """One run over one export."""

    def __init__(self, store: EventStore, sender: Sender, settings: Settings, export: Export, user_id: UUID) -> None:
        self._store = store
        self._sender = sender
        self._export = export
        self._user_id = user_id
        # Whoever owns it: the same export in other hands is another project.
        parts = ("import", "taskflow", str(export.project.id), str(user_id))
        at = export.project.created_at
        project_id = derived_id(settings.claim_secret_bytes, *parts, "project", at=at)
        self._into = Into(settings.claim_secret_bytes, *parts, project_id=project_id)
        self._at_once = settings.import_inflight_max
        self._people: dict[UUID, UUID] = {}
        self._created = {task.id: task.created_at for task in export.tasks}
        self.made = Made(project_id)

    async def run(self) -> Made:
        project = self._export.project
        command = ImportProject(
            name=project.name, description=project.description, workflow=project.workflow, at=project.created_at
        )
        await self._send("found", b"", partial(import_project, project_id=self.made.project_id, command=command))
        await self._meet_people()
        # Compared with that of earlier imports, whose members were part of the command.
        members = {
            self._people[one.id]: one.role
            for one in self._export.members
            if one.id in self._people and self._people[one.id] != self._user_id
        }
        self.made.members_left_out = len(members)
        await self._send(
            "furnish",
            _digest({"labels": project.labels, "members": members}),
            partial(furnish_project, project_id=self.made.project_id, command=FurnishProject(labels=project.labels)),
        )
        await each(self._export.tasks, self._restore, at_once=self._at_once)
        if project.archived_at is not None:
            await self._send("archive", b"", partial(close_project, project_id=self.made.project_id))
        self.made.people = self._sender.counts.people
        self.made.position = self._sender.position
        return self.made

    async def _meet_people(self) -> None:
        named: dict[UUID, str | None] = {one.id: one.name for one in self._export.people}
        for task in self._export.tasks:
            named |= {one.author.id: one.author.name for one in task.comments if one.author is not None}
            if task.assignee is not None:
                named[task.assignee.id] = task.assignee.name
            if task.created_by is not None:
                named.setdefault(task.created_by, None)
        named |= {one.id: one.name for one in self._export.members}
        for person, name in named.items():
            known = (await self._store.state_cache.load(USER, person)).state
            if isinstance(known, USER.state):
                self._people[person] = person
            elif name is not None:
                at = self._export.project.created_at
                command_id, user_id = self._into.id(f"person {person}"), self._into.id("user", str(person), at=at)
                self._people[person] = await self._sender.meet(self._into, command_id, user_id, name, at)

    async def _restore(self, task: Task) -> None:
        try:
            handler = partial(bring_task, task_id=self._id_of(task.id), task=self._here(task), after_parent=False)
            new = await self._send(f"task {task.id}", _digest(task), handler)
            self.made.tasks += new
            self.made.already_there += not new
        except Rejected as refusal:
            self.made.refused.append(f"task {task.id}: {refusal}")
        except KeyReused:
            self.made.refused.append(f"task {task.id}: another export of it was imported before")

    def _id_of(self, task_id: UUID) -> UUID:
        return self._into.id("stream", str(task_id), at=self._created[task_id])

    def _here(self, task: Task) -> BroughtTask:
        """The task with the ids of this place."""

        def person(one: UUID | None) -> UUID | None:
            return None if one is None else self._people.get(one)

        relations = [one for one in task.relations if one.task_id in self._created]
        self.made.relations_left_out += len(task.relations) - len(relations)
        return BroughtTask(
            project_id=self.made.project_id,
            external_id=task.external_id,
            title=task.title,
            description=task.description,
            status=task.status,
            category=task.status_category,
            priority=task.priority,
            due_at=_utc(task.due_at),
            due_on=task.due_on,
            time_zone=task.zone,
            series=_series(task.series),
            labels=task.labels,
            assignee_id=None if task.assignee is None else person(task.assignee.id),
            parent_id=None if task.parent_id not in self._created else self._id_of(task.parent_id),
            rank=task.rank,
            recurrence=task.recurrence,
            created_by=person(task.created_by),
            created_at=task.created_at.astimezone(UTC),
            updated_at=task.updated_at.astimezone(UTC),
            started_at=_utc(task.started_at),
            completed_at=_utc(task.completed_at),
            checklist=tuple(BroughtItem(one.id, one.text, one.done) for one in task.checklist),
            relations=tuple(Relation(one.type, self._id_of(one.task_id)) for one in relations),
            comments=tuple(
                Comment(
                    one.id,
                    None if one.author is None else person(one.author.id),
                    one.body,
                    one.created_at.astimezone(UTC),
                    _utc(one.edited_at),
                )
                for one in task.comments
            ),
        )

    async def _send(self, what: str, content: bytes, handler: Handler) -> bool:
        """Whether this run is the one that did it. Raises what the executor raises."""
        command_id = self._into.id(what)
        _, ours = await self._sender.execute(self._into.caller, command_id, command_id.bytes + content, handler)
        return ours


def _digest(said: object) -> bytes:
    """The same for what an older release imported, which did not know the fields of LATER."""
    if isinstance(said, Task):
        fields = msgspec.structs.asdict(said)
        said = {name: one for name, one in fields.items() if one is not None or name not in LATER}
    return hashlib.sha256(msgspec.json.encode(said)).digest()[:16]


def _series(said: Slots | None) -> Series | None:
    if said is None:
        return None
    return Series(said.start.astimezone(UTC), said.slot.astimezone(UTC), said.days)


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)
