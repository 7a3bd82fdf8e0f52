"""Joins tasks with data of other streams that they are shown with: their projects' statuses, and people's names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Raw, Struct

from taskflow.api import render
from taskflow.api.project_reads import of_projects
from taskflow.streams.project import Statuses, Workflow

if TYPE_CHECKING:
    from collections.abc import Collection

    from taskflow.api.reads import Reading
    from taskflow.projections.declarations.tasks import ShownTask
    from taskflow.streams.project import ProjectState


class Joins(Struct, frozen=True):
    """The current statuses of the tasks' projects, and the names of people."""

    statuses: dict[UUID, Statuses]
    names: dict[UUID, str | None]

    def render(self, task: ShownTask) -> Raw:
        return render.task(task, self.statuses.get(task.project_id), self.names)


async def joins(
    reading: Reading, projects: Collection[UUID], assignees: Collection[UUID], *, at_least: int = 0
) -> Joins:
    """The joins for any number of tasks at once; names as of position `at_least` or later."""
    statuses = await of_projects(reading, projects, _without_transitions)
    names = await reading.names(assignees, at_least=at_least)
    return Joins(statuses, names)


def _without_transitions(project: ProjectState) -> Statuses:
    """The statuses of a project, without the transitions, which may be most of a workflow."""
    return Statuses(Workflow(project.workflow.statuses), project.mapped)
