"""What tasks are shown with and do not hold themselves: their projects' statuses, and people's names."""

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
    """What tasks are shown with: the statuses of their projects as of today, and people's names."""

    statuses: dict[UUID, Statuses]
    names: dict[UUID, str | None]

    def render(self, task: ShownTask) -> Raw:
        return render.task(task, self.statuses.get(task.project_id), self.names)


async def joins(
    reading: Reading, projects: Collection[UUID], assignees: Collection[UUID], *, at_least: int = 0
) -> Joins:
    """For any number of tasks at once; names as of `at_least` or later."""
    statuses = await of_projects(reading, projects, _without_transitions)
    names = await reading.names(assignees, at_least=at_least)
    return Joins(statuses, names)


def _without_transitions(project: ProjectState) -> Statuses:
    """Of a workflow, its transitions may be most."""
    return Statuses(Workflow(project.workflow.statuses), project.mapped)
