"""What makes a project of an exported one, beside its tasks, which `brought` brings: its labels, and that it is
archived. Nobody becomes a member by an import: who was one is invited."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for
from taskflow.commands.execute import Target
from taskflow.names import normal_name
from taskflow.streams import PROJECT, Event
from taskflow.streams.project import Label, LabelSet, ProjectArchived, ProjectState

if TYPE_CHECKING:
    from taskflow.commands.unit_of_work import UnitOfWork

# --- commands ------------------------------------------------------------------------------------


class FurnishProject(Struct, frozen=True, kw_only=True):
    """What a project has beside its name and its workflow."""

    labels: tuple[Label, ...]


# --- decide --------------------------------------------------------------------------------------


def furnish(project: ProjectState, command: FurnishProject) -> list[Event]:
    wanted = {name: one.colour for one in command.labels if (name := normal_name(one.name))}
    return [
        LabelSet(name=name, colour=wanted[name]) for name in wanted if Label(name, wanted[name]) not in project.labels
    ]


# --- handlers ------------------------------------------------------------------------------------


async def furnish_project(unit: UnitOfWork, project_id: UUID, command: FurnishProject) -> Target:
    project = await project_for(unit, project_id, "owner")
    unit.append(PROJECT, project_id, *furnish(project, command))
    return Target(PROJECT, project_id)


async def close_project(unit: UnitOfWork, project_id: UUID) -> Target:
    """Of an export of an archived one, once its tasks are there."""
    project = await project_for(unit, project_id, "owner")
    unit.append(PROJECT, project_id, *([] if project.archived_at is not None else [ProjectArchived()]))
    return Target(PROJECT, project_id)
