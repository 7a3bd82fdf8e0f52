"""A project for what comes from a source: `ImportProject`, and what it has beside name and workflow.

Nobody becomes a member by an import: who was one elsewhere is invited.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from taskflow.commands.access import require_role, require_user
from taskflow.commands.declaration import PROJECT_ID, CommandType, on_project
from taskflow.commands.fields import (
    PROJECT_LABELS_MAX,
    TRANSITIONS_MAX,
    Colour,
    Command,
    Description,
    Label,
    Name,
    Time,
)
from taskflow.commands.import_scope import ImportCommand, Source, project_id_of, require_past
from taskflow.commands.project import archive
from taskflow.commands.workflow import NewStatus, NewTransition, SetWorkflow, workflow_of
from taskflow.errors import Invalid
from taskflow.streams import PROJECT, USER, Event
from taskflow.streams.project import DEFAULT_WORKFLOW, LabelSet, ProjectCreated, Workflow
from taskflow.streams.project import Label as ProjectLabel

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork
    from taskflow.streams.project import ProjectState

STATUSES_MAX: Final = 100
"""Of a workflow that was made elsewhere."""

# --- commands ------------------------------------------------------------------------------------


class ImportedWorkflow(Struct, frozen=True, forbid_unknown_fields=True):
    statuses: Annotated[tuple[NewStatus, ...], Meta(min_length=1, max_length=STATUSES_MAX)]
    transitions: Annotated[tuple[NewTransition, ...], Meta(max_length=TRANSITIONS_MAX)] | None = None


class ImportProject(Command, frozen=True, kw_only=True):
    """The caller's project of that source, as old as `at`: made the first time, found again ever after, whatever it is
    called by now. Somebody else who imports the source into it names the project."""

    source: Source
    name: Name
    description: Description = ""
    workflow: ImportedWorkflow | None = None
    at: Time


class ImportedLabel(Struct, frozen=True, forbid_unknown_fields=True):
    name: Label
    colour: Colour | None = None


class ImportProjectSettings(ImportCommand, frozen=True, kw_only=True):
    """What a project has beside its name and its workflow. `archived`: it is archived, once its tasks are there."""

    labels: Annotated[tuple[ImportedLabel, ...], Meta(max_length=PROJECT_LABELS_MAX)] = ()
    archived: bool = False


# --- decide --------------------------------------------------------------------------------------


def create(owner: UUID, command: ImportProject) -> list[Event]:
    workflow = DEFAULT_WORKFLOW if command.workflow is None else _workflow(command.workflow)
    return [ProjectCreated(name=command.name, description=command.description, owner_id=owner, workflow=workflow)]


def _workflow(imported: ImportedWorkflow) -> Workflow:
    try:
        return workflow_of(SetWorkflow(imported.statuses, imported.transitions))
    except Invalid as invalid:
        invalid.pointer = f"/workflow{invalid.pointer}"
        raise


def configure(project: ProjectState, command: ImportProjectSettings) -> list[Event]:
    wanted = {one.name: one.colour for one in command.labels}
    events: list[Event] = [
        LabelSet(name=name, colour=colour)
        for name, colour in wanted.items()
        if ProjectLabel(name, colour) not in project.labels
    ]
    return [*events, *(archive(project) if command.archived else [])]


# --- handlers ------------------------------------------------------------------------------------


async def import_project(unit: UnitOfWork, _: UUID | None, command: ImportProject) -> UUID:
    """Who imports owns the project."""
    owner = require_user(unit)
    user = await unit.get(USER, owner)
    project_id = project_id_of(unit.claim_secret, owner, command.source, user.created_at)
    project = await unit.read(PROJECT, project_id)
    if project is not None:
        require_role(project, owner, "admin")
    unit.expect_version(project_id)
    if project is None:
        require_past("/at", command.at, unit.at)
        unit.append(PROJECT, project_id, *create(owner, command), at=command.at.astimezone(UTC))
    return project_id


# --- declared ------------------------------------------------------------------------------------

COMMANDS: Final = (
    CommandType(body=ImportProject, target=None, handler=import_project, answer="project", rest=None, creates=True),
    on_project(ImportProjectSettings, PROJECT_ID, lambda on: configure(on.project, on.command), None),
)
