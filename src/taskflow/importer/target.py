"""The project that an import goes into: one that is named, or the caller's own of that source; judged before a row is
sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec import convert

from taskflow.client import Command
from taskflow.client.answers import Project
from taskflow.importer.contract import command_id_of, key_of
from taskflow.importer.failures import BadArguments, ImportFailure

if TYPE_CHECKING:
    from taskflow.importer.sender import Sender

ARCHIVED = "is archived; unarchive it first"


class ImportTarget:
    """A source, and the project that takes it. `project` is None until the caller's own has been made."""

    def __init__(self, sender: Sender, source: str) -> None:
        self._sender = sender
        self.source = source
        self.project: Project | None = None
        self.founds = False
        """Whether the project was, or would be, made by this run."""

    @property
    def project_id(self) -> UUID | None:
        return None if self.project is None else self.project.id

    async def open(self, project_id: UUID) -> Project:
        """Raises NotFound for a stranger's project or none, and Forbidden for a role below admin."""
        settings = Command(type="ImportProjectSettings", target=project_id, data={"source": self.source})
        self.project = convert((await self._sender.preview(settings)).result, Project)
        return self.project

    async def find(self, name: str) -> Project | None:
        """The caller's own project of the source; None where no import made it yet. Raises Forbidden where the caller
        is no admin of it any more."""
        data = {"source": self.source, "name": name, "at": datetime.now(UTC)}
        outcome = await self._sender.preview(Command(type="ImportProject", data=data))
        self.project = None if outcome.outcome == "applied" else convert(outcome.result, Project)
        return self.project

    async def found(self, data: dict[str, Any]) -> Project:
        """Makes the caller's own project, or finds it, made a moment ago."""
        data = {"source": self.source, **data}
        what = [str(data.get(name)) for name in ("name", "description", "workflow", "at")]
        command = Command(type="ImportProject", data=data, id=command_id_of(self.source, "project", *what))
        outcome = await self._sender.execute(command)
        self.founds = outcome.outcome == "applied" and not outcome.replayed
        self._sender.unfounded = self.founds and self._sender.dry
        self.project = convert(outcome.result, Project)
        return self.project

    def command(self, type_: str, id_of: tuple[str, ...], data: dict[str, Any], version: int | None = None) -> Command:
        """A command about the source's own things; `id_of` tells it from others."""
        if self.project is None:
            raise AssertionError("the project is opened, or made, before anything goes into it")
        more = {} if version is None else {"expected_version": version}
        return Command(
            type=type_,
            target=self.project.id,
            data={"source": self.source, **data},
            id=command_id_of(self.source, *id_of),
            **more,
        )

    def person(self, key: str, name: str, at: datetime) -> Command:
        data = {"key": key_of(key), "name": name, "at": at}
        return self.command("ImportPerson", ("person", key, name, at.isoformat()), data)


def require_open(project: Project) -> None:
    """Raises ImportFailure where the project is archived."""
    if project.archived_at is not None:
        raise ImportFailure(f"project {project.id} {ARCHIVED}")


def project_id_of(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise BadArguments(f"--project: expected a project's id, a UUID, found {text!r}") from None
