"""`taskflow import --format taskflow`: a project that was exported, made again.

The same export is the same project, however often it is imported: everything is named by the ids that it has in the
export. Whoever imports is themselves; others come as people without a login, by the name that the export has. Nobody
becomes a member: whoever was one is invited.
"""

from __future__ import annotations

import codecs
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from taskflow.dates.times import cut_times
from taskflow.importer.exported_csv import read_csv
from taskflow.importer.exported_file import Export, Person, Task, fault
from taskflow.importer.failures import BadArguments, BadFile
from taskflow.importer.sender import Item, open_lanes
from taskflow.importer.target import ImportTarget

if TYPE_CHECKING:
    import argparse

    from taskflow.client.answers import Profile
    from taskflow.importer.exported_file import Commented
    from taskflow.importer.sender import Result, Sender

FILE_BYTES_MAX: Final = 1024 * 1024 * 1024
"""An export is read whole."""
_FINER_TIME: Final = re.compile(rb":[0-9]{2}\.[0-9]{7,}[Zz+-]")
_AWAITED: Final = frozenset(("no-such-parent", "no-such-task", "no-such-person"))
"""Refusals of a dry run that say no more than that what comes before is not stored."""


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


async def run(sender: Sender, me: Profile, arguments: argparse.Namespace) -> int:
    """Exits 0, and 1 where tasks were refused."""
    if any(one is not None for one in (arguments.mapping, arguments.project, arguments.name)):
        raise BadArguments("--format taskflow: expected no mapping, project or name")
    made = await import_export(sender, me, arguments.file)
    if sender.dry:
        print("dry run: nothing was written; this is what an import would do now")
    print(f"{made.tasks} tasks made, {made.already_there} already there, {len(made.refused)} refused")
    print(f"{made.people} new people; {made.relations_left_out} relations to tasks elsewhere left out")
    if made.members_left_out:
        print(f"{made.members_left_out} members left out; invite them to the project")
    print(f"project {made.project_id}, imported by {me.email}")
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


async def import_export(sender: Sender, me: Profile, file: Path) -> Made:
    export = read_export(file)
    return await _Restoring(sender, me.id, export).run()


class _Restoring:
    """One run over one export."""

    def __init__(self, sender: Sender, me: UUID, export: Export) -> None:
        self._sender = sender
        self._me = me
        self._export = export
        self._target = ImportTarget(sender, f"taskflow/{export.project.id}")
        self._names = _names(export)
        self._ids = {task.id for task in export.tasks}
        self._relations_left_out = 0
        self._tasks = self._already_there = 0
        self._people: set[UUID] = set()
        self._refused: list[str] = []

    async def run(self) -> Made:
        project = self._export.project
        await self._target.found(
            {
                "name": project.name,
                "description": project.description,
                "workflow": project.workflow,
                "at": project.created_at,
            }
        )
        await self._settings({"labels": project.labels})
        async with open_lanes(self._sender) as lanes:
            for root, task in _in_order(self._export.tasks):
                for item in self._items(task):
                    await lanes.put(str(root), item)
        if project.archived_at is not None:
            await self._settings({"archived": True})
        if self._target.project_id is None:
            raise AssertionError("the project was made at the beginning")
        return Made(
            project_id=self._target.project_id,
            tasks=self._tasks,
            already_there=self._already_there,
            people=len(self._people),
            relations_left_out=self._relations_left_out,
            members_left_out=sum(one.id != self._me for one in self._export.members),
            position=self._sender.position,
            refused=self._refused,
        )

    async def _settings(self, data: dict[str, Any]) -> None:
        if not self._sender.unfounded:
            said = msgspec.json.encode(data).decode()
            await self._sender.execute(self._target.command("ImportProjectSettings", ("settings", said), data))

    def _items(self, task: Task) -> list[Item]:
        """The task, then what was said about it."""
        data = self._data(task)
        people = (task.created_by, None if task.assignee is None else task.assignee.id)
        command = self._target.command("ImportTask", ("task", str(task.id)), data)
        said = [self._comment(task, comment) for comment in task.comments]
        return [Item(command, partial(self._settle, task), self._needs(*people)), *said]

    def _data(self, task: Task) -> dict[str, Any]:
        relations = [one for one in task.relations if one.task_id in self._ids]
        self._relations_left_out += len(task.relations) - len(relations)
        data = {
            "key": str(task.id),
            "at": task.created_at,
            "title": task.title,
            "external_id": task.external_id,
            "description": task.description,
            "status": task.status,
            "category": task.status_category,
            "priority": task.priority,
            "due_at": task.due_at,
            "due_on": task.due_on,
            "time_zone": task.zone,
            "recurrence": task.recurrence,
            "series": task.series,
            "labels": task.labels,
            "actor": self._key(task.created_by),
            "parent": str(task.parent_id) if task.parent_id in self._ids else None,
            "rank": task.rank,
            "updated_at": task.updated_at,
            "started_at": task.started_at,
            "completed_at": task.completed_at,
            "checklist": [{"key": str(one.id), "text": one.text, "done": one.done} for one in task.checklist],
            "relations": [{"type": one.type, "key": str(one.task_id)} for one in relations],
        }
        if task.assignee is not None:
            data |= {"assignee": self._key(task.assignee.id), "assignee_id": self._mine(task.assignee.id)}
        return {name: value for name, value in data.items() if value is not None}

    def _comment(self, task: Task, comment: Commented) -> Item:
        author = None if comment.author is None else comment.author.id
        said = {
            "key": str(comment.id),
            "body": comment.body,
            "author": self._key(author),
            "author_id": self._mine(author),
            "edited_at": comment.edited_at,
        }
        data = {
            "key": str(task.id),
            "at": comment.created_at,
            "comment": {name: value for name, value in said.items() if value is not None},
        }
        command = self._target.command("ImportTaskChange", ("comment", str(task.id), str(comment.id)), data)
        return Item(command, partial(self._said, task), self._needs(author))

    def _key(self, person: UUID | None) -> str | None:
        """Somebody whom the export names, and who is not the caller."""
        return str(person) if person is not None and person != self._me and self._names.get(person) else None

    def _mine(self, person: UUID | None) -> UUID | None:
        return person if person == self._me else None

    def _needs(self, *people: UUID | None) -> tuple[Item, ...]:
        keys = dict.fromkeys(person for person in people if person is not None and self._key(person) is not None)
        at = self._export.project.created_at
        commands = [self._target.person(str(person), self._names[person] or "", at) for person in keys]
        return tuple(Item(command, self._met) for command in commands)

    def _met(self, result: Result) -> None:
        if result.ours and result.outcome.outcome == "applied":
            self._people.add(result.outcome.id)

    def _settle(self, task: Task, result: Result) -> None:
        if result.reused:
            self._refused.append(f"task {task.id}: another export of it was imported before")
        elif result.reason is not None and not (self._sender.dry and result.code in _AWAITED):
            self._refused.append(f"task {task.id}: {result.reason}")
        elif result.reason is None and not result.ours:
            self._already_there += 1
        else:
            self._tasks += 1

    def _said(self, task: Task, result: Result) -> None:
        missing = result.code == "no-such-task"  # its task has been refused
        if result.reason is not None and not missing and not (self._sender.dry and result.code in _AWAITED):
            self._refused.append(f"task {task.id}: a comment: {result.reason}")


def _names(export: Export) -> dict[UUID, str | None]:
    """What the people are called whom the export names."""
    people: list[Person] = [*export.people]
    for task in export.tasks:
        people += [one.author for one in task.comments if one.author is not None]
        people += [] if task.assignee is None else [task.assignee]
    named: dict[UUID, str | None] = {one.id: one.name for one in people if one.name is not None}
    return named | {one.id: one.name for one in export.members if one.name is not None}


def _in_order(tasks: tuple[Task, ...]) -> list[tuple[UUID, Task]]:
    """Each task after the one that it stands below, with the root of its tree."""
    by_id = {task.id: task for task in tasks}
    ordered: dict[UUID, tuple[UUID, Task]] = {}
    for task in tasks:
        path = [task]
        while path[-1].id not in ordered and path[-1].parent_id in by_id:
            path.append(by_id[path[-1].parent_id])
        for one in reversed(path):
            above = ordered.get(one.parent_id) if one.parent_id is not None else None
            ordered.setdefault(one.id, (one.id if above is None else above[0], one))
    return list(ordered.values())
