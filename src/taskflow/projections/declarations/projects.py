"""The projection of projects, with members, workflow and labels: one document for each project."""

from __future__ import annotations

from typing import Final

from taskflow.projections.declarations.tasks import board_key
from taskflow.projections.projection import Document, Projection
from taskflow.streams import PROJECT
from taskflow.streams.project import ProjectState


def document(project: ProjectState) -> Document:
    return {"members": list(project.members)}


def boards_of(_: ProjectState | None, after: ProjectState) -> tuple[str, ...]:
    return (board_key(after.id),)


PROJECTS: Final = Projection(
    name="projects",
    version=3,  # 1: no invitations; 2: no consent
    kind=PROJECT,
    document=document,
    former_indexes=("members_1__id_1",),
    invalidates=boards_of,
)
