"""A project's labels: the names that it gives a colour to. A task may have any other name for a label, too."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from taskflow.commands.access import project_for
from taskflow.commands.execute import Target
from taskflow.commands.fields import PROJECT_LABELS_MAX, Colour, Command, Label
from taskflow.commands.project import unarchived
from taskflow.errors import NotFound, Rejected
from taskflow.names import normal_name
from taskflow.streams import PROJECT, Event
from taskflow.streams.project import LabelRemoved, LabelSet, ProjectState

if TYPE_CHECKING:
    from taskflow.commands.unit import Unit

# --- commands ------------------------------------------------------------------------------------


class ProjectLabel(Struct, frozen=True):
    """A label of a project; its name may hold slashes."""

    project_id: UUID
    name: Label


class SetLabel(Command, frozen=True):
    """Defines a label, or changes its colour."""

    colour: Colour


class RemoveLabel(Command, frozen=True):
    """Takes its colour from a name. Tasks keep it."""


# --- decide --------------------------------------------------------------------------------------


def set_label(project: ProjectState, name: str, colour: str) -> list[Event]:
    unarchived(project)
    alike = [label for label in project.labels if normal_name(label.name) == normal_name(name)]
    # One that was stored before names had a normal form gives way to the one that it is.
    former = [LabelRemoved(name=label.name) for label in alike if label.name != name]
    if not former and [label.colour for label in alike] == [colour]:
        return []
    if not alike and len(project.labels) >= PROJECT_LABELS_MAX:
        raise Rejected("too-many-labels", f"a project has at most {PROJECT_LABELS_MAX} labels")
    return [*former, LabelSet(name=name, colour=colour)]


def remove_label(project: ProjectState, name: str) -> list[Event]:
    unarchived(project)
    alike = [label.name for label in project.labels if normal_name(label.name) == normal_name(name)]
    if not alike:
        raise NotFound("label", name)
    return [LabelRemoved(name=one) for one in alike]


# --- handlers ------------------------------------------------------------------------------------


async def set_project_label(unit: Unit, target: ProjectLabel, command: SetLabel) -> Target:
    project = await project_for(unit, target.project_id, "admin")
    unit.expect_version(target.project_id)
    unit.append(PROJECT, target.project_id, *set_label(project, target.name, command.colour))
    return Target(PROJECT, target.project_id)


async def remove_project_label(unit: Unit, target: ProjectLabel, _: RemoveLabel) -> Target:
    project = await project_for(unit, target.project_id, "admin")
    unit.expect_version(target.project_id)
    unit.append(PROJECT, target.project_id, *remove_label(project, target.name))
    return Target(PROJECT, target.project_id)
