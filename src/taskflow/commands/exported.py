"""What makes a project of an exported one, beside its tasks, which `brought` brings: its members and its labels."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for
from taskflow.commands.execute import Target
from taskflow.streams import PROJECT, Event
from taskflow.streams.project import Label, LabelSet, MemberAdded, ProjectArchived, ProjectState, Role

if TYPE_CHECKING:
    from taskflow.commands.unit import Unit

# --- commands ------------------------------------------------------------------------------------


class FurnishProject(Struct, frozen=True, kw_only=True):
    """What a project has beside its name and its workflow."""

    labels: tuple[Label, ...]
    members: dict[UUID, Role]


# --- decide --------------------------------------------------------------------------------------


def furnish(project: ProjectState, command: FurnishProject) -> list[Event]:
    labels: list[Event] = [
        LabelSet(name=one.name, colour=one.colour) for one in command.labels if one not in project.labels
    ]
    members = [MemberAdded(user_id=who, role=role) for who, role in command.members.items()]
    return labels + [one for one in members if one.user_id not in project.members]


# --- handlers ------------------------------------------------------------------------------------


async def furnish_project(unit: Unit, project_id: UUID, command: FurnishProject) -> Target:
    project = await project_for(unit, project_id, "owner")
    unit.append(PROJECT, project_id, *furnish(project, command))
    return Target(PROJECT, project_id)


async def close_project(unit: Unit, project_id: UUID) -> Target:
    """Of an export of an archived one, once its tasks are there."""
    project = await project_for(unit, project_id, "owner")
    unit.append(PROJECT, project_id, *([] if project.archived_at is not None else [ProjectArchived()]))
    return Target(PROJECT, project_id)
