"""A project's labels: the names that have a colour. A task may also have labels that the project does not define."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec import Struct

from taskflow.commands.declaration import PROJECT_ID, RestRoute, TargetType, on_project
from taskflow.commands.fields import PROJECT_LABELS_MAX, Colour, Command, Label
from taskflow.commands.project import require_not_archived
from taskflow.errors import NotFound, Rejected
from taskflow.streams import Event
from taskflow.streams.project import LabelRemoved, LabelSet, ProjectState
from taskflow.text.names import normal_name

# --- commands ------------------------------------------------------------------------------------


class ProjectLabel(Struct, frozen=True):
    """A label of a project; its name may contain slashes."""

    project_id: UUID
    name: Label


class SetLabel(Command, frozen=True):
    """Defines a label, or changes its colour."""

    colour: Colour


class RemoveLabel(Command, frozen=True):
    """Removes a label's definition, and so its colour. Tasks keep the label."""


# --- decide --------------------------------------------------------------------------------------


def set_label(project: ProjectState, name: str, colour: str) -> list[Event]:
    require_not_archived(project)
    alike = [label for label in project.labels if normal_name(label.name) == normal_name(name)]
    # A label that was stored before names were normalised is replaced by the normalised one.
    former = [LabelRemoved(name=label.name) for label in alike if label.name != name]
    if not former and [label.colour for label in alike] == [colour]:
        return []
    if not alike and len(project.labels) >= PROJECT_LABELS_MAX:
        raise Rejected("too-many-labels", f"a project has at most {PROJECT_LABELS_MAX} labels")
    return [*former, LabelSet(name=name, colour=colour)]


def remove_label(project: ProjectState, name: str) -> list[Event]:
    require_not_archived(project)
    alike = [label.name for label in project.labels if normal_name(label.name) == normal_name(name)]
    if not alike:
        raise NotFound("label", name)
    return [LabelRemoved(name=one) for one in alike]


# --- declared ------------------------------------------------------------------------------------

LABEL: Final = TargetType("label", PROJECT_ID.path + "/labels/{name:path}", ProjectLabel)
COMMANDS: Final = (
    on_project(
        SetLabel,
        LABEL,
        lambda on: set_label(on.state, on.target.name, on.command.colour),
        RestRoute("PUT", "", "Define a label, or change its colour"),
    ),
    on_project(
        RemoveLabel,
        LABEL,
        lambda on: remove_label(on.state, on.target.name),
        RestRoute("DELETE", "", "Remove a label from those that the project defines"),
    ),
)
